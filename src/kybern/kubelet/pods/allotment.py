"""What a pod has been given of the node, which may not be what its spec asks for now.

In:   the Pod as the API server has it, and what the node has decided about it.
Out:  the pod as it was given; whether its size is being changed, and what holds that up.
By:   roster.py (gives), record.py, plan.py, status.py, conditions.py. Pure; allotments.py keeps it.

Three sizes of a container can differ for a while: what its spec *asks*, what it is *given*, and
what it *runs* with. Asked becomes given when the node has room (resizing.py), given becomes running
when the runtime has been told (act.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from kybern.api import codec, quantity
from kybern.api.core.v1 import ResourceRequirements
from kybern.kubelet.pods import specs
from kybern.kubelet.pods.specs import Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import Container, Pod
    from kybern.kubelet.pods.specs import AnyContainer

Sizes = dict[str, ResourceRequirements]
NOTHING = ResourceRequirements()
CHANGEABLE = ("cpu", "memory")
DEFERRED, INFEASIBLE = "Deferred", "Infeasible"


@dataclass(slots=True)
class Allotment:
    """What one pod has.

    Attributes:
        given: what each container was given, by name; those which can be resized.
        running: what a container runs with, where that is not what it was given.
        unfinished: what was given is not yet in force.
        generation: the pod's, when it was given.
    """

    given: Sizes = field(default_factory=dict)
    running: Sizes = field(default_factory=dict)
    unfinished: bool = False
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """Why a pod does not get what it asks for: `Deferred` or `Infeasible`."""

    reason: str
    message: str
    generation: int = 0


def sizes(pod: Pod) -> Sizes:
    """Return what the containers which can be resized ask for."""
    return {c.name: c.resources or NOTHING for c in _resizable(pod)}


def can_be_resized(pod: Pod) -> bool:
    """Say whether there is anything to remember: what asks for nothing can never ask for more."""
    return any(
        name in CHANGEABLE
        for size in sizes(pod).values()
        for name in ((size.requests or {}) | (size.limits or {}))
    )


def asks_for_more_or_less(pod: Pod, allotment: Allotment) -> bool:
    """Say whether a pod asks for something else than it was given."""
    return any(not same(size, allotment.given.get(name, size)) for name, size in sizes(pod).items())


def with_sizes(pod: Pod, wanted: Mapping[str, ResourceRequirements]) -> Pod:
    """Return the pod with these sizes; itself, where it has them."""
    if not any(not same(size, wanted.get(name, size)) for name, size in sizes(pod).items()):
        return pod
    changed = codec.clone(pod)
    for container in _resizable(changed):
        container.resources = wanted.get(container.name, container.resources)
    return changed


def holding(pod: Pod, allotment: Allotment) -> Pod:
    """Return the pod with the larger of what it was given and what it still runs with."""
    held = {
        name: _larger(allotment.given.get(name, NOTHING), size)
        for name, size in allotment.running.items()
    }
    return with_sizes(with_sizes(pod, allotment.given), held) if held else pod


def same(one: ResourceRequirements, other: ResourceRequirements) -> bool:
    """Say whether two sizes are equal."""
    return one is other or (
        (one.requests or {}) == (other.requests or {})
        and (one.limits or {}) == (other.limits or {})
    )


def needs_restart(container: AnyContainer, before: ResourceRequirements) -> bool:
    """Say whether a container has to be started again to get its new size."""
    policies = {p.resourceName: p.restartPolicy for p in container.resizePolicy or ()}
    now = container.resources or NOTHING
    return any(
        policies.get(name) == "RestartContainer"
        and (_amount(now.requests, name), _amount(now.limits, name))
        != (_amount(before.requests, name), _amount(before.limits, name))
        for name in CHANGEABLE
    )


def described(pod: Pod, generation: int, error: str = "") -> str:
    """Return the sizes as events about resizes tell them."""
    summary: dict[str, object] = {}
    for name, wanted in (
        ("initContainers", specs.init_containers(pod)),
        ("containers", specs.regular_containers(pod)),
    ):
        if listed := [_summary(each.spec) for each in wanted]:
            summary[name] = listed
    summary["generation"] = generation
    if error:
        summary["error"] = error
    return msgspec.json.encode(summary).decode()


def _summary(container: AnyContainer) -> dict[str, object]:
    size = container.resources or NOTHING
    amounts = {"limits": size.limits, "requests": size.requests}
    told = {kind: dict(sorted(found.items())) for kind, found in amounts.items() if found}
    return {"name": container.name, "resources": told}


def _resizable(pod: Pod) -> Iterable[Container]:
    yield from pod.spec.containers
    for container in pod.spec.initContainers or ():
        if specs.init_role(container) is Role.SIDECAR:
            yield container


def _larger(one: ResourceRequirements, other: ResourceRequirements) -> ResourceRequirements:
    requests = dict(one.requests or {})
    for name, amount in (other.requests or {}).items():
        if quantity.compare(requests.get(name, "0"), amount) < 0:
            requests[name] = amount
    return ResourceRequirements(requests=requests, limits=one.limits)


def _amount(amounts: Mapping[str, str] | None, name: str) -> str | None:
    return (amounts or {}).get(name)
