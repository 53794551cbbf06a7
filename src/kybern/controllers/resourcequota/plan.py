"""What a quota's status has to say.

In:   a ResourceQuota and the objects of its namespace, by resource.
Out:  the status.
By:   resourcequota.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.core import quotas
from kybern.api.core.v1 import ResourceQuotaStatus
from kybern.api.quantity import ZERO, Quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.api.core.v1 import ResourceQuota

    Resource = tuple[str, str]

OWN = (("", "pods"), ("", "services"), ("", "persistentvolumeclaims"))
"""Resources of which quotas count more than how many there are."""


def resources_of(quota: ResourceQuota) -> set[Resource]:
    """Return group and plural of everything that has to be looked at to count for a quota."""
    hard = quota.spec.hard or {}
    found = {resource for resource in OWN if quotas.meter(*resource).names(hard)}
    for name in hard:
        if name.startswith("count/"):
            plural, _, group = name.removeprefix("count/").partition(".")
            found.add((group, plural))
        elif name in quotas.PLAIN_NAMES:
            found.add(("", name))
    return found


def status(
    quota: ResourceQuota, objects: Callable[[Resource], Iterable[Any] | None], now: float
) -> ResourceQuotaStatus:
    """Return what is used of each resource, counted anew.

    Args:
        quota: what is limited.
        objects: returns the objects of a resource in the quota's namespace; None when there is no
            such resource, whose names then keep what they said.
        now: in seconds since 1970.
    """
    hard = quota.spec.hard or {}
    scopes = quotas.scopes(quota)
    used: dict[str, str] = {
        name: text for name, text in (quota.status.used or {}).items() if name in hard
    }
    for resource in resources_of(quota):
        meter = quotas.meter(*resource)
        found = objects(resource)
        if found is None:
            continue
        sums: dict[str, Quantity] = dict.fromkeys(meter.names(hard), ZERO)
        for obj in found:
            if not quotas.counts(meter, scopes, obj):
                continue
            for name, amount in meter.usage(obj, now).items():
                if name in sums:
                    sums[name] += amount
        used.update((name, str(amount)) for name, amount in sums.items())
    return ResourceQuotaStatus(hard=dict(hard) or None, used=used or None)
