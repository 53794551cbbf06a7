"""What pods and the node use, as upstream's `/stats/summary` has it.

In:   the runtime's measurements, /proc.
Out:  JSON.
By:   app.py.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from kybern.csi.messages import UsageUnit
from kybern.kubelet.runtime import labels
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kybern.csi.messages import VolumeUsage
    from kybern.kubelet.config import KubeletConfig
    from kybern.kubelet.csi.source import CsiVolume
    from kybern.kubelet.pods.roster import Roster
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.kubelet.runtime.messages.container import ContainerStats
    from kybern.kubelet.runtime.messages.sandbox import UInt64Value

NANO = 1_000_000_000
TICKS = os.sysconf("SC_CLK_TCK")
FILL: dict[int, tuple[str, str, str]] = {
    UsageUnit.BYTES: ("availableBytes", "capacityBytes", "usedBytes"),
    UsageUnit.INODES: ("inodesFree", "inodes", "inodesUsed"),
}


async def summary(
    config: KubeletConfig,
    roster: Roster,
    runtime: Runtime,
    usage: Callable[[str], Awaitable[list[tuple[CsiVolume, list[VolumeUsage]]]]],
) -> bytes:
    """Return the summary of the node and its pods; `usage` tells of the volumes of a pod."""
    by_pod: dict[str, list[ContainerStats]] = {}
    for measured in await runtime.container_stats():
        if measured.attributes is not None:
            uid = measured.attributes.labels.get(labels.POD_UID, "")
            by_pod.setdefault(uid, []).append(measured)
    pods = []
    for worker in roster.workers():
        record = worker.record
        containers = [_container(measured) for measured in by_pod.get(record.uid, ())]
        if containers:
            reference = {"name": record.name, "namespace": record.namespace, "uid": record.uid}
            found = {
                "podRef": reference,
                "startTime": record.pod.status.startTime,
                "containers": containers,
                "cpu": _sum(containers, "cpu"),
                "memory": _sum(containers, "memory"),
            }
            if volumes := [_volume(*each) for each in await usage(record.uid)]:
                found["volume"] = volumes
            pods.append(found)
    return msgspec.json.encode({"node": _node(config.node_name), "pods": pods})


def _container(measured: ContainerStats) -> dict[str, Any]:
    attributes = measured.attributes
    name = attributes.labels.get(labels.CONTAINER_NAME, "") if attributes is not None else ""
    found: dict[str, Any] = {"name": name}
    if (cpu := measured.cpu) is not None:
        found["cpu"] = {
            "time": rfc3339(cpu.timestamp / NANO),
            "usageNanoCores": _value(cpu.usage_nano_cores),
            "usageCoreNanoSeconds": _value(cpu.usage_core_nano_seconds),
        }
    if (memory := measured.memory) is not None:
        found["memory"] = {
            "time": rfc3339(memory.timestamp / NANO),
            "usageBytes": _value(memory.usage_bytes) or _value(memory.working_set_bytes),
            "workingSetBytes": _value(memory.working_set_bytes),
            "rssBytes": _value(memory.rss_bytes),
        }
    return found


def _volume(volume: CsiVolume, usage: list[VolumeUsage]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": volume.volume}
    if volume.claim is not None:
        meta = volume.claim.metadata
        found["pvcRef"] = {"name": meta.name, "namespace": meta.namespace}
    for each in usage:
        if each.unit in FILL:
            free, total, used = FILL[each.unit]
            found |= {free: each.available, total: each.total, used: each.used}
    return found


def _sum(containers: list[dict[str, Any]], what: str) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for container in containers:
        for key, value in container.get(what, {}).items():
            total[key] = value if isinstance(value, str) else total.get(key, 0) + value
    return total


def _node(name: str) -> dict[str, Any]:
    memory = {}
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        key, _, rest = line.partition(":")
        memory[key] = int(rest.split()[0]) * 1024
    words = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq = (int(word) for word in words[:7])
    busy = user + nice + system + irq + softirq
    used = memory["MemTotal"] - memory["MemAvailable"]
    return {
        "nodeName": name,
        "cpu": {"usageCoreNanoSeconds": busy * NANO // TICKS},
        "memory": {
            "availableBytes": memory["MemAvailable"],
            "usageBytes": memory["MemTotal"] - memory["MemFree"],
            "workingSetBytes": used,
        },
    }


def _value(wrapped: UInt64Value | None) -> int:
    return wrapped.value if wrapped is not None else 0
