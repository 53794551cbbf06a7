"""One verb per file: from a context that has passed every filter to an answer."""
