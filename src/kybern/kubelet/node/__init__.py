"""The Node object: what this machine is, that it is alive, how it is doing.

`facts.py` reads the machine. `registration.py` makes the Node, or brings the one there is up to
date. `lease.py` is the heartbeat, `status.py` (with pure `conditions.py`) the report.
"""
