"""From the name of a priority class to a number.

In:   pods to be created, and priority classes.
Out:  spec.priority and spec.preemptionPolicy; Forbidden for an unknown class or a second default.
By:   admission.plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.scheduling.v1 import PriorityClass
from kybern.apiserver.admission.looking import Lookup, named

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

PREEMPT = "PreemptLowerPriority"


class Priority:
    """Resolves priorities."""

    def __init__(self, services: Services) -> None:
        self._classes = Lookup(services, PriorityClass)

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want new pods, and priority classes."""
        if (group, plural) == ("scheduling.k8s.io", "priorityclasses"):
            return operation in ("CREATE", "UPDATE")
        return (group, plural, subresource) == ("", "pods", "") and operation in (
            "CREATE",
            "UPDATE",
        )

    def mutate(self, review: Review) -> None:
        """Give a pod its number; a changed pod keeps the one it has.

        Raises:
            Forbidden: the class is unknown, or the pod names another number.
        """
        if review.resource.kind.kind != "Pod":
            return
        pod: Pod = review.obj
        spec = pod.spec
        if review.operation == "UPDATE":
            old = review.old.spec
            if spec.priority is None:
                spec.priority = old.priority
            spec.preemptionPolicy = spec.preemptionPolicy or old.preemptionPolicy
            return
        name, number, policy = spec.priorityClassName or "", 0, PREEMPT
        found = self._classes.get(name) if name else self._default()
        if found is not None:
            name, number = found.metadata.name or "", found.value or 0
            policy = found.preemptionPolicy or PREEMPT
        elif name:
            raise errors.Forbidden.of(
                review.resource.kind, named(review), f"no PriorityClass with name {name} was found"
            )
        if spec.priority is not None and spec.priority != number:
            raise errors.Forbidden.of(
                review.resource.kind, named(review),
                f"the integer value of priority ({spec.priority}) must not be provided in pod "
                f"spec; priority admission controller computed {number} from the given "
                "PriorityClass name",
            )  # fmt: skip
        if spec.preemptionPolicy is not None and spec.preemptionPolicy != policy:
            raise errors.Forbidden.of(
                review.resource.kind, named(review),
                f"the string value of PreemptionPolicy ({spec.preemptionPolicy}) must not be "
                f"provided in pod spec; priority admission controller computed {policy} from the "
                "given PriorityClass name",
            )  # fmt: skip
        spec.priorityClassName = name or None
        spec.priority, spec.preemptionPolicy = number, policy

    def validate(self, review: Review) -> None:
        """Refuse a second class for pods that name none."""
        if review.resource.kind.kind == "Pod" or not review.obj.globalDefault:
            return
        default = self._default()
        if default is not None and default.metadata.name != review.obj.metadata.name:
            raise errors.Forbidden.of(
                review.resource.kind, named(review),
                f"PriorityClass {default.metadata.name} is already marked as default. Only one "
                "default can exist",
            )  # fmt: skip

    def _default(self) -> PriorityClass | None:
        """Return the class for pods that name none: of several, the lowest."""
        found = [each for each in self._classes.all() if each.globalDefault]
        return min(found, key=lambda each: each.value or 0, default=None)
