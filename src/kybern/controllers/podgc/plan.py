"""Why a pod has to be removed by force, if it has.

In:   a pod, its node, the time its node was first missed.
Out:  a `Reason`; which finished pods are too many.
By:   podgc.controller. Pure.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from kybern.api.core import pods as ask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Node, Pod

QUARANTINE = 40.0  # seconds a node has to be missing before its pods are taken for lost
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


class Reason(Enum):
    """Why a pod is removed."""

    ORPHANED = "its node does not exist"
    UNSCHEDULED = "it is terminating and was never scheduled"
    OUT_OF_SERVICE = "it is terminating and its node is out of service"
    TOO_MANY = "there are too many finished pods"


def judge(pod: Pod, node: Node | None) -> Reason | None:
    """Return why a pod has to go; ORPHANED still has to outlast the quarantine."""
    if not pod.spec.nodeName:
        return Reason.UNSCHEDULED if ask.is_terminating(pod) else None
    if node is None:
        return Reason.ORPHANED
    if ask.is_terminating(pod) and not _is_ready(node) and _is_out_of_service(node):
        return Reason.OUT_OF_SERVICE
    return None


def surplus(finished: Iterable[Pod], threshold: int) -> list[Pod]:
    """Return the finished pods beyond the threshold: evicted ones first, then the oldest."""
    if threshold <= 0:
        return []
    pods = list(finished)
    if len(pods) <= threshold:
        return []
    pods.sort(
        key=lambda pod: (
            pod.status.reason != "Evicted",
            pod.metadata.creationTimestamp or "",
            pod.metadata.name or "",
        )
    )
    return pods[: len(pods) - threshold]


def _is_ready(node: Node) -> bool:
    conditions = node.status.conditions or ()
    return any(each.type == "Ready" and each.status == "True" for each in conditions)


def _is_out_of_service(node: Node) -> bool:
    return any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints or ())
