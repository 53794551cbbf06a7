"""One entry point per program: flags or settings in, objects composed, `run` awaited.

The only place that names concrete classes of several components. `main.py` sends `kybern NAME` to
the right one; `control_plane.py` and `node.py` are what `kybern up` runs, with everything of one
kind in one process.
"""
