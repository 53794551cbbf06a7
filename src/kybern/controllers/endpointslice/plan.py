"""What the EndpointSlices of a Service should be.

In:   a Service, the pods it selects, where nodes are, its slices.
Out:  slices to create, to write and to delete.
By:   endpointslice.controller. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from kybern.api import codec
from kybern.api.discovery.v1 import Endpoint, EndpointHints, EndpointSlice, ForNode, ForZone
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.endpointslice.endpoints import (
    HEADLESS,
    Ports,
    address_types,
    as_ports,
    contributes,
    endpoint,
    from_ports,
    ports,
)
from kybern.controllers.runtime.ownership import reference_to
from kybern.controllers.runtime.slices import spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kybern.api.core.v1 import Pod, Service

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
IS_HEADLESS = "service.kubernetes.io/headless"
RESERVED = frozenset((SERVICE_NAME, MANAGED_BY, IS_HEADLESS))
NEAR = ("PreferClose", "PreferSameZone", "PreferSameNode")

ZoneOf = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Writes, in no particular order; `update` holds slices of their own, ready to be sent."""

    create: list[EndpointSlice] = field(default_factory=list)
    update: list[EndpointSlice] = field(default_factory=list)
    delete: list[EndpointSlice] = field(default_factory=list)


def plan(
    service: Service,
    pods: Iterable[Pod],
    existing: Sequence[EndpointSlice],
    zone_of: ZoneOf,
    most: int,
) -> Plan:
    """Decide what to write.

    Args:
        service: with a selector.
        pods: those it selects.
        existing: its slices, those of this controller only.
        zone_of: the zone of a node, by name.
        most: endpoints in one slice.
    """
    result = Plan()
    families = address_types(service)
    candidates = [pod for pod in pods if contributes(pod)]
    for family in families:
        own = [one for one in existing if one.addressType == family]
        _plan_family(service, candidates, family, own, zone_of, most, result)
    result.delete.extend(one for one in existing if one.addressType not in families)
    return result


def labels_for(service: Service) -> dict[str, str]:
    """Return the labels of a Service's slices: the Service's own, and who and whose they are."""
    own = service.metadata.labels or {}
    labels = {key: value for key, value in own.items() if key not in RESERVED}
    if service.spec.clusterIP == HEADLESS:
        labels[IS_HEADLESS] = ""
    labels[SERVICE_NAME] = service.metadata.name or ""
    labels[MANAGED_BY] = MANAGER
    return labels


def _plan_family(
    service: Service,
    pods: list[Pod],
    family: str,
    existing: list[EndpointSlice],
    zone_of: ZoneOf,
    most: int,
    result: Plan,
) -> None:
    wanted = _wanted(service, pods, family, zone_of)
    by_ports: dict[Ports, list[EndpointSlice]] = {}
    for one in existing:
        by_ports.setdefault(from_ports(one.ports), []).append(one)
    labels = labels_for(service)
    survivors = 0
    doomed: list[EndpointSlice] = []
    created: list[EndpointSlice] = []
    for group in {**dict.fromkeys(wanted), **dict.fromkeys(by_ports)}:
        outcome = spread(wanted.get(group, []), by_ports.get(group, []), most)
        created += [_new(service, family, group, labels, some) for some in outcome.create]
        for one, endpoints in outcome.change:
            result.update.append(_changed(one, labels, endpoints))
        for one in outcome.keep:
            if one.metadata.labels != labels:
                result.update.append(_changed(one, labels, list(one.endpoints or ())))
        survivors += len(outcome.change) + len(outcome.keep)
        doomed += outcome.delete
    if not survivors and not created:
        doomed, created = _placeholder(service, family, labels, doomed)
    result.create.extend(created)
    result.delete.extend(doomed)


def _wanted(
    service: Service, pods: list[Pod], family: str, zone_of: ZoneOf
) -> dict[Ports, list[Endpoint]]:
    wanted: dict[Ports, list[Endpoint]] = {}
    everyone: list[Endpoint] = []
    for pod in sorted(pods, key=lambda pod: pod.metadata.name or ""):
        zone = zone_of(pod.spec.nodeName) if pod.spec.nodeName else None
        one = endpoint(service, pod, family, zone)
        if one is not None:
            wanted.setdefault(ports(service, pod), []).append(one)
            everyone.append(one)
    _add_hints(service, everyone)
    return wanted


def _add_hints(service: Service, endpoints: list[Endpoint]) -> None:
    """Say for whom an endpoint is near, where the Service prefers near ones."""
    preference = service.spec.trafficDistribution
    if preference not in NEAR or any(one.zone is None for one in endpoints):
        return
    for one in endpoints:
        if one.conditions is None or not one.conditions.ready or one.zone is None:
            continue
        nodes = None
        if preference == "PreferSameNode" and one.nodeName:
            nodes = [ForNode(name=one.nodeName)]
        one.hints = EndpointHints(forZones=[ForZone(name=one.zone)], forNodes=nodes)


def _placeholder(
    service: Service, family: str, labels: dict[str, str], doomed: list[EndpointSlice]
) -> tuple[list[EndpointSlice], list[EndpointSlice]]:
    """Make sure that there is a slice, if an empty one: it says that nobody is there."""
    for one in doomed:
        if not one.endpoints and not one.ports and one.metadata.labels == labels:
            return [other for other in doomed if other is not one], []
    return doomed, [_new(service, family, (), labels, [])]


def _new(
    service: Service, family: str, group: Ports, labels: dict[str, str], endpoints: list[Endpoint]
) -> EndpointSlice:
    metadata = service.metadata
    return EndpointSlice(
        metadata=ObjectMeta(
            generateName=f"{metadata.name}-",
            namespace=metadata.namespace,
            labels=dict(labels),
            ownerReferences=[reference_to(service)],
        ),
        addressType=family,
        endpoints=endpoints,
        ports=as_ports(group),
    )


def _changed(
    one: EndpointSlice, labels: dict[str, str], endpoints: list[Endpoint]
) -> EndpointSlice:
    mine = codec.clone(msgspec.structs.replace(one, endpoints=None))
    mine.endpoints = endpoints
    mine.metadata.labels = dict(labels)
    return mine
