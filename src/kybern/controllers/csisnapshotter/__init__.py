"""Has drivers take snapshots, and remove them."""
