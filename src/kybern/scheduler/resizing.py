"""What a running pod holds, while its size is being changed in place.

In:   a pod that has a node.
Out:  its requests, where they differ from its spec.
By:   pod_info.

A container that asks for less holds what it had until the kubelet has taken it away; one that asks
for more may get it any moment. So the larger of the two counts. Where the kubelet has said that the
change will never be possible, what is asked for does not count at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.pods import condition, requests_of
from kybern.api.core.v1 import PodSpec, ResourceRequirements
from kybern.api.quantity import compare

if TYPE_CHECKING:
    from kybern.api.core.v1 import Container, ContainerStatus, Pod

INFEASIBLE = "Infeasible"


def held(pod: Pod) -> PodSpec:
    """Return the spec as it counts: the pod's own one, unless something is being changed."""
    statuses = {
        status.name: status
        for status in (
            *(pod.status.containerStatuses or ()),
            *(pod.status.initContainerStatuses or ()),
        )
    }
    if not statuses:
        return pod.spec
    pending = condition(pod, "PodResizePending")
    hopeless = pending is not None and pending.reason == INFEASIBLE
    changed = {}
    for container in (*pod.spec.containers, *(pod.spec.initContainers or ())):
        status = statuses.get(container.name)
        if status is not None:
            asked = _larger(container, status, spec_counts=not hopeless)
            if asked != requests_of(container):
                changed[container.name] = asked
    return _with_requests(pod.spec, changed) if changed else pod.spec


def _larger(container: Container, status: ContainerStatus, *, spec_counts: bool) -> dict[str, str]:
    spec = requests_of(container)
    actual = (status.resources and status.resources.requests) or {}
    largest = dict(spec) if spec_counts else {}
    for source in (status.allocatedResources or {}, actual):
        for name, amount in source.items():
            if name not in largest or compare(largest[name], amount) < 0:
                largest[name] = amount
    # What the kubelet does not report on, it does not change.
    return {**spec, **largest}


def _with_requests(spec: PodSpec, changed: dict[str, dict[str, str]]) -> PodSpec:
    copy = codec.clone(spec)
    for container in (*copy.containers, *(copy.initContainers or ())):
        if container.name in changed:
            container.resources = ResourceRequirements(requests=changed[container.name])
    return copy
