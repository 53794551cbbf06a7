"""What the core kinds must be: one file per part of the API.

    pods ─► pod_spec ─► containers ─► environment, probes, resources, security
                    └─► volumes ─► claims          placement (affinity, taints, spread)
    services   nodes   endpoints   config (ConfigMap, Secret, ServiceAccount)   namespaces
    quotas (LimitRange, ResourceQuota)   persistent_volumes   replication_controllers

Functions named `validate_*` take whole objects and return problems; functions named `check_*` take
a part and its place and append to the list given, so that a valid object costs no allocation.
`all.py` is the table. Messages are upstream's, from `pkg/apis/core/validation/validation.go`.
"""
