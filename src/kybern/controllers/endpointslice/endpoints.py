"""What one pod contributes to a Service.

In:   a Service, a pod, where its node is.
Out:  an Endpoint with its ports, or nothing.
By:   endpointslice.plan. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.core import pods as ask
from kybern.api.core.v1 import ObjectReference
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod, Service

IPV4, IPV6 = "IPv4", "IPv6"
HEADLESS = "None"

Ports = tuple[tuple[Any, ...], ...]


def address_types(service: Service) -> tuple[str, ...]:
    """Return the families a Service has addresses of."""
    if families := service.spec.ipFamilies:
        return tuple(families)
    address = service.spec.clusterIP or ""
    if address and address != HEADLESS:
        return (IPV6 if ":" in address else IPV4,)
    # A headless Service from before there were families: whatever its pods have.
    return (IPV4, IPV6)


def contributes(pod: Pod) -> bool:
    """Whether a pod has anything to offer; one that is ending does, as long as it runs."""
    return bool(pod.status.podIP or pod.status.podIPs) and not ask.is_terminal(pod)


def facts(pod: Pod) -> tuple[Any, ...]:
    """Return everything about a pod that an endpoint is made of, to see whether it changed."""
    addresses = tuple(one.ip for one in pod.status.podIPs or ())
    return (
        pod.status.podIP,
        addresses,
        ask.is_ready(pod),
        ask.is_terminal(pod),
        ask.is_terminating(pod),
        pod.spec.nodeName,
        pod.spec.hostname,
        pod.spec.subdomain,
    )


def endpoint(service: Service, pod: Pod, family: str, zone: str | None) -> Endpoint | None:
    """Return a pod as an endpoint of one address family."""
    addresses = _addresses(pod, family)
    if not addresses:
        return None
    serving = ask.is_ready(pod)
    terminating = ask.is_terminating(pod)
    ready = bool(service.spec.publishNotReadyAddresses) or (serving and not terminating)
    metadata = pod.metadata
    return Endpoint(
        addresses=addresses,
        conditions=EndpointConditions(ready=ready, serving=serving, terminating=terminating),
        hostname=_hostname(service, pod),
        nodeName=pod.spec.nodeName or None,
        zone=zone,
        targetRef=ObjectReference(
            kind="Pod", namespace=metadata.namespace, name=metadata.name, uid=metadata.uid
        ),
    )


def ports(service: Service, pod: Pod) -> Ports:
    """Return a pod's ports for a Service, in a form that compares and sorts.

    Named target ports can lead to other numbers in other pods; a pod without the name has no such
    port.
    """
    found = []
    for port in service.spec.ports or ():
        protocol = port.protocol or "TCP"
        number = ask.port_number(pod, port.targetPort or port.port, protocol)
        if number is not None:
            found.append((port.name or "", protocol, number, port.appProtocol))
    return tuple(found)


def as_ports(ports: Ports) -> list[EndpointPort]:
    """Return ports as the API has them."""
    return [
        EndpointPort(name=name, protocol=protocol, port=number, appProtocol=application)
        for name, protocol, number, application in ports
    ]


def from_ports(listed: list[EndpointPort] | None) -> Ports:
    """Return the ports of a slice in the form of `ports`."""
    return tuple(
        (port.name or "", port.protocol or "TCP", port.port, port.appProtocol)
        for port in listed or ()
    )


def _addresses(pod: Pod, family: str) -> list[str]:
    listed = [one.ip for one in pod.status.podIPs or () if one.ip] or [pod.status.podIP or ""]
    return [ip for ip in listed if ip and (":" in ip) is (family == IPV6)][:1]


def _hostname(service: Service, pod: Pod) -> str | None:
    own = bool(pod.spec.hostname) and pod.spec.subdomain == service.metadata.name
    return pod.spec.hostname if own else None
