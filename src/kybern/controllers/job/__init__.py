"""Pods that run to an end, so many times.

`plan` decides, with one file per question: `finished` (which ended pods count, and as what),
`failures` (what a failed pod means), `verdict` (whether the job is done or lost), `sizing` (which
pods come and go), `indexes` (`0,3-5`), `pods` (what a pod of a job looks like).
`controller` carries the plan out.

Nothing is counted twice or lost, whoever restarts when: a pod that ended keeps a finalizer until
its uid, or its index, stands in the job's status; and a uid leaves the status, for the counter,
only when the pod has lost its finalizer.
"""
