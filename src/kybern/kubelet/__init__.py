"""The node agent: it makes pods bound to this node real, and tells the API server how they are.

A pod arrives in `pods/sources.py`, is admitted, gets a worker, whose `plan.py` compares what should
be with what is, and whose `act.py` carries the plan out through `runtime/` (CRI) and `volumes/`.
`probes/` watch the containers, `pods/status.py` puts everything together, `pods/reporting.py` sends
it. `node/` registers the node and keeps its heartbeat; `server/` answers logs, exec and attach.
`agent.py` puts the pieces together and owns no logic. The kubelet reads and writes the cluster only
through kybern.client.
"""
