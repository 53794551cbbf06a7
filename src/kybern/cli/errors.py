"""Failures that end a verb with exit code 1."""


class Failed(Exception):
    """One sentence that says what is wrong, and one that says what to do."""
