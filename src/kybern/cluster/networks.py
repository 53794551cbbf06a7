"""Which networks a cluster has: those of its slot, or those that were asked for.

In:   settings, what `kybern up` was told, a slot.
Out:  settings with their networks.
By:   `kybern up`. Pure.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec

from kybern.cluster import slots

if TYPE_CHECKING:
    from kybern.cluster.settings import Settings


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
