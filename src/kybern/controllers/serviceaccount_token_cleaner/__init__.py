"""Marks, and later deletes, tokens of service accounts that nobody has used for a year."""
