"""Which IP families a Service is of.

In:   a Service's spec, the one it replaces, the families that the cluster has.
Out:  ipFamilyPolicy and ipFamilies filled in, what is released cut off; or problems.
By:   services.py, before addresses are taken. Pure.

A Service becomes one of two families, or of one again, only when somebody says so: by its policy,
or by a second family or address. That the cluster has changed is no reason. Source of the rules:
upstream's pkg/registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api.core.validation.services import check_cluster_ips
from kybern.api.field_path import Path, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.core.v1 import Service, ServiceSpec

NONE: Final = "None"
SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
OTHER: Final = {"IPv4": "IPv6", "IPv6": "IPv4"}
POLICY, FAMILIES = Path("spec") / "ipFamilyPolicy", Path("spec") / "ipFamilies"
CLUSTER_IPS = Path("spec") / "clusterIPs"
TO_RELEASE: Final = "must be 'SingleStack' to release the secondary "
TO_HAVE_TWO: Final = "must be 'RequireDualStack' or 'PreferDualStack' when multiple "


def settle(service: Service, old: Service | None, configured: Sequence[str]) -> list[Problem]:
    """Fill in what was not said about families.

    Args:
        service: changed in place.
        old: what it replaces; None for a new one.
        configured: the families of the cluster's networks, the default first.
    """
    spec, before = service.spec, None if old is None else old.spec
    if spec.type == "ExternalName" or keeps_preference(spec, before):
        return []
    spec.ipFamilyPolicy = spec.ipFamilyPolicy or _policy(spec, before)
    problems: list[Problem] = []
    check_cluster_ips(service, problems)
    if problems:
        return problems
    if before is not None:
        problems += _shrink(spec, before)
    problems += _too_many(spec)
    problems += _infer(spec, configured)
    if problems:
        return problems
    if is_open(spec):
        # Nobody here decides which addresses there are: the cluster need not have the families.
        _complete(spec, configured[0], both=spec.ipFamilyPolicy != SINGLE)
        return []
    problems = _missing(spec, configured)
    if not problems:
        _complete(spec, configured[0], both=spec.ipFamilyPolicy != SINGLE and len(configured) == 2)
    return problems


def keeps_preference(spec: ServiceSpec, before: ServiceSpec | None) -> bool:
    """Whether a Service preferred two families and still does, with the addresses it has."""
    return (
        before is not None
        and spec.type == before.type
        and spec.type in ("ClusterIP", "NodePort", "LoadBalancer")
        and spec.ipFamilyPolicy == PREFER
        and before.ipFamilyPolicy in (PREFER, None)
        and (spec.clusterIPs or []) == (before.clusterIPs or [])
        and (spec.ipFamilies or []) == (before.ipFamilies or [])
    )


def is_open(spec: ServiceSpec) -> bool:
    """Whether it is headless and without a selector: somebody else says where it leads."""
    return spec.clusterIP == NONE and not spec.selector


def _policy(spec: ServiceSpec, before: ServiceSpec | None) -> str:
    if before is not None and before.ipFamilyPolicy:
        return before.ipFamilyPolicy
    return REQUIRE if is_open(spec) else SINGLE


def _shrink(spec: ServiceSpec, before: ServiceSpec) -> list[Problem]:
    """Let go of the second address and family; only the policy can ask for that."""
    addresses, families = spec.clusterIPs or [], spec.ipFamilies or []
    if spec.ipFamilyPolicy == SINGLE:
        if addresses == (before.clusterIPs or []):
            spec.clusterIPs = addresses[:1] or None
        if families == (before.ipFamilies or []):
            spec.ipFamilies = families[:1] or None
        return []
    problems = []
    for now, then, what in (
        (addresses, before.clusterIPs or [], "cluster IP"),
        (families, before.ipFamilies or [], "IP family"),
    ):
        if 0 < len(now) < len(then):
            problems.append(invalid(POLICY, spec.ipFamilyPolicy, TO_RELEASE + what))
    return problems


def _too_many(spec: ServiceSpec) -> list[Problem]:
    if spec.ipFamilyPolicy != SINGLE:
        return []
    return [
        invalid(POLICY, spec.ipFamilyPolicy, f"{TO_HAVE_TWO}{what} are specified")
        for some, what in ((spec.clusterIPs, "cluster IPs"), (spec.ipFamilies, "IP families"))
        if len(some or ()) == 2
    ]


def _infer(spec: ServiceSpec, configured: Sequence[str]) -> list[Problem]:
    """Take over the families of the addresses that were asked for."""
    problems = []
    families = list(spec.ipFamilies or ())
    addresses = spec.clusterIPs or []
    for index, address in enumerate(addresses):
        if address == NONE:
            break
        if index < len(families):
            continue
        family = "IPv6" if ":" in address else "IPv4"
        if family in configured:
            families.append(family)
        else:
            told = f"{family} is not configured on this cluster"
            problems.append(invalid(CLUSTER_IPS[index], addresses, told))
    spec.ipFamilies = families or None
    return problems


def _missing(spec: ServiceSpec, configured: Sequence[str]) -> list[Problem]:
    problems = []
    if spec.ipFamilyPolicy == REQUIRE and len(configured) < 2:
        told = "this cluster is not configured for dual-stack services"
        problems.append(invalid(POLICY, spec.ipFamilyPolicy, told))
    problems += [
        invalid(FAMILIES[index], family, "not configured on this cluster")
        for index, family in enumerate(spec.ipFamilies or ())
        if family not in configured
    ]
    return problems


def _complete(spec: ServiceSpec, default: str, *, both: bool) -> None:
    families = spec.ipFamilies or [default]
    if both and len(families) == 1:
        families = [*families, OTHER[families[0]]]
    spec.ipFamilies = families
