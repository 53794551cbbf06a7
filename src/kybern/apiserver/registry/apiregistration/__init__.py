"""API services: which group versions there are, and who serves them."""
