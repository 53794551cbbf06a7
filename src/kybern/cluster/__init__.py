"""One cluster on this machine: where its files are, what it was told, which processes it has.

`kybern up` writes a data directory (`directory.py`): the settings (`settings.py`, addresses and
ports that no other cluster here uses: `slots.py`), the certificates (`certificates.py`) and the
kubeconfigs (`kubeconfigs.py`). Then it starts one supervisor (`supervisor.py`, started and asked by
`processes.py`), whose children are containerd, the control plane and the node. Further nodes on the
machine have directories and supervisors of their own (`fleet.py`), joined by cables (`wires.py`).

A machine that belongs to a cluster elsewhere gets its files from there: `join.py` for nodes,
`join_server.py` for control planes. Only these speak to an API server, as the clients they are;
nothing here knows a component, `cmd/` composes those.
"""
