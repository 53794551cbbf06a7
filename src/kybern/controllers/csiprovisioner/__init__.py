"""Has drivers make volumes for claims, also from snapshots and other claims, and remove them."""
