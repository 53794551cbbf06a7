"""How full claims are, as metrics: what alerts about full disks are written for.

In:   what drivers say of the volumes of this node's pods.
Out:  upstream's `kubelet_volume_stats_*`, by claim.
By:   app.py, each time metrics are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.csi.messages import UsageUnit
from kybern.lib.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.kubelet.csi.volumes import CsiVolumes
    from kybern.lib.metrics import Gauge

LABELS: Final = ("namespace", "persistentvolumeclaim")


def _gauge(name: str, text: str) -> Gauge:
    return REGISTRY.gauge(f"kubelet_volume_stats_{name}", text, LABELS)


# by unit: free, all, used
GAUGES: Final[dict[int, tuple[Gauge, Gauge, Gauge]]] = {
    UsageUnit.BYTES: (
        _gauge("available_bytes", "Number of available bytes in the volume"),
        _gauge("capacity_bytes", "Capacity in bytes of the volume"),
        _gauge("used_bytes", "Number of used bytes in the volume"),
    ),
    UsageUnit.INODES: (
        _gauge("inodes_free", "Number of free inodes in the volume"),
        _gauge("inodes", "Maximum number of inodes in the volume"),
        _gauge("inodes_used", "Number of used inodes in the volume"),
    ),
}


async def update(volumes: CsiVolumes, uids: Iterable[str]) -> None:
    """Bring the metrics up to date with what these pods have."""
    found = [each for uid in uids for each in await volumes.usage(uid)]
    for gauges in GAUGES.values():
        for gauge in gauges:
            gauge.clear()
    for volume, usage in found:
        if volume.claim is None:
            continue
        claim = volume.claim.metadata
        for each in usage:
            if each.unit in GAUGES:
                free, total, used = GAUGES[each.unit]
                free.labels(claim.namespace, claim.name).set(each.available)
                total.labels(claim.namespace, claim.name).set(each.total)
                used.labels(claim.namespace, claim.name).set(each.used)
