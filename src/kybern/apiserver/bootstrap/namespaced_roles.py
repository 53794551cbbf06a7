"""The roles in kube-system and kube-public.

In:   nothing: tables, in the notation of bootstrap.roles.
Out:  ROLES and BINDINGS by (namespace, name).
By:   bootstrap.policy.
"""

from __future__ import annotations

from kybern.apiserver.bootstrap.roles import EVENTS, READ

SYSTEM, PUBLIC = "kube-system", "kube-public"
READER = "extension-apiserver-authentication-reader"
CONTROLLER = "system:controller:"
LOCKING = "system::leader-locking-"

ROLES: dict[tuple[str, str], tuple[str, ...]] = {
    (SYSTEM, READER): (f"{READ}: core: configmaps: extension-apiserver-authentication",),
    (SYSTEM, f"{CONTROLLER}bootstrap-signer"): (f"{READ}: core: secrets",),
    (SYSTEM, f"{CONTROLLER}cloud-provider"): (f"create {READ}: core: configmaps",),
    (SYSTEM, f"{CONTROLLER}token-cleaner"): (f"{READ} delete: core: secrets", EVENTS),
    (SYSTEM, f"{LOCKING}kube-controller-manager"): (
        "watch: core: configmaps",
        "get update: core: configmaps: kube-controller-manager",
    ),
    (SYSTEM, f"{LOCKING}kube-scheduler"): (
        "watch: core: configmaps",
        "get update: core: configmaps: kube-scheduler",
    ),
    (PUBLIC, f"{CONTROLLER}bootstrap-signer"): (
        f"{READ}: core: configmaps",
        "update: core: configmaps: cluster-info",
        EVENTS,
    ),
}

BINDINGS: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    (SYSTEM, f"system::{READER}"): (
        READER, ("User system:kube-controller-manager", "User system:kube-scheduler"),
    ),
    (SYSTEM, f"{LOCKING}kube-controller-manager"): (
        f"{LOCKING}kube-controller-manager",
        (
            "User system:kube-controller-manager",
            "ServiceAccount kube-system/kube-controller-manager",
        ),
    ),
    (SYSTEM, f"{LOCKING}kube-scheduler"): (
        f"{LOCKING}kube-scheduler",
        ("User system:kube-scheduler", "ServiceAccount kube-system/kube-scheduler"),
    ),
    (SYSTEM, f"{CONTROLLER}bootstrap-signer"): (
        f"{CONTROLLER}bootstrap-signer", ("ServiceAccount kube-system/bootstrap-signer",),
    ),
    (SYSTEM, f"{CONTROLLER}cloud-provider"): (
        f"{CONTROLLER}cloud-provider", ("ServiceAccount kube-system/cloud-provider",),
    ),
    (SYSTEM, f"{CONTROLLER}token-cleaner"): (
        f"{CONTROLLER}token-cleaner", ("ServiceAccount kube-system/token-cleaner",),
    ),
    (PUBLIC, f"{CONTROLLER}bootstrap-signer"): (
        f"{CONTROLLER}bootstrap-signer", ("ServiceAccount kube-system/bootstrap-signer",),
    ),
}  # fmt: skip
"""(namespace, name) → the role and who has it."""
