"""The resource group: generated types, and the rules written by hand."""
