"""What upstream's conformance tests demand of a node, with real containers and packets.

Many of their demands are made of one pod here, where upstream makes a pod for each. The names are
in `@conforms("…")`, as in tests/conformance.
"""
