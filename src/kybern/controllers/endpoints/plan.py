"""What the Endpoints of a Service should be.

In:   a Service, the pods it selects, the Endpoints it has.
Out:  the Endpoints to create or to write, or None.
By:   endpoints.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core import pods as ask
from kybern.api.core.v1 import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectReference,
)
from kybern.api.meta.v1 import ObjectMeta

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Pod, Service

HEADLESS = "None"
IS_HEADLESS = "service.kubernetes.io/headless"
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MOST = 1000  # addresses that one object can hold; the slices have them all

Port = tuple[str, str, int, str | None]
Addresses = dict[str, tuple[EndpointAddress, bool]]


def plan(service: Service, pods: Iterable[Pod], existing: Endpoints | None) -> Endpoints | None:
    """Return the Endpoints as they must be written, or None when nothing is to be done."""
    subsets, truncated = _truncate(_subsets(service, pods))
    labels = labels_for(service)
    if existing is None:
        metadata = ObjectMeta(
            name=service.metadata.name, namespace=service.metadata.namespace, labels=labels
        )
        wanted = Endpoints(metadata=metadata, subsets=subsets or None)
    else:
        wanted = codec.clone(existing)
        wanted.subsets = subsets or None
        wanted.metadata.labels = labels
    annotations = dict(wanted.metadata.annotations or {})
    annotations.pop(OVER_CAPACITY, None)
    if truncated:
        annotations[OVER_CAPACITY] = "truncated"
    wanted.metadata.annotations = annotations or None
    return None if existing is not None and codec.equal(existing, wanted) else wanted


def labels_for(service: Service) -> dict[str, str]:
    """Return the labels of a Service's Endpoints."""
    labels = dict(service.metadata.labels or {})
    labels.pop(IS_HEADLESS, None)
    if service.spec.clusterIP == HEADLESS:
        labels[IS_HEADLESS] = ""
    labels[MANAGED_BY] = MANAGER
    return labels


def belongs(service: Service, pod: Pod) -> bool:
    """Whether a pod is listed at all, ready or not."""
    if ask.is_terminal(pod) or not (pod.status.podIP or pod.status.podIPs):
        return False
    return bool(service.spec.publishNotReadyAddresses) or not ask.is_terminating(pod)


def _subsets(service: Service, pods: Iterable[Pod]) -> list[EndpointSubset]:
    by_port: dict[Port | None, Addresses] = {}
    for pod in sorted(pods, key=lambda pod: pod.metadata.name or ""):
        if not belongs(service, pod) or (ip := _address(service, pod)) is None:
            continue
        ready = bool(service.spec.publishNotReadyAddresses) or ask.is_ready(pod)
        for port in _ports(service, pod):
            by_port.setdefault(port, {})[ip] = (_entry(service, pod, ip), ready)
    return _repack(by_port)


def _repack(by_port: dict[Port | None, Addresses]) -> list[EndpointSubset]:
    """Put ports that lead to the same addresses into one subset."""
    together: dict[tuple[tuple[str, bool], ...], list[Port | None]] = {}
    for port, addresses in by_port.items():
        same = tuple(sorted((ip, ready) for ip, (_, ready) in addresses.items()))
        together.setdefault(same, []).append(port)
    subsets = []
    for same, ports in together.items():
        addresses = by_port[ports[0]]
        ready = [addresses[ip][0] for ip, is_ready in same if is_ready]
        not_ready = [addresses[ip][0] for ip, is_ready in same if not is_ready]
        numbered = sorted(port for port in ports if port is not None)
        subsets.append(
            EndpointSubset(
                addresses=ready or None,
                notReadyAddresses=not_ready or None,
                ports=[_port(port) for port in numbered] or None,
            )
        )
    return sorted(subsets, key=lambda subset: codec.encode(subset.ports))


def _ports(service: Service, pod: Pod) -> list[Port | None]:
    listed = service.spec.ports or ()
    if not listed:
        # Headless Services may have no ports: then the addresses are all there is to say.
        return [None] if service.spec.clusterIP == HEADLESS else []
    found: list[Port | None] = []
    for port in listed:
        protocol = port.protocol or "TCP"
        number = ask.port_number(pod, port.targetPort or port.port, protocol)
        if number is not None:
            found.append((port.name or "", protocol, number, port.appProtocol))
    return found


def _port(port: Port) -> EndpointPort:
    name, protocol, number, application = port
    return EndpointPort(name=name or None, port=number, protocol=protocol, appProtocol=application)


def _address(service: Service, pod: Pod) -> str | None:
    families = service.spec.ipFamilies or ()
    address = service.spec.clusterIP or ""
    if families:
        wants_v6 = families[0] == "IPv6"
    elif address and address != HEADLESS:
        wants_v6 = ":" in address
    else:
        return pod.status.podIP
    listed = [one.ip for one in pod.status.podIPs or () if one.ip] or [pod.status.podIP or ""]
    return next((ip for ip in listed if ip and (":" in ip) is wants_v6), None)


def _entry(service: Service, pod: Pod, ip: str) -> EndpointAddress:
    metadata = pod.metadata
    named = bool(pod.spec.hostname) and pod.spec.subdomain == service.metadata.name
    return EndpointAddress(
        ip=ip,
        nodeName=pod.spec.nodeName or None,
        hostname=pod.spec.hostname if named else None,
        targetRef=ObjectReference(
            kind="Pod", namespace=metadata.namespace, name=metadata.name, uid=metadata.uid
        ),
    )


def _truncate(subsets: list[EndpointSubset]) -> tuple[list[EndpointSubset], bool]:
    """Keep what one object can hold, ready addresses first."""
    total = sum(len(s.addresses or ()) + len(s.notReadyAddresses or ()) for s in subsets)
    if total <= MOST:
        return subsets, False
    room = MOST
    for subset in subsets:
        subset.addresses = (subset.addresses or [])[:room] or None
        room -= len(subset.addresses or ())
    for subset in subsets:
        subset.notReadyAddresses = (subset.notReadyAddresses or [])[:room] or None
        room -= len(subset.notReadyAddresses or ())
    return [s for s in subsets if s.addresses or s.notReadyAddresses], True
