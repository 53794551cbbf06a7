"""What workloads looked like before: ControllerRevisions.

`plan` finds and numbers revisions; `keeper` writes them. For DaemonSets and StatefulSets.
"""
