"""Which networks a cluster has: those of its slot, or those that were asked for.

In:   settings, what `kybern up` was told, a slot.
Out:  settings with their networks; what is wrong with them.
By:   `kybern up`, and settings when they are checked. Pure.
"""

from __future__ import annotations

import ipaddress
from itertools import combinations
from typing import TYPE_CHECKING, Final

import msgspec

from kybern.cluster import slots

if TYPE_CHECKING:
    from kybern.cluster.settings import Settings

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST: Final = {"--service-cidr": (28, 124), "--cluster-cidr": (24, 64)}
"""Lengths of prefixes: DNS has the tenth address of Services, a node so much of the pods'."""
SMALLEST_POOL: Final = 4  # addresses: the first and the last are not given out


def asked_for(
    chosen: Settings, service_cidr: str | None, cluster_cidr: str | None, *, dual_stack: bool
) -> Settings:
    """Return the settings with the networks that were asked for.

    Without --service-cidr and --cluster-cidr those of the slot are meant; with one of them only,
    the other is of the same families.
    """
    said = [text for text in (service_cidr, cluster_cidr) if text is not None]
    wants_both = dual_stack or any("," in text for text in said)
    if not wants_both or "," in chosen.node_cidr:
        return chosen
    ours = slots.networks(chosen.slot, dual_stack=True)
    return msgspec.structs.replace(
        chosen,
        service_cidr=service_cidr or ours["service_cidr"],
        cluster_cidr=cluster_cidr or ours["cluster_cidr"],
        node_cidr=ours["node_cidr"],
    )


def are_kept(settings: Settings) -> bool:
    """Whether addresses of Services and nodes' parts of the pods' network are in the store."""
    return bool(settings.node_name) and settings.store != "memory"


def differ(one: Settings, other: Settings) -> bool:
    """Whether Services or pods have other networks."""
    return (one.service_cidr, one.cluster_cidr) != (other.service_cidr, other.cluster_cidr)


def of_slot(chosen: Settings, slot: int) -> Settings:
    """Return the settings with the networks of a slot, but for those that were asked for."""
    before = slots.networks(chosen.slot, dual_stack=chosen.dual_stack)
    now = slots.networks(slot, dual_stack=chosen.dual_stack)
    for name in ("service_cidr", "cluster_cidr"):
        if getattr(chosen, name) != before[name]:
            now[name] = getattr(chosen, name)
    services = ipaddress.ip_network(now["service_cidr"].split(",")[0])
    now["dns_ip"] = str(services[10])
    return msgspec.structs.replace(chosen, **now)


def problems(settings: Settings) -> list[str]:
    """Return what is wrong with the networks, one sentence each."""
    found: dict[str, list[Network]] = {}
    for flag, text in (
        ("--service-cidr", settings.service_cidr), ("--cluster-cidr", settings.cluster_cidr),
    ):  # fmt: skip
        try:
            found[flag] = [ipaddress.ip_network(part) for part in text.split(",")]
        except ValueError as error:
            return [f"{flag} {text} cannot be: {error}."]
        if said := _wrong_with(flag, found[flag]):
            return said
    if len({len(each) for each in found.values()}) > 1:
        return ["--service-cidr and --cluster-cidr must be of the same IP families."]
    nodes = map(ipaddress.ip_network, settings.node_cidrs)
    for one, other in combinations((*nodes, *found["--service-cidr"], *found["--cluster-cidr"]), 2):
        if one.overlaps(other):
            return [
                f"{one} and {other} overlap: choose others with --service-cidr and --cluster-cidr."
            ]
    return _balancer_problems(settings)


def _wrong_with(flag: str, asked: list[Network]) -> list[str]:
    if [network.version for network in asked] not in ([4], [4, 6]):
        return [
            f"{flag} {','.join(map(str, asked))} cannot be: name a network of IPv4, or one of IPv4 "
            "and one of IPv6, in this order."
        ]
    return [
        f"{flag} {network} is too small: use a /{limit} or more."
        for network, limit in zip(asked, LONGEST[flag], strict=False)
        if network.prefixlen > limit
    ]


def _balancer_problems(settings: Settings) -> list[str]:
    text = settings.load_balancer_cidr
    flag = f"--load-balancer-cidr {text}"
    try:
        asked = [ipaddress.ip_network(part) for part in text.split(",") if part]
    except ValueError as error:
        return [f"{flag} cannot be: {error}."]
    families = [network.version for network in asked]
    if len(set(families)) < len(families) or (6 in families and not settings.dual_stack):
        return [f"{flag} cannot be: name one network for each IP family of the cluster."]
    others = (*settings.service_cidrs, *settings.cluster_cidrs, *settings.node_cidrs)
    taken = [
        other for other in map(ipaddress.ip_network, others) if any(map(other.overlaps, asked))
    ]
    if taken:
        return [f"{flag} cannot be: it overlaps with {taken[0]}, which the cluster has already."]
    small = [network for network in asked if network.num_addresses < SMALLEST_POOL]
    return [f"{flag} is too small: use a /{small[0].max_prefixlen - 2} or more."] if small else []
