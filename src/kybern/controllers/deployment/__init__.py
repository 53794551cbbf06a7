"""Turns a Deployment into ReplicaSets, and one template into the next.

`plan` decides, with one file per question: `sizes` (what a ReplicaSet looks like while deciding),
`rolling` and `recreate` (how to get from old to new), `scaling` (how to spread a new size),
`revisions` (which ReplicaSet is current, which may go), `progress` (what the status says).
`controller` carries the plan out.
"""
