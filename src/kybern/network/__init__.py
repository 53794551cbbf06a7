"""How pods reach pods, the node and the outside.

`config.py` says which addresses and which bridge a node has. `cni.py` writes that down for the
runtime, which calls the plugins. `rules.py` (pure) and `filter.py` put the two things into the
kernel that plugins would do with one process per rule and pod: masquerading, and ports of the node
which lead into pods. `cleanup.py` takes it all down again.
"""
