"""Probes: asking containers how they are.

`plan.py` (pure) counts answers and says what follows from them. `ask.py` asks once, by HTTP, TCP,
gRPC or a command. `act.py` keeps asking, and tells the pod's worker when something changes.
`http.py` is the request itself, which lifecycle hooks make too.
"""
