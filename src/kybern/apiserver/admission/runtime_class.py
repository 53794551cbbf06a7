"""What a pod's runtime costs and where it is: overhead and placement from its RuntimeClass.

In:   pods to be created that name a runtime class.
Out:  spec.overhead, nodeSelector and tolerations filled in; Forbidden when there is no such class.
By:   admission.plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.api.node import v1 as node
from kybern.apiserver.admission.looking import Lookup, named, pod_is_created

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review


class RuntimeClass:
    """Applies runtime classes."""

    def __init__(self, services: Services) -> None:
        self._classes = Lookup(services, node.RuntimeClass)

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want new pods."""
        return pod_is_created(group, plural, subresource, operation)

    def mutate(self, review: Review) -> None:
        """Fill in what the class says.

        Raises:
            Forbidden: there is no such class, or the pod says otherwise.
        """
        pod: Pod = review.obj
        spec = pod.spec
        name = spec.runtimeClassName
        if not name:
            if spec.overhead:
                raise self._refuse(
                    review, "pod rejected: Pod Overhead set without corresponding "
                    "RuntimeClass defined Overhead",
                )  # fmt: skip
            return
        found = self._classes.get(name)
        if found is None:
            raise self._refuse(review, f'pod rejected: RuntimeClass "{name}" not found')
        fixed = found.overhead.podFixed if found.overhead is not None else None
        if spec.overhead and not codec.equal(spec.overhead, fixed or {}):
            raise self._refuse(
                review, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
            )
        if fixed:
            spec.overhead = dict(fixed)
        if found.scheduling is not None:
            self._place(review, pod, found.scheduling)

    def _place(self, review: Review, pod: Pod, scheduling: node.Scheduling) -> None:
        spec = pod.spec
        selector = dict(spec.nodeSelector or {})
        for key, value in (scheduling.nodeSelector or {}).items():
            if selector.get(key, value) != value:
                raise self._refuse(
                    review,
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                    f"pod.spec.nodeSelector[{key}] = {selector[key]}",
                )
            selector[key] = value
        spec.nodeSelector = selector or None
        known = spec.tolerations or []
        added = [t for t in scheduling.tolerations or () if t not in known]
        if added:
            spec.tolerations = [*known, *(codec.clone(t) for t in added)]

    def _refuse(self, review: Review, why: str) -> errors.Forbidden:
        return errors.Forbidden.of(review.resource.kind, named(review), why)
