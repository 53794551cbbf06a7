"""Numbered pods with names, claims and an order.

`plan` decides what happens to which pod, with one file per question: `identity` (what a pod is
called and looks like), `claims` (what becomes of its volumes), `standing` (what the status says).
`controller` carries the plan out.
"""
