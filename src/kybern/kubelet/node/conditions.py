"""A node's conditions.

In:   measurements, the runtime's conditions, the conditions before.
Out:  MemoryPressure, DiskPressure, PIDPressure and Ready.
By:   status.py. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api.core.v1 import NodeCondition
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.kubelet.runtime.messages.service import RuntimeCondition

MEMORY_FLOOR = 100 << 20
DISK_FLOOR, INODES_FLOOR = 0.10, 0.05
PIDS_FLOOR = 0.01
READY = "Ready"


@dataclass(frozen=True, slots=True)
class Measured:
    """How much of everything is left."""

    memory: int
    disk_free: int
    disk: int
    inodes_free: int
    inodes: int
    processes: int
    processes_max: int


def memory_pressure(measured: Measured) -> bool:
    """Say whether memory runs out."""
    return measured.memory < MEMORY_FLOOR


def disk_pressure(measured: Measured) -> bool:
    """Say whether the disk fills up."""
    few_bytes = measured.disk_free < measured.disk * DISK_FLOOR
    few_inodes = bool(measured.inodes) and measured.inodes_free < measured.inodes * INODES_FLOOR
    return few_bytes or few_inodes


def pid_pressure(measured: Measured) -> bool:
    """Say whether process numbers run out."""
    left = measured.processes_max - measured.processes
    return bool(measured.processes_max) and left < measured.processes_max * PIDS_FLOOR


def node_conditions(
    measured: Measured,
    runtime: Iterable[RuntimeCondition] | None,
    before: Iterable[NodeCondition],
    now: float,
    *,
    shutting_down: bool = False,
) -> list[NodeCondition]:
    """Return the node's conditions; `runtime` is None when it does not answer."""
    known = {condition.type: condition for condition in before}
    fresh = [
        _pressure(
            "MemoryPressure", memory_pressure(measured),
            "KubeletHasInsufficientMemory", "kubelet has insufficient memory available",
            "KubeletHasSufficientMemory", "kubelet has sufficient memory available",
        ),
        _pressure(
            "DiskPressure", disk_pressure(measured),
            "KubeletHasDiskPressure", "kubelet has disk pressure",
            "KubeletHasNoDiskPressure", "kubelet has no disk pressure",
        ),
        _pressure(
            "PIDPressure", pid_pressure(measured),
            "KubeletHasInsufficientPID", "kubelet has insufficient PID available",
            "KubeletHasSufficientPID", "kubelet has sufficient PID available",
        ),
        ready(runtime, shutting_down=shutting_down),
    ]  # fmt: skip
    stamp = rfc3339(now)
    for condition in fresh:
        old = known.get(condition.type)
        condition.lastHeartbeatTime = stamp
        same = old is not None and old.status == condition.status
        condition.lastTransitionTime = old.lastTransitionTime if old is not None and same else stamp
    return fresh


def ready(
    runtime: Iterable[RuntimeCondition] | None, *, shutting_down: bool = False
) -> NodeCondition:
    """Return the Ready condition that follows from the runtime's, and from the machine's end."""
    if runtime is None:
        problems = ["container runtime is down"]
    else:
        problems = [
            _problem(condition)
            for condition in runtime
            if condition.type in ("RuntimeReady", "NetworkReady") and not condition.status
        ]
    if shutting_down:
        problems.append("node is shutting down")
    if problems:
        return NodeCondition(
            type=READY, status="False", reason="KubeletNotReady", message=", ".join(problems)
        )
    return NodeCondition(
        type=READY,
        status="True",
        reason="KubeletReady",
        message="kubelet is posting ready status",
    )


def _problem(condition: RuntimeCondition) -> str:
    which = "runtime" if condition.type == "RuntimeReady" else "runtime network"
    return (
        f"container {which} not ready: {condition.type}=false reason:{condition.reason} "
        f"message:{condition.message}"
    )


def _pressure(
    kind: str, under_pressure: bool, bad: str, bad_text: str, good: str, good_text: str
) -> NodeCondition:
    return NodeCondition(
        type=kind,
        status="True" if under_pressure else "False",
        reason=bad if under_pressure else good,
        message=bad_text if under_pressure else good_text,
    )
