"""Questions about what is allowed: the access reviews."""
