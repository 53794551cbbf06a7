"""Which service accounts a namespace is missing.

In:   a namespace and the names it has.
Out:  ServiceAccounts to create.
By:   serviceaccount.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.v1 import ServiceAccount
from kybern.api.meta.v1 import ObjectMeta

if TYPE_CHECKING:
    from collections.abc import Collection

    from kybern.api.core.v1 import Namespace

WANTED = ("default",)


def plan(namespace: Namespace, existing: Collection[str]) -> tuple[ServiceAccount, ...]:
    """Return what to create; nothing for a namespace that is going away."""
    if namespace.status.phase == "Terminating" or namespace.metadata.deletionTimestamp is not None:
        return ()
    return tuple(
        ServiceAccount(metadata=ObjectMeta(name=name, namespace=namespace.metadata.name))
        for name in WANTED
        if name not in existing
    )
