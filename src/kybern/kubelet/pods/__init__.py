"""Pods on their way down: sources, admission, worker, plan, act, status, reporting.

`lifecycle.py` is the table of a pod's phases on the node, `view.py` what the runtime has of a pod.
`plan.py`, `status.py`, `environment.py` and `admission.py` are pure.
"""
