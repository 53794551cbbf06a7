"""What the networking kinds must be.

In:   an object; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/networking/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.addresses import check_cidr, check_ip, is_dual_stack, parse_cidr, parse_ip
from kybern.api.bad_value import NIL
from kybern.api.core.validation.probes import check_port
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)
from kybern.api.meta.validation import (
    SPEC,
    STATUS,
    check_immutable,
    check_meta_update,
    check_selector,
)
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.core.v1 import TypedLocalObjectReference
    from kybern.api.networking.v1 import (
        HTTPIngressPath,
        Ingress,
        IngressBackend,
        IngressClass,
        IngressClassParametersReference,
        IngressRule,
        IngressTLS,
        IPAddress,
        IPBlock,
        NetworkPolicy,
        NetworkPolicyPeer,
        NetworkPolicyPort,
        ServiceCIDR,
    )

PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
DIRECTIONS: Final = ("Ingress", "Egress")
PATH_TYPES: Final = ("Exact", "ImplementationSpecific", "Prefix")
BAD_SEQUENCES: Final = ("//", "/./", "/../", "%2f", "%2F")
BAD_SUFFIXES: Final = ("/..", "/.")
CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
CONTROLLER_MAX: Final = 250
NOT_AN_IP: Final = "must be a DNS name, not an IP address"


# --- network policies ---------------------------------------------------------------------------


def check_network_policy(obj: NetworkPolicy, out: list[Problem]) -> None:
    """Who may speak to the pods selected, and to whom they may."""
    spec = obj.spec
    check_selector(spec.podSelector, SPEC / "podSelector", out)
    for index, ingress in enumerate(spec.ingress or ()):
        place = (SPEC / "ingress")[index]
        _check_ports(ingress.ports or [], place / "ports", out)
        _check_peers(ingress.from_ or [], place / "from", out)
    for index, egress in enumerate(spec.egress or ()):
        place = (SPEC / "egress")[index]
        _check_ports(egress.ports or [], place / "ports", out)
        _check_peers(egress.to or [], place / "to", out)
    types = spec.policyTypes or []
    place = SPEC / "policyTypes"
    if len(types) > len(DIRECTIONS):
        out.append(invalid(place, types, "may not specify more than two policyTypes"))
        return
    for index, direction in enumerate(types):
        if direction not in DIRECTIONS:
            out.append(not_supported(place[index], direction, DIRECTIONS))


def _check_ports(ports: list[NetworkPolicyPort], path: Path, out: list[Problem]) -> None:
    for index, port in enumerate(ports):
        place, end = path[index], port.endPort
        if port.protocol is not None and port.protocol not in PROTOCOLS:
            out.append(not_supported(place / "protocol", port.protocol, PROTOCOLS))
        if port.port is not None:
            check_port(port.port, place / "port", out)
        if end is None:
            continue
        if port.port is None:
            told = "may not be specified when `port` is not specified"
            out.append(invalid(place / "endPort", end, told))
        elif isinstance(port.port, str):
            told = "may not be specified when `port` is non-numeric"
            out.append(invalid(place / "endPort", end, told))
        else:
            if end < port.port:
                told = "must be greater than or equal to `port`"
                out.append(invalid(place / "endPort", end, told))
            if messages := names.port_number(end):
                out += all_invalid(place / "endPort", end, messages)


def _check_peers(peers: list[NetworkPolicyPeer], path: Path, out: list[Problem]) -> None:
    for index, peer in enumerate(peers):
        place = path[index]
        check_selector(peer.podSelector, place / "podSelector", out)
        check_selector(peer.namespaceSelector, place / "namespaceSelector", out)
        selected = peer.podSelector is not None or peer.namespaceSelector is not None
        if peer.ipBlock is not None:
            _check_block(peer.ipBlock, place / "ipBlock", out)
            if selected:
                told = "may not specify both ipBlock and another peer"
                out.append(forbidden(place, told))
        elif not selected:
            out.append(required(place, "must specify a peer"))


def _check_block(block: IPBlock, path: Path, out: list[Problem]) -> None:
    if not block.cidr:
        out.append(required(path / "cidr"))
        return
    check_cidr(block.cidr, path / "cidr", out)
    whole = parse_cidr(block.cidr)
    for index, text in enumerate(block.except_ or ()):
        place = (path / "except")[index]
        check_cidr(text, place, out)
        part = parse_cidr(text)
        if whole is None or part is None:
            continue
        inside = part.version == whole.version and part.network_address in whole
        if not inside or whole.prefixlen >= part.prefixlen:
            out.append(invalid(place, text, "must be a strict subset of `cidr`"))


# --- ingresses ----------------------------------------------------------------------------------


def validate_ingress(obj: Ingress) -> list[Problem]:
    """An ingress about to be created: as ever, and its class is said once."""
    out = _INGRESS.create(obj)
    annotation = (obj.metadata.annotations or {}).get(CLASS_ANNOTATION)
    name = obj.spec.ingressClassName
    if annotation is not None and name is not None and annotation != name:
        told = "must match `ingressClassName` when both are specified"
        out.append(invalid(Path("annotations") / CLASS_ANNOTATION, annotation, told))
    return out


def check_ingress(obj: Ingress, out: list[Problem]) -> None:
    """Which requests go to which services."""
    spec = obj.spec
    if not spec.rules and spec.defaultBackend is None:
        told = "either `defaultBackend` or `rules` must be specified"
        out.append(invalid(SPEC, spec.rules or NIL, told))
    if spec.defaultBackend is not None:
        _check_backend(spec.defaultBackend, SPEC / "defaultBackend", out)
    for index, rule in enumerate(spec.rules or ()):
        _check_rule(rule, (SPEC / "rules")[index], out)
    for index, tls in enumerate(spec.tls or ()):
        _check_tls(tls, (SPEC / "tls")[index], out)
    name = spec.ingressClassName
    if name is not None and (messages := names.dns1123_subdomain(name)):
        out += all_invalid(SPEC / "ingressClassName", name, messages)


def _check_host(host: str, place: Path, out: list[Problem]) -> None:
    rule = names.wildcard_subdomain if "*" in host else names.dns1123_subdomain
    if messages := rule(host):
        out += all_invalid(place, host, messages)


def _check_rule(rule: IngressRule, path: Path, out: list[Problem]) -> None:
    if rule.host:
        if parse_ip(rule.host) is not None:
            out.append(invalid(path / "host", rule.host, NOT_AN_IP))
        _check_host(rule.host, path / "host", out)
    if rule.http is None:
        return
    place = path / "http" / "paths"
    if not rule.http.paths:
        out.append(required(place))
    for index, each in enumerate(rule.http.paths):
        _check_path(each, place[index], out)


def _check_path(each: HTTPIngressPath, path: Path, out: list[Problem]) -> None:
    text = each.path or ""
    place = path / "path"
    if not each.pathType:
        out.append(required(path / "pathType", "pathType must be specified"))
        return
    if each.pathType not in PATH_TYPES:
        out.append(not_supported(path / "pathType", each.pathType, PATH_TYPES))
    elif each.pathType == "ImplementationSpecific":
        if text and not text.startswith("/"):
            out.append(invalid(place, text, "must be an absolute path"))
    else:
        if not text.startswith("/"):
            out.append(invalid(place, text, "must be an absolute path"))
        found = [each for each in BAD_SEQUENCES if each in text]
        out += [invalid(place, text, f"must not contain '{each}'") for each in found]
        found = [each for each in BAD_SUFFIXES if text.endswith(each)]
        out += [invalid(place, text, f"cannot end with '{each}'") for each in found]
    _check_backend(each.backend, path / "backend", out)


def _check_backend(backend: IngressBackend, path: Path, out: list[Problem]) -> None:
    service = backend.service
    if backend.resource is not None:
        if service is not None:
            told = "cannot set both resource and service backends"
            out.append(invalid(path, "", told))
        else:
            _check_resource(backend.resource, path / "resource", out)
        return
    if service is None:
        out.append(invalid(path, "", "resource or service backend is required"))
        return
    if not service.name:
        out.append(required(path / "service" / "name"))
    elif messages := names.dns1035_label(service.name):
        out += all_invalid(path / "service" / "name", service.name, messages)
    port = service.port
    name, number = (port.name, port.number) if port is not None else (None, None)
    place = path / "service" / "port"
    if name and number:
        out.append(invalid(path, "", "cannot set both port name & port number"))
    elif name:
        out += all_invalid(place / "name", name, names.port_name(name))
    elif number:
        out += all_invalid(place / "number", number, names.port_number(number))
    else:
        out.append(required(path, "port name or number is required"))


def _check_resource(ref: TypedLocalObjectReference, path: Path, out: list[Problem]) -> None:
    if ref.apiGroup is not None:
        out += all_invalid(path / "apiGroup", ref.apiGroup, names.dns1123_subdomain(ref.apiGroup))
    for field in ("kind", "name"):
        text = getattr(ref, field)
        if not text:
            out.append(required(path / field))
        else:
            out += all_invalid(path / field, text, names.path_segment(text))


def _check_tls(tls: IngressTLS, path: Path, out: list[Problem]) -> None:
    for index, host in enumerate(tls.hosts or ()):
        _check_host(host, (path / "hosts")[index], out)
    if tls.secretName and (messages := names.dns1123_subdomain(tls.secretName)):
        out += all_invalid(path / "secretName", tls.secretName, messages)


def validate_ingress_status_update(new: Ingress, old: Ingress) -> list[Problem]:
    """Where it is reached."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    balancer = new.status.loadBalancer
    for index, ingress in enumerate((balancer and balancer.ingress) or ()):
        place = (STATUS / "loadBalancer" / "ingress")[index]
        if ingress.ip:
            check_ip(ingress.ip, place / "ip", out)
        if ingress.hostname:
            messages = names.dns1123_subdomain(ingress.hostname)
            out += all_invalid(place / "hostname", ingress.hostname, messages)
            if parse_ip(ingress.hostname) is not None:
                out.append(invalid(place / "hostname", ingress.hostname, NOT_AN_IP))
    return out


# --- ingress classes ----------------------------------------------------------------------------


def check_ingress_class(obj: IngressClass, out: list[Problem]) -> None:
    """Which controller looks after ingresses of a class."""
    controller, place = obj.spec.controller or "", SPEC / "controller"
    if not controller:
        out.append(required(place))
    else:
        if names.size(controller) > CONTROLLER_MAX:
            out.append(too_long(place, CONTROLLER_MAX))
        check_prefixed_path(controller, place, out)
    if obj.spec.parameters is not None:
        _check_parameters(obj.spec.parameters, SPEC / "parameters", out)


def check_prefixed_path(text: str, place: Path, out: list[Problem]) -> None:
    """A domain, a slash and a path, such as `acme.io/foo`."""
    domain, slash, rest = text.partition("/")
    if not slash or not domain or not rest:
        told = 'must be a domain-prefixed path (such as "acme.io/foo")'
        out.append(invalid(place, text, told))
        return
    out += all_invalid(place, domain, names.dns1123_subdomain(domain))
    out += all_invalid(place, rest, names.http_path(rest))


def _check_parameters(ref: IngressClassParametersReference, path: Path, out: list[Problem]) -> None:
    if ref.apiGroup is not None:
        out += all_invalid(path / "apiGroup", ref.apiGroup, names.dns1123_subdomain(ref.apiGroup))
    for field in ("kind", "name"):
        text = getattr(ref, field)
        if not text:
            out.append(required(path / field))
        else:
            out += all_invalid(path / field, text, names.path_segment(text))
    if ref.scope == "Namespace":
        if ref.namespace is None:
            told = "`parameters.scope` is set to 'Namespace'"
            out.append(required(path / "namespace", told))
        else:
            messages = names.dns1123_label(ref.namespace)
            out += all_invalid(path / "namespace", ref.namespace, messages)
    elif ref.scope == "Cluster":
        if ref.namespace is not None:
            told = "`parameters.scope` is set to 'Cluster'"
            out.append(forbidden(path / "namespace", told))
    elif ref.scope is None:
        out.append(required(path / "scope"))
    else:
        out.append(not_supported(path / "scope", ref.scope, ("Cluster", "Namespace")))


def check_ingress_class_change(new: IngressClass, old: IngressClass, out: list[Problem]) -> None:
    """The controller stays."""
    check_immutable(new.spec.controller, old.spec.controller, SPEC / "controller", out)


# --- addresses of services ----------------------------------------------------------------------


def ip_address_name(name: str) -> tuple[str, ...]:
    """An IPAddress is called by its address, in canonical form."""
    parsed = parse_ip(name)
    if parsed is None:
        return ("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",)
    return () if str(parsed) == name else ("must be a valid IP address in canonical form",)


def check_ip_address(obj: IPAddress, out: list[Problem]) -> None:
    """An address and the service that has it."""
    ref, place = obj.spec.parentRef, SPEC / "parentRef"
    if ref.group and (messages := names.dns1123_subdomain(ref.group)):
        out += all_invalid(place / "group", ref.group, messages)
    for field in ("resource", "name"):
        text = getattr(ref, field)
        if not text:
            out.append(required(place / field))
        else:
            out += all_invalid(place / field, text, names.path_segment(text))
    if ref.namespace:
        messages = names.path_segment(ref.namespace)
        out += all_invalid(place / "namespace", ref.namespace, messages)


def check_ip_address_change(new: IPAddress, old: IPAddress, out: list[Problem]) -> None:
    """An address belongs to one service until it is given back."""
    check_immutable(new.spec.parentRef, old.spec.parentRef, SPEC / "parentRef", out)


def check_service_cidr(obj: ServiceCIDR, out: list[Problem]) -> None:
    """Networks from which services get addresses."""
    networks, place = obj.spec.cidrs or [], SPEC / "cidrs"
    if not networks:
        out.append(required(place, "at least one CIDR required"))
        return
    if len(networks) > 2:
        told = "may only hold up to 2 values"
        out.append(invalid(place, networks, told))
    if len(networks) == 2 and not is_dual_stack(networks):
        told = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        out.append(invalid(place, networks, told))
    for index, text in enumerate(networks):
        check_cidr(text, place[index], out)
        parsed = parse_cidr(text)
        if parsed is not None and str(parsed) != text:
            told = f'must be in canonical form ("{parsed}")'
            out.append(invalid(place[index], text, told))


def check_service_cidr_change(new: ServiceCIDR, old: ServiceCIDR, out: list[Problem]) -> None:
    """Networks stay, but for a second family."""
    after, before = new.spec.cidrs or [], old.spec.cidrs or []
    if after[: len(before)] != before:
        check_immutable(after, before, SPEC / "cidrs", out)


_INGRESS: Final = rules(check_ingress, status=validate_ingress_status_update)

VALIDATORS: Final[dict[str, Rules]] = {
    "IPAddress": rules(
        check_ip_address,
        namespaced=False,
        name=ip_address_name,
        change=check_ip_address_change,
    ),
    "Ingress": Rules(validate_ingress, _INGRESS.update, _INGRESS.status),
    "IngressClass": rules(check_ingress_class, namespaced=False, change=check_ingress_class_change),
    "NetworkPolicy": rules(check_network_policy),
    "ServiceCIDR": rules(check_service_cidr, namespaced=False, change=check_service_cidr_change),
}
