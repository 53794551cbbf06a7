"""How pods reach pods, the node and the outside.

`config.py` says which addresses and which bridge a node has. `router.py` follows the Nodes: it has
`cni.py` write down this node's part for the runtime, which calls the plugins, and brings routes to
the pods of the others (`plan.py`, pure) into the kernel (`kernel.py`, with news from `events.py`).
`rules.py` (pure) and `filter.py` put the two things into the kernel that plugins would do with one
process per rule and pod: masquerading, and ports of the node which lead into pods. `cleanup.py`
takes it all down again.
"""
