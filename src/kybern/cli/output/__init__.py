"""What the user sees: progress and tables."""
