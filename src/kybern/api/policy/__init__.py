"""The policy group: generated types, and the rules written by hand."""
