"""How long a pod stays on a node that does not answer: five minutes, if it does not say.

In:   pods to be created or changed.
Out:  two tolerations, where the pod has none for those taints.
By:   admission.plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.v1 import Pod, Toleration

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
EFFECT = "NoExecute"
SECONDS = 300


class DefaultTolerationSeconds:
    """Adds the tolerations."""

    def __init__(self, services: Services) -> None:
        del services

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want pods, and not what is below them."""
        wanted = operation in ("CREATE", "UPDATE")
        return (group, plural, subresource) == ("", "pods", "") and wanted

    def mutate(self, review: Review) -> None:
        """Add what is missing."""
        pod: Pod = review.obj
        tolerations = pod.spec.tolerations or []
        missing = [taint for taint in TAINTS if not _tolerated(tolerations, taint)]
        if missing:
            added = [
                Toleration(key=t, operator="Exists", effect=EFFECT, tolerationSeconds=SECONDS)
                for t in missing
            ]
            pod.spec.tolerations = [*tolerations, *added]


def _tolerated(tolerations: list[Toleration], taint: str) -> bool:
    return any(
        each.key in (taint, None, "") and each.effect in (EFFECT, None, "") for each in tolerations
    )
