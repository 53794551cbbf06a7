"""Notices when nodes fall silent, says so, and keeps pods away from them.

`health` remembers when a node was last heard of; `zones` limits how fast pods may be driven off
nodes, because when many nodes fail at once it is mostly the network; `plan` decides about one node;
`controller` writes. Driving the pods off is up to `tainteviction`.
"""
