"""The certificates group: generated types, and the rules written by hand."""
