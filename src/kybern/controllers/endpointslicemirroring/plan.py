"""What the slices of hand-made Endpoints should be.

In:   Endpoints, the Service of the same name, the slices mirrored from them.
Out:  slices to create, to write and to delete.
By:   endpointslicemirroring.controller. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from kybern.api import codec
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.runtime.ownership import reference_to
from kybern.controllers.runtime.slices import spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kybern.api.core.v1 import EndpointAddress, Endpoints, EndpointSubset, Service

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
NOT_COPIED = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        "endpoints.kubernetes.io/last-change-trigger-time",
    )
)
MOST = 1000  # addresses of one subset that are mirrored

Ports = tuple[tuple[Any, ...], ...]
Group = tuple[str, Ports]


@dataclass(frozen=True, slots=True)
class Plan:
    """Writes, in no particular order."""

    create: list[EndpointSlice] = field(default_factory=list)
    update: list[EndpointSlice] = field(default_factory=list)
    delete: list[EndpointSlice] = field(default_factory=list)


def mirrors(endpoints: Endpoints | None, service: Service | None) -> bool:
    """Whether there is anything to mirror: Endpoints by hand for a Service without a selector."""
    if endpoints is None or service is None or service.spec.selector:
        return False
    if (endpoints.metadata.labels or {}).get(SKIP) == "true":
        return False
    return LEADER not in (endpoints.metadata.annotations or {})


def plan(endpoints: Endpoints, existing: Sequence[EndpointSlice], most: int) -> Plan:
    """Decide what to write."""
    wanted: dict[Group, list[Endpoint]] = {}
    for subset in endpoints.subsets or ():
        for family, listed in _by_family(subset).items():
            wanted.setdefault((family, _ports(subset.ports)), []).extend(listed)
    by_group: dict[Group, list[EndpointSlice]] = {}
    for one in existing:
        by_group.setdefault((one.addressType, _ports(one.ports)), []).append(one)
    labels, annotations = _labels(endpoints), _annotations(endpoints)
    result = Plan()
    for group in {**dict.fromkeys(wanted), **dict.fromkeys(by_group)}:
        outcome = spread(wanted.get(group, []), by_group.get(group, []), most)
        for listed in outcome.create:
            result.create.append(_new(endpoints, group, listed, labels, annotations))
        for one, listed in outcome.change:
            result.update.append(_changed(one, listed, labels, annotations))
        for one in outcome.keep:
            if one.metadata.labels != labels or (one.metadata.annotations or {}) != annotations:
                listed = list(one.endpoints or ())
                result.update.append(_changed(one, listed, labels, annotations))
        result.delete.extend(outcome.delete)
    return result


def _by_family(subset: EndpointSubset) -> dict[str, list[Endpoint]]:
    found: dict[str, list[Endpoint]] = {}
    room = MOST
    for ready, addresses in ((True, subset.addresses), (False, subset.notReadyAddresses)):
        for address in (addresses or ())[:room]:
            family = "IPv6" if ":" in address.ip else "IPv4"
            found.setdefault(family, []).append(_endpoint(address, ready=ready))
        room -= len((addresses or ())[:room])
    return found


def _endpoint(address: EndpointAddress, *, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=[address.ip],
        conditions=EndpointConditions(ready=ready),
        hostname=address.hostname,
        nodeName=address.nodeName,
        targetRef=address.targetRef,
    )


def _ports(listed: Iterable[Any] | None) -> Ports:
    return tuple(
        (port.name or "", port.port, port.protocol or "TCP", port.appProtocol)
        for port in listed or ()
    )


def _labels(endpoints: Endpoints) -> dict[str, str]:
    labels = dict(endpoints.metadata.labels or {})
    labels[SERVICE_NAME] = endpoints.metadata.name or ""
    labels[MANAGED_BY] = MANAGER
    return labels


def _annotations(endpoints: Endpoints) -> dict[str, str]:
    own = endpoints.metadata.annotations or {}
    return {key: value for key, value in own.items() if key not in NOT_COPIED}


def _new(
    endpoints: Endpoints,
    group: Group,
    listed: list[Endpoint],
    labels: dict[str, str],
    annotations: dict[str, str],
) -> EndpointSlice:
    metadata, (family, ports) = endpoints.metadata, group
    return EndpointSlice(
        metadata=ObjectMeta(
            generateName=f"{metadata.name}-",
            namespace=metadata.namespace,
            labels=dict(labels),
            annotations=dict(annotations) or None,
            ownerReferences=[reference_to(endpoints)],
        ),
        addressType=family,
        endpoints=listed,
        ports=[
            EndpointPort(name=name, port=number, protocol=protocol, appProtocol=application)
            for name, number, protocol, application in ports
        ],
    )


def _changed(
    one: EndpointSlice,
    listed: list[Endpoint],
    labels: dict[str, str],
    annotations: dict[str, str],
) -> EndpointSlice:
    mine = codec.clone(msgspec.structs.replace(one, endpoints=None))
    mine.endpoints = listed
    mine.metadata.labels = dict(labels)
    mine.metadata.annotations = dict(annotations) or None
    return mine
