"""The container runtime, as the kubelet speaks to it.

`interface.py` states what a runtime promises. `messages/` is its vocabulary: CRI v1 as Structs.
`translate.py` turns a Pod into those messages and decides nothing else. `cri.py` speaks to a real
runtime over gRPC, `events.py` hears what happens in it, `fake.py` is a runtime in memory which
passes the same contract suite. Nothing here knows the API server.
"""
