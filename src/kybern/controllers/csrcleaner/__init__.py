"""Deletes certificate requests that nobody will look at again."""
