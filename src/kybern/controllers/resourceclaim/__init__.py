"""Makes the device claims that pods bring along, and frees claims that nobody uses any more."""
