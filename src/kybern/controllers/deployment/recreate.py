"""Recreate: first everything old goes, then the new comes.

In:   the old ReplicaSets and which of them still have pods.
Out:  changed sizes; whether the new one's time has come.
By:   deployment.plan. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.controllers.deployment.sizes import active

if TYPE_CHECKING:
    from collections.abc import Collection

    from kybern.controllers.deployment.sizes import Member


def stop_old(old: list[Member]) -> bool:
    """Scale everything old to nothing; say whether there was anything to scale."""
    running = active(old)
    for member in running:
        member.replicas = 0
    return bool(running)


def may_start(old: list[Member], with_pods: Collection[str]) -> bool:
    """Whether the last old pod is gone; `with_pods` are uids of ReplicaSets that have one."""
    return not any(member.replica_set.metadata.uid in with_pods for member in old)
