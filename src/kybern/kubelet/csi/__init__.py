"""Volumes of storage drivers, on the node's side.

A driver announces itself with a socket (`plugins`), is asked who it is (`drivers`), and is told to
the cluster (`node_info`). A pod's volume becomes a `source`; it waits until it is attached
(`attachments`), is staged once on the node and published for each pod (`mounting`), and grows
(`growing`). What was begun is noted on disk before the driver is asked (`notes`), so that whatever
happens, also to this process, everything is taken down again (`unmounting`).

The layout below the kubelet's directory is upstream's: drivers have parts of it in common with us.
Calls of controllers to drivers on this node come in through `forward`.
"""
