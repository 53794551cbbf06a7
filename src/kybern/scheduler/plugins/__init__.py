"""One scheduling plugin per file; `all` lists them in the order they are asked.

A filter says which nodes fit, a scorer which of them fit best, and a few do both. Plugins are pure:
they compute with the columns of `scheduler.columns` and know neither each other nor the API.
"""
