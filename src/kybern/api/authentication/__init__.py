"""The authentication group: generated types, and the rules written by hand."""
