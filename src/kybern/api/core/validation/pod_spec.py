"""The spec of a pod, in a pod or in a template.

In:   PodSpec and, for pods, their metadata.
Out:  problems appended to the list given.
By:   `pods`, `templates`; the apps and batch groups through `templates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.addresses import check_ip
from kybern.api.core.pods import aggregate_requests
from kybern.api.core.validation.containers import (
    Surroundings,
    check_containers,
    check_ephemeral_containers,
    check_init_containers,
)
from kybern.api.core.validation.operating_system import check_os
from kybern.api.core.validation.placement import (
    check_affinity,
    check_spreading,
    check_tolerations,
)
from kybern.api.core.validation.resources import check_requirements, resource_name
from kybern.api.core.validation.security import check_pod_security
from kybern.api.core.validation.volumes import check_volumes
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
from kybern.api.meta.validation import check_labels
from kybern.api.quantity import ZERO, parse

if TYPE_CHECKING:
    from kybern.api.core.v1 import PodDNSConfig, PodResourceClaim, PodSpec
    from kybern.api.meta.v1 import ObjectMeta

RESTARTS: Final = ("Always", "OnFailure", "Never")
DNS_POLICIES: Final = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
PREEMPTION: Final = ("PreemptLowerPriority", "Never")
INT32_MAX: Final = 2**31 - 1
NAMESERVERS_MAX: Final = 3
SEARCHES_MAX: Final = 32
SEARCH_CHARS_MAX: Final = 2048
HOSTNAME_MAX: Final = 64
NO_CLAIMS: Final[frozenset[str]] = frozenset()


def check_pod_spec(
    spec: PodSpec, meta: ObjectMeta | None, path: Path, out: list[Problem]
) -> None:
    """Everything in a pod spec; `meta` is None in templates."""
    if spec.terminationGracePeriodSeconds is None:
        out.append(required(path / "terminationGracePeriodSeconds"))
    claims = spec.resourceClaims
    around = Surroundings(
        volumes=check_volumes(spec.volumes, meta, path / "volumes", out) if spec.volumes else {},
        claims=frozenset(c.name for c in claims if c.name) if claims else NO_CLAIMS,
        grace=spec.terminationGracePeriodSeconds,
        restart_policy=spec.restartPolicy or "",
        host_users=spec.hostUsers is not False,
        os=spec.os.name if spec.os is not None else "",
    )
    if claims:
        _check_claims(claims, path / "resourceClaims", out)
    check_containers(spec, around, path / "containers", out)
    if spec.initContainers:
        check_init_containers(spec, around, path / "initContainers", out)
    if spec.ephemeralContainers:
        check_ephemeral_containers(spec, around, path / "ephemeralContainers", out)
    if spec.resources is not None:
        _check_pod_resources(spec, path / "resources", out)
    if spec.hostNetwork:
        _check_host_network(spec, path / "containers", out, pod=meta is not None)
    _check_policies(spec, path, out)
    if spec.securityContext is not None:
        check_pod_security(spec, path / "securityContext", out)
    _check_placement(spec, path, out)
    if spec.dnsConfig is not None or spec.dnsPolicy == "None":
        _check_dns(spec.dnsConfig, spec.dnsPolicy or "", path / "dnsConfig", out)
    _check_gates(spec, path, out)
    _check_names(spec, path, out)
    check_os(spec, path, out)


def _check_policies(spec: PodSpec, path: Path, out: list[Problem]) -> None:
    for field, known in (("restartPolicy", RESTARTS), ("dnsPolicy", DNS_POLICIES)):
        value = getattr(spec, field)
        if value not in known:
            place = path / field
            out.append(not_supported(place, value, known) if value else required(place))
    if spec.preemptionPolicy is not None and spec.preemptionPolicy not in PREEMPTION:
        place = path / "preemptionPolicy"
        known_problem = not_supported(place, spec.preemptionPolicy, PREEMPTION)
        out.append(known_problem if spec.preemptionPolicy else required(place))
    deadline = spec.activeDeadlineSeconds
    if deadline is not None and not 1 <= deadline <= INT32_MAX:
        told = names.between(1, INT32_MAX)
        out.append(invalid(path / "activeDeadlineSeconds", deadline, told))


def _check_placement(spec: PodSpec, path: Path, out: list[Problem]) -> None:
    if spec.nodeSelector:
        check_labels(spec.nodeSelector, path, "nodeSelector", out)
    if spec.affinity is not None:
        check_affinity(spec.affinity, path / "affinity", out)
    if spec.topologySpreadConstraints:
        place = path / "topologySpreadConstraints"
        check_spreading(spec.topologySpreadConstraints, place, out)
    if spec.tolerations:
        check_tolerations(spec.tolerations, path / "tolerations", out)
    if spec.overhead:
        check_overhead(spec.overhead, path / "overhead", out)


def check_overhead(overhead: dict[str, str], path: Path, out: list[Problem]) -> None:
    """Overhead of a runtime class; checked as if it were the limits of a container."""
    from kybern.api.core.v1 import ResourceRequirements

    check_requirements(ResourceRequirements(limits=overhead), path, out)


def _check_gates(spec: PodSpec, path: Path, out: list[Problem]) -> None:
    for index, gate in enumerate(spec.readinessGates or ()):
        if messages := names.qualified_name(gate.conditionType):
            place = (path / "readinessGates")[index] / "conditionType"
            out += all_invalid(place, gate.conditionType, messages)
    seen: set[str] = set()
    for index, scheduling in enumerate(spec.schedulingGates or ()):
        place = (path / "schedulingGates")[index]
        if messages := names.qualified_name(scheduling.name):
            out += all_invalid(place, scheduling.name, messages)
        if scheduling.name in seen:
            out.append(duplicate(place, scheduling.name))
        seen.add(scheduling.name)


_NAMES: Final = (
    ("serviceAccountName", names.dns1123_subdomain),
    ("nodeName", names.dns1123_subdomain),
    ("hostname", names.dns1123_label),
    ("subdomain", names.dns1123_label),
    ("priorityClassName", names.dns1123_subdomain),
)


def _check_names(spec: PodSpec, path: Path, out: list[Problem]) -> None:
    for field, rule in _NAMES:
        name = getattr(spec, field)
        if name and (messages := rule(name)):
            out += all_invalid(path / field, name, messages)
    runtime = spec.runtimeClassName
    if runtime is not None and (messages := names.dns1123_subdomain(runtime)):
        out += all_invalid(path / "runtimeClassName", runtime, messages)
    if spec.hostnameOverride is not None:
        _check_hostname_override(spec, spec.hostnameOverride, path, out)
    for index, alias in enumerate(spec.hostAliases or ()):
        place = (path / "hostAliases")[index]
        check_ip(alias.ip, place / "ip", out)
        for number, name in enumerate(alias.hostnames or ()):
            if messages := names.dns1123_subdomain(name):
                out += all_invalid((place / "hostnames")[number], name, messages)


def _check_hostname_override(
    spec: PodSpec, name: str, path: Path, out: list[Problem]
) -> None:
    place = path / "hostnameOverride"
    if messages := names.dns1123_subdomain(name):
        out += all_invalid(place, name, messages)
    if len(name) > HOSTNAME_MAX:
        told = f"must be no more than {HOSTNAME_MAX} characters"
        out.append(invalid(place, name, told))
    if spec.hostNetwork:
        told = "may not be specified when hostNetwork is true"
        out.append(forbidden(place, told))
    if spec.setHostnameAsFQDN:
        told = "may not be specified when setHostnameAsFQDN is true"
        out.append(forbidden(place, told))


def _check_dns(
    config: PodDNSConfig | None, policy: str, path: Path, out: list[Problem]
) -> None:
    if policy == "None":
        if config is None:
            told = "must provide `dnsConfig` when `dnsPolicy` is None"
            out.append(required(path, told))
            return
        if not config.nameservers:
            told = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            out.append(required(path / "nameservers", told))
            return
    if config is None:
        return
    servers, searches = config.nameservers or [], config.searches or []
    if len(servers) > NAMESERVERS_MAX:
        told = f"must not have more than {NAMESERVERS_MAX} nameservers"
        out.append(invalid(path / "nameservers", servers, told))
    for index, server in enumerate(servers):
        check_ip(server, (path / "nameservers")[index], out)
    if len(searches) > SEARCHES_MAX:
        told = f"must not have more than {SEARCHES_MAX} search paths"
        out.append(invalid(path / "searches", searches, told))
    if len(" ".join(searches)) > SEARCH_CHARS_MAX:
        told = (
            f"must not have more than {SEARCH_CHARS_MAX} characters (including spaces) in the "
            "search list"
        )
        out.append(invalid(path / "searches", searches, told))
    for index, search in enumerate(searches):
        name = search.removesuffix(".")
        messages = names.dns1123_subdomain_with_underscore(name) if search != "." else ()
        if messages:
            out += all_invalid((path / "searches")[index], name, messages)
    for index, option in enumerate(config.options or ()):
        if not option.name:
            out.append(required((path / "options")[index], "must not be empty"))


def _check_host_network(
    spec: PodSpec, path: Path, out: list[Problem], *, pod: bool
) -> None:
    for index, container in enumerate(spec.containers):
        for number, port in enumerate(container.ports or ()):
            taken = port.hostPort or 0
            if (pod or taken) and taken != port.containerPort:
                told = "must match `containerPort` when `hostNetwork` is true"
                out.append(invalid((path[index] / "ports")[number] / "hostPort", taken, told))


def _check_claims(claims: list[PodResourceClaim], path: Path, out: list[Problem]) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        place = path[index]
        if not claim.name:
            out.append(required(place / "name"))
        elif claim.name in seen:
            out.append(duplicate(place / "name", claim.name))
        elif messages := names.dns1123_label(claim.name):
            out += all_invalid(place / "name", claim.name, messages)
        seen.add(claim.name)
        one, other = claim.resourceClaimName, claim.resourceClaimTemplateName
        if one is not None and other is not None:
            told = (
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be "
                "specified"
            )
            out.append(invalid(place, claim, told))
        if one is None and other is None:
            told = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            out.append(invalid(place, claim, told))
        for field in ("resourceClaimName", "resourceClaimTemplateName"):
            name = getattr(claim, field)
            if name is not None and (messages := names.dns1123_subdomain(name)):
                out += all_invalid(place / field, name, messages)


# --- resources of the whole pod -----------------------------------------------------------------


def _pod_resource_name(name: str) -> tuple[str, ...]:
    return resource_name(name)


def _check_pod_resources(spec: PodSpec, path: Path, out: list[Problem]) -> None:
    resources = spec.resources
    if resources is None:
        return
    if resources.claims is not None:
        told = "claims cannot be set for Resources at pod-level"
        out.append(forbidden(path / "claims", told))
    check_requirements(resources, path, out, rule=_pod_resource_name)
    for field in ("limits", "requests"):
        for name in getattr(resources, field) or ():
            if not resource_name(name) and not _is_pod_level(name):
                place = (path / field)[name]
                out.append(not_supported(place, name, ("cpu", "hugepages-", "memory")))
    _check_pod_covers_containers(spec, path, out)


def _is_pod_level(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _check_pod_covers_containers(spec: PodSpec, path: Path, out: list[Problem]) -> None:
    resources = spec.resources
    asked = (resources and resources.requests) or {}
    held = (resources and resources.limits) or {}
    for name, needed in aggregate_requests(spec).items():
        if not _is_pod_level(name):
            continue
        given = parse(asked[name]) if name in asked else ZERO
        if needed > given:
            told = f"must be greater than or equal to aggregate container requests of {needed}"
            out.append(invalid((path / "requests")[name], str(given), told))
    for index, container in enumerate(spec.containers):
        limits = (container.resources and container.resources.limits) or {}
        for name, text in limits.items():
            if name in held and parse(text) > parse(held[name]):
                told = f"must be less than or equal to pod limits of {held[name]}"
                place = (path / "containers")[index][name] / "limits"
                out.append(invalid(place, text, told))
