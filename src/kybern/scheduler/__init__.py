"""Where pods run: from a pending pod to a binding.

Pods without a node flow in from the API and wait in the `queue`. The `loop` takes one, runs a
`cycle` over the `cache`, which keeps all nodes as NumPy columns, and learns a node, or why there is
none. A cycle asks every plugin of the `profile`, in order: first which nodes fit, then which fits
best. The choice is assumed at once, so that the next pod sees it, and bound through the API while
the following cycles run.

Deciding is pure and reads neither clock nor API; only `loop` and `binder` do I/O. Nothing here is
ever polled: a pod that did not fit waits until something happens that could make it fit.
"""
