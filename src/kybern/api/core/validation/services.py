"""Services.

In:   a Service; for updates also the old one.
Out:  problems.
By:   `core.validation.all`; the allocators for the addresses alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.addresses import (
    check_cidr,
    check_ip,
    check_ordinary_ip,
    is_dual_stack,
    parse_ip,
)
from kybern.api.bad_value import Fields
from kybern.api.core.services import is_external_name, is_externally_accessible, needs_health_check
from kybern.api.core.validation.containers import PROTOCOLS
from kybern.api.core.validation.probes import check_port
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kybern.api.meta.validation import (
    METADATA,
    SPEC,
    STATUS,
    check_labels,
    check_meta,
    check_meta_update,
)

if TYPE_CHECKING:
    from kybern.api.core.v1 import Service, ServicePort, ServiceSpec, SessionAffinityConfig

TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
AFFINITIES: Final = ("ClientIP", "None")
TRAFFIC: Final = ("Cluster", "Local")
FAMILIES: Final = ("IPv4", "IPv6")
FAMILY_POLICIES: Final = ("PreferDualStack", "RequireDualStack", "SingleStack")
DISTRIBUTIONS: Final = ("PreferClose", "PreferSameZone", "PreferSameNode")
AFFINITY_MAX: Final = 86400
SOURCE_RANGES: Final = "service.beta.kubernetes.io/load-balancer-source-ranges"
HINTS: Final = "service.kubernetes.io/topology-aware-hints"
MODE: Final = "service.kubernetes.io/topology-mode"
NOT_FOR_NAMES: Final = "may not be set for ExternalName services"
ONLY_BALANCED: Final = "may only be used when `type` is 'LoadBalancer'"
ONE_PER_FAMILY: Final = "may specify no more than one IP for each IP family"
SET_ONCE: Final = "may not change once set"


def validate_service(service: Service) -> list[Problem]:
    """A service about to be created, its addresses not yet allocated."""
    out: list[Problem] = []
    check_service(service, out)
    return out


def validate_service_update(new: Service, old: Service) -> list[Problem]:
    """A service that replaces a service."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    if not (is_external_name(new) or is_external_name(old)):
        _check_cluster_ips_update(new, old, out)
        _check_families_update(new, old, out)
    both = new.spec.type == old.spec.type == "LoadBalancer"
    if both and new.spec.loadBalancerClass != old.spec.loadBalancerClass:
        place = SPEC / "loadBalancerClass"
        out.append(invalid(place, new.spec.loadBalancerClass, SET_ONCE))
    moved = new.spec.healthCheckNodePort != old.spec.healthCheckNodePort
    if moved and needs_health_check(new) and needs_health_check(old):
        out.append(forbidden(SPEC / "healthCheckNodePort", "field is immutable"))
    check_service(new, out)
    return out


def check_service(service: Service, out: list[Problem]) -> None:
    """What a service must be at any time."""
    spec = service.spec
    check_meta(service.metadata, out, rule=names.dns1035_label)
    _check_topology_annotations(service, out)
    headless = _is_headless(spec)
    if not spec.ports and not headless and spec.type != "ExternalName":
        out.append(required(SPEC / "ports"))
    _check_type(service, headless, out)
    _check_ports(spec, out)
    if spec.selector:
        check_labels(spec.selector, SPEC, "selector", out)
    _check_affinity(spec, out)
    check_cluster_ips(service, out)
    for index, text in enumerate(spec.externalIPs or ()):
        before = len(out)
        check_ip(text, (SPEC / "externalIPs")[index], out)
        if len(out) == before:
            check_ordinary_ip(text, (SPEC / "externalIPs")[index], out)
    if spec.type not in TYPES:
        place = SPEC / "type"
        out.append(not_supported(place, spec.type, TYPES) if spec.type else required(place))
    _check_unique_ports(spec, out)
    _check_balancer(service, out)
    _check_traffic(service, out)


def _is_headless(spec: ServiceSpec) -> bool:
    return spec.clusterIPs == ["None"]


def _check_topology_annotations(service: Service, out: list[Problem]) -> None:
    annotations = service.metadata.annotations or {}
    if MODE in annotations and annotations.get(HINTS, annotations[MODE]) != annotations[MODE]:
        told = f"must match annotations[{HINTS}] when both are specified"
        out.append(invalid((METADATA / "annotations")[MODE], annotations[MODE], told))


def _check_type(service: Service, headless: bool, out: list[Problem]) -> None:
    spec = service.spec
    if spec.type in ("LoadBalancer", "NodePort"):
        if headless:
            told = f"may not be set to 'None' for {spec.type} services"
            out.append(invalid((SPEC / "clusterIPs")[0], "None", told))
    elif spec.type == "ExternalName":
        if spec.clusterIPs:
            out.append(forbidden(SPEC / "clusterIPs", NOT_FOR_NAMES))
        if spec.ipFamilies:
            out.append(forbidden(SPEC / "ipFamilies", NOT_FOR_NAMES))
        if spec.ipFamilyPolicy is not None:
            out.append(forbidden(SPEC / "ipFamilyPolicy", NOT_FOR_NAMES))
        name = (spec.externalName or "").removesuffix(".")
        if not name:
            out.append(required(SPEC / "externalName"))
        elif messages := names.dns1123_subdomain(name):
            out += all_invalid(SPEC / "externalName", name, messages)


def _check_ports(spec: ServiceSpec, out: list[Problem]) -> None:
    ports = spec.ports or []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        place = (SPEC / "ports")[index]
        if port.name:
            if messages := names.dns1123_label(port.name):
                out += all_invalid(place / "name", port.name, messages)
            if port.name in seen:
                out.append(duplicate(place / "name", port.name))
            seen.add(port.name)
        elif len(ports) > 1:
            out.append(required(place / "name"))
        _check_port(port, place, out)


def _check_port(port: ServicePort, place: Path, out: list[Problem]) -> None:
    if messages := names.port_number(port.port):
        out += all_invalid(place / "port", port.port, messages)
    if port.protocol not in PROTOCOLS:
        where = place / "protocol"
        known = not_supported(where, port.protocol, PROTOCOLS)
        out.append(known if port.protocol else required(where))
    check_port(port.targetPort, place / "targetPort", out)
    if port.appProtocol is not None and (messages := names.qualified_name(port.appProtocol)):
        out += all_invalid(place / "appProtocol", port.appProtocol, messages)


def _check_unique_ports(spec: ServiceSpec, out: list[Problem]) -> None:
    ports = spec.ports or []
    taken: set[tuple[str | None, int]] = set()
    seen: set[tuple[str | None, int]] = set()
    for index, port in enumerate(ports):
        if not port.nodePort:
            continue
        place = (SPEC / "ports")[index] / "nodePort"
        if spec.type == "ClusterIP":
            out.append(forbidden(place, "may not be used when `type` is 'ClusterIP'"))
        if (port.protocol, port.nodePort) in taken:
            out.append(duplicate(place, port.nodePort))
        taken.add((port.protocol, port.nodePort))
    for index, port in enumerate(ports):
        if (port.protocol, port.port) in seen:
            out.append(duplicate((SPEC / "ports")[index], _bare_port(port)))
        seen.add((port.protocol, port.port))


def _bare_port(port: ServicePort) -> Fields:
    """Return what two ports must not have in common."""
    return Fields(
        Name="", Protocol=port.protocol, AppProtocol=None, Port=port.port, TargetPort=0, NodePort=0
    )


def _check_affinity(spec: ServiceSpec, out: list[Problem]) -> None:
    place = SPEC / "sessionAffinity"
    if not spec.sessionAffinity:
        out.append(required(place))
    elif spec.sessionAffinity not in AFFINITIES:
        out.append(not_supported(place, spec.sessionAffinity, AFFINITIES))
    place = SPEC / "sessionAffinityConfig"
    if spec.sessionAffinity == "ClientIP":
        _check_client_ip(spec.sessionAffinityConfig, place, out)
    elif spec.sessionAffinity == "None" and spec.sessionAffinityConfig is not None:
        told = "must not be set when session affinity is None"
        out.append(forbidden(place, told))


def _check_client_ip(
    config: SessionAffinityConfig | None, path: Path, out: list[Problem]
) -> None:
    told = "when session affinity type is ClientIP"
    if config is None:
        out.append(required(path, told))
    elif config.clientIP is None:
        out.append(required(path / "clientIP", told))
    elif config.clientIP.timeoutSeconds is None:
        out.append(required(path / "clientIP" / "timeoutSeconds", told))
    elif not 0 < config.clientIP.timeoutSeconds <= AFFINITY_MAX:
        told = f"must be greater than 0 and less than {AFFINITY_MAX}"
        seconds = config.clientIP.timeoutSeconds
        out.append(invalid(path / "clientIP" / "timeoutSeconds", seconds, told))


def _check_balancer(service: Service, out: list[Problem]) -> None:
    spec = service.spec
    balanced = spec.type == "LoadBalancer"
    annotation = (service.metadata.annotations or {}).get(SOURCE_RANGES)
    if spec.loadBalancerSourceRanges:
        place = SPEC / "LoadBalancerSourceRanges"
        if not balanced:
            out.append(forbidden(place, ONLY_BALANCED))
        for index, text in enumerate(spec.loadBalancerSourceRanges):
            check_cidr(text.strip(), place[index], out)
    elif annotation is not None:
        place = (METADATA / "annotations")[SOURCE_RANGES]
        if not balanced:
            out.append(forbidden(place, ONLY_BALANCED))
        for text in annotation.split(",") if annotation.strip() else ():
            check_cidr(text.strip(), place, out)
    if spec.allocateLoadBalancerNodePorts is not None and not balanced:
        out.append(forbidden(SPEC / "allocateLoadBalancerNodePorts", ONLY_BALANCED))
    if spec.allocateLoadBalancerNodePorts is None and balanced:
        out.append(required(Path("allocateLoadBalancerNodePorts")))
    if spec.loadBalancerClass is not None:
        place = SPEC / "loadBalancerClass"
        if not balanced:
            out.append(forbidden(place, ONLY_BALANCED))
        elif messages := names.qualified_name(spec.loadBalancerClass):
            out += all_invalid(place, spec.loadBalancerClass, messages)


def _check_traffic(service: Service, out: list[Problem]) -> None:
    spec = service.spec
    place, policy = SPEC / "externalTrafficPolicy", spec.externalTrafficPolicy
    if not is_externally_accessible(service):
        if policy:
            told = "may only be set for externally-accessible services"
            out.append(invalid(place, policy, told))
    elif policy not in TRAFFIC:
        out.append(not_supported(place, policy, TRAFFIC) if policy else required(place))
    _check_health_port(service, SPEC / "healthCheckNodePort", out)
    place, policy = SPEC / "internalTrafficPolicy", spec.internalTrafficPolicy
    if policy is None:
        if spec.type in ("NodePort", "LoadBalancer", "ClusterIP"):
            out.append(required(place))
    elif policy not in TRAFFIC:
        out.append(not_supported(place, policy, TRAFFIC))
    spread = spec.trafficDistribution
    if spread is not None and spread not in DISTRIBUTIONS:
        out.append(not_supported(SPEC / "trafficDistribution", spread, DISTRIBUTIONS))


def _check_health_port(service: Service, place: Path, out: list[Problem]) -> None:
    port = service.spec.healthCheckNodePort or 0
    if not needs_health_check(service):
        if port:
            told = (
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is "
                "'Local'"
            )
            out.append(invalid(place, port, told))
    elif not port:
        out.append(required(place))
    elif messages := names.port_number(port):
        out += all_invalid(place, port, messages)


# --- addresses ----------------------------------------------------------------------------------


def check_cluster_ips(service: Service, out: list[Problem]) -> None:
    """clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy, and that they agree."""
    spec = service.spec
    if spec.type == "ExternalName":
        return
    addresses = spec.clusterIPs or []
    field = SPEC / "clusterIPs"
    if spec.clusterIP:
        if not addresses:
            out.append(required(field))
        elif addresses[0] != spec.clusterIP:
            out.append(invalid(field, addresses, "first value must match `clusterIP`"))
    elif addresses:
        told = "must be empty when `clusterIP` is not specified"
        out.append(invalid(field, addresses, told))
    _check_families(spec, out)
    if not _check_addresses(addresses, field, out):
        return
    if len(addresses) > 1 and not is_dual_stack(addresses):
        out.append(invalid(field, addresses, ONE_PER_FAMILY))
    if not _is_headless(spec):
        _check_addresses_match(addresses, spec.ipFamilies or [], field, out)


def _check_families(spec: ServiceSpec, out: list[Problem]) -> None:
    seen: set[str] = set()
    for index, family in enumerate(spec.ipFamilies or ()):
        place = (SPEC / "ipFamilies")[index]
        if family not in FAMILIES:
            out.append(not_supported(place, family, FAMILIES))
        if family in seen:
            out.append(duplicate(place, family))
        seen.add(family)
    policy = spec.ipFamilyPolicy
    if policy is not None and policy not in FAMILY_POLICIES:
        out.append(not_supported(SPEC / "ipFamilyPolicy", policy, FAMILY_POLICIES))


def _check_addresses(addresses: list[str], field: Path, out: list[Problem]) -> bool:
    before = len(out)
    for index, text in enumerate(addresses):
        if index == 0 and text == "None":
            if len(addresses) > 1:
                out.append(invalid(field, addresses, "'None' must be the first and only value"))
        else:
            check_ip(text, field[index], out)
    good = len(out) == before
    if len(addresses) > 2:
        out.append(invalid(field, addresses, "may only hold up to 2 values"))
    return good


def _check_addresses_match(
    addresses: list[str], families: list[str], field: Path, out: list[Problem]
) -> None:
    for index, (text, family) in enumerate(zip(addresses, families, strict=False)):
        parsed = parse_ip(text)
        if parsed is not None and family in FAMILIES and f"IPv{parsed.version}" != family:
            told = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            out.append(invalid(field[index], text, told))


def _check_cluster_ips_update(new: Service, old: Service, out: list[Problem]) -> None:
    if _is_headless(new.spec) and _is_headless(old.spec):
        return
    after, before = new.spec.clusterIPs or [], old.spec.clusterIPs or []
    place = SPEC / "clusterIPs"
    if len(after) == len(before):
        for index, text in enumerate(before):
            if text != after[index]:
                out.append(invalid(place[index], after, SET_ONCE))
        return
    if len(after) < len(before) and not after:
        out.append(invalid(place[0], after, "primary clusterIP can not be unset"))
    if after and before and after[0] != before[0]:
        out.append(invalid(place[0], after, SET_ONCE))
    if len(before) > len(after) == 1 and new.spec.ipFamilyPolicy != "SingleStack":
        told = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        out.append(invalid(SPEC / "ipFamilyPolicy", new.spec.ipFamilyPolicy, told))


def _check_families_update(new: Service, old: Service, out: list[Problem]) -> None:
    if _is_headless(new.spec) or _is_headless(old.spec):
        return
    after, before = new.spec.ipFamilies or [], old.spec.ipFamilies or []
    place = (SPEC / "ipFamilies")[0]
    if len(after) == len(before):
        changed = [1 for one, other in zip(after, before, strict=True) if one != other]
        out += [invalid(place, after, SET_ONCE) for _ in changed]
        return
    if len(after) < len(before) and not new.spec.clusterIPs:
        out.append(invalid(place, after, "primary ipFamily can not be unset"))
    if after and before and after[0] != before[0]:
        out.append(invalid(place, new.spec.clusterIPs or [], SET_ONCE))
    if len(before) > len(after) == 1 and new.spec.ipFamilyPolicy != "SingleStack":
        told = "must be set to 'SingleStack' when releasing the secondary ipFamily"
        out.append(invalid(SPEC / "ipFamilyPolicy", new.spec.ipFamilyPolicy, told))


# --- status -------------------------------------------------------------------------------------


def validate_service_status_update(new: Service, old: Service) -> list[Problem]:
    """Where a load balancer has its addresses."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    balancer = new.status.loadBalancer
    ingresses = (balancer.ingress if balancer is not None else None) or []
    place = STATUS / "loadBalancer" / "ingress"
    if ingresses and new.spec.type != "LoadBalancer":
        out.append(forbidden(place, "may only be used when `spec.type` is 'LoadBalancer'"))
        return out
    for index, ingress in enumerate(ingresses):
        where = place[index]
        if ingress.ip:
            check_ip(ingress.ip, where / "ip", out)
        if ingress.ipMode is None:
            if ingress.ip:
                out.append(required(where / "ipMode", "must be specified when `ip` is set"))
        elif not ingress.ip:
            out.append(forbidden(where / "ipMode", "may not be specified when `ip` is not set"))
        elif ingress.ipMode not in ("Proxy", "VIP"):
            out.append(not_supported(where / "ipMode", ingress.ipMode, ("Proxy", "VIP")))
        if ingress.hostname:
            if messages := names.dns1123_subdomain(ingress.hostname):
                out += all_invalid(where / "hostname", ingress.hostname, messages)
            if parse_ip(ingress.hostname) is not None:
                told = "must be a DNS name, not an IP address"
                out.append(invalid(where / "hostname", ingress.hostname, told))
    return out
