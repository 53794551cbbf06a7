"""Volumes: directories on the node which containers see.

`plan.py` (pure) says which volumes and mounts a pod needs and where they are on the node. One file
per kind says what is in it: `config_map.py`, `secret.py`, `downward_api.py`, `projected.py` are
pure functions to files, `empty_dir.py` and `host_path.py` make directories. `act.py` carries out:
it fetches, mounts, writes (`atomic.py`), keeps up to date, and takes down again.
"""
