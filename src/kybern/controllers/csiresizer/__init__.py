"""Has drivers make volumes larger, and change them to another class of attributes."""
