"""What is special about definitions of custom kinds."""
