"""Makes the claims that pods bring along."""
