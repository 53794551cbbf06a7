"""One pod on every node that should have it.

`plan` decides which pods come and go and what the status says, with one file per question:
`placement` (which nodes, and what a pod for one looks like), `rolling` (how to get from the old
template to the new one), `failures` (how soon a pod that failed is made again). `controller`
carries the plan out.
"""
