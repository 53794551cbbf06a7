"""One cluster on this machine: where its files are, what it was told, which processes it has.

`kybern up` writes a data directory (`directory.py`): the settings (`settings.py`, addresses and
ports that no other cluster here uses: `slots.py`), the certificates (`certificates.py`) and the
kubeconfigs (`kubeconfigs.py`). Then it starts one supervisor (`supervisor.py`, started and asked by
`processes.py`), whose children are containerd, the control plane and the node.

Nothing here speaks to an API server or knows a component; `cmd/` composes those.
"""
