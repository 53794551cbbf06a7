"""Certificate signing requests."""
