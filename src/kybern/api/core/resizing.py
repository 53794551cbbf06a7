"""What a running pod holds, while its size is being changed in place.

In:   a pod that has a node.
Out:  its spec as it counts for the scheduler and for quotas. Upstream's
      `component-helpers/resource/helpers.go` with `UseStatusResources`.
By:   scheduler.pod_info, quotas.

A container that asks for less holds what it had until the kubelet has taken it away; one that asks
for more may get it any moment. So the larger of the two counts. Where the kubelet has said that the
change will never be possible, what is asked for does not count at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.pods import condition, limits_of, requests_of
from kybern.api.core.v1 import PodSpec, ResourceRequirements
from kybern.api.quantity import compare

if TYPE_CHECKING:
    from kybern.api.core.v1 import Container, ContainerStatus, Pod

INFEASIBLE = "Infeasible"
NOTHING = ResourceRequirements()


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
            size = _larger(container, status, spec_counts=not hopeless)
            if size != (requests_of(container), limits_of(container)):
                changed[container.name] = ResourceRequirements(requests=size[0], limits=size[1])
    return _with_sizes(pod.spec, changed) if changed else pod.spec


def _larger(
    container: Container, status: ContainerStatus, *, spec_counts: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Return requests and limits."""
    actual = status.resources or NOTHING
    given = status.allocatedResources or {}
    requests, limits = requests_of(container), limits_of(container)
    return (
        _largest(requests, given, actual.requests or {}, spec_counts=spec_counts),
        _largest(limits, actual.limits or {}, spec_counts=spec_counts),
    )


def _largest(spec: dict[str, str], *reported: dict[str, str], spec_counts: bool) -> dict[str, str]:
    largest = dict(spec) if spec_counts else {}
    for source in reported:
        for name, amount in source.items():
            if name not in largest or compare(largest[name], amount) < 0:
                largest[name] = amount
    # What the kubelet does not report on, it does not change.
    return {**spec, **largest}


def _with_sizes(spec: PodSpec, changed: dict[str, ResourceRequirements]) -> PodSpec:
    copy = codec.clone(spec)
    for container in (*copy.containers, *(copy.initContainers or ())):
        container.resources = changed.get(container.name, container.resources)
    return copy
