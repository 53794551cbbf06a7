"""The control groups of pods: one per quality-of-service class, one per pod below.

In:   a Pod.
Out:  the parent its containers' cgroups get; limits written there; nothing left when it is gone.
By:   pods/act.py, teardown.

    /kubepods/pod<uid>                  Guaranteed
    /kubepods/burstable/pod<uid>
    /kubepods/besteffort/pod<uid>

On cgroup v1 the directories are made in the hierarchies whose limits are set; the runtime makes the
others. With the systemd driver the names are slices, and the runtime asks systemd to make them.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.kubelet.pods import qos
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod

log = logs.get("kubelet.cgroups")
MOUNT = Path("/sys/fs/cgroup")
CLASSES = {qos.BURSTABLE: "burstable", qos.BEST_EFFORT: "besteffort"}
V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


class Cgroups:
    """The pods' part of the cgroup tree."""

    def __init__(
        self, root: str, version: int, *, systemd: bool = False, mount: Path = MOUNT
    ) -> None:
        """Take the absolute cgroup below which pods are, such as `/kubepods`."""
        self._root = root.rstrip("/")
        self._version = version
        self._systemd = systemd
        self._mount = mount

    def prepare(self) -> None:
        """Make the classes' cgroups. Best-effort pods together get the least CPU time."""
        if self._systemd:
            return
        for name in ("", *CLASSES.values()):
            self._make(f"{self._root}/{name}".rstrip("/"))
        least = qos.PodLimits(qos.MIN_SHARES, 0, 0)
        self._limit(f"{self._root}/besteffort", least)

    def parent(self, pod: Pod) -> str:
        """Return what the runtime is to put the pod's containers below."""
        path = self.path(pod.metadata.uid or "", qos.qos_class(pod))
        return _as_slice(path) if self._systemd else path

    def path(self, uid: str, kind: str) -> str:
        """Return the pod's cgroup, as a path from the root."""
        middle = CLASSES.get(kind)
        return "/".join(part for part in (self._root, middle, f"pod{uid}") if part)

    def make(self, pod: Pod) -> None:
        """Make the pod's cgroup and write its limits.

        Raises:
            OSError: the kernel refused.
        """
        if self._systemd:
            return
        path = self.path(pod.metadata.uid or "", qos.qos_class(pod))
        self._make(path)
        self._limit(path, qos.pod_limits(pod))

    def limits(self, pod: Pod) -> qos.PodLimits | None:
        """Return the limits of the pod's cgroup as they are; None when it is not ours to write.

        Raises:
            OSError: they cannot be read.
        """
        place = self.path(pod.metadata.uid or "", qos.qos_class(pod)).lstrip("/")
        if self._systemd:
            return None
        if self._version == 2:
            cpu = (_read(self._mount / place / "cpu.max") or "max").split()[0]
            memory = _read(self._mount / place / "memory.max") or "max"
        else:
            cpu = _read(self._mount / "cpu" / place / "cpu.cfs_quota_us") or "-1"
            memory = _read(self._mount / "memory" / place / "memory.limit_in_bytes") or "max"
        return qos.PodLimits(0, _finite(cpu), _finite(memory))

    def write_limits(self, pod: Pod, limits: qos.PodLimits) -> None:
        """Change the limits of the pod's cgroup.

        Raises:
            OSError: the kernel refused.
        """
        self._limit(self.path(pod.metadata.uid or "", qos.qos_class(pod)), limits)

    def memory_usage(self, pod: Pod) -> int:
        """Return how much memory the pod uses, in bytes; 0 when nobody counts.

        Raises:
            OSError: it cannot be read.
        """
        place = self.path(pod.metadata.uid or "", qos.qos_class(pod)).lstrip("/")
        if self._version == 2:
            found = _read(self._mount / place / "memory.current")
        else:
            found = _read(self._mount / "memory" / place / "memory.usage_in_bytes")
        return int(found or 0)

    def remove(self, uid: str) -> None:
        """Remove a pod's cgroups, when they are empty."""
        for kind in (qos.GUARANTEED, qos.BURSTABLE, qos.BEST_EFFORT):
            for directory in self._directories(self.path(uid, kind)):
                _remove_tree(directory)

    def remove_all(self) -> None:
        """Remove every pod's cgroup and the classes'."""
        for directory in self._directories(self._root):
            _remove_tree(directory)

    def left_behind(self) -> set[str]:
        """Return the uids of pods which have a cgroup."""
        found: set[str] = set()
        for kind in (qos.GUARANTEED, qos.BURSTABLE, qos.BEST_EFFORT):
            above = os.path.dirname(self.path("", kind))
            for directory in self._directories(above):
                found.update(name[3:] for name in os.listdir(directory) if name.startswith("pod"))
        return found

    def _make(self, path: str) -> None:
        if self._version == 2:
            self._make_v2(path)
            return
        for controller in ("cpu", "memory"):
            hierarchy = self._mount / controller
            if hierarchy.is_dir():
                (hierarchy / path.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _make_v2(self, path: str) -> None:
        here = self._mount
        for part in path.strip("/").split("/"):
            _delegate(here)
            here /= part
            here.mkdir(exist_ok=True)
        _delegate(here)

    def _limit(self, path: str, limits: qos.PodLimits) -> None:
        place = path.lstrip("/")
        if self._version == 2:
            directory = self._mount / place
            limit = f"{limits.cpu_quota} {qos.PERIOD}" if limits.cpu_quota else f"max {qos.PERIOD}"
            _write(directory / "cpu.weight", str(qos.weight(limits.cpu_shares)))
            _write(directory / "cpu.max", limit)
            _write(directory / "memory.max", str(limits.memory or "max"))
            return
        _write(self._mount / "cpu" / place / "cpu.shares", str(limits.cpu_shares))
        if limits.cpu_quota:
            _write(self._mount / "cpu" / place / "cpu.cfs_period_us", str(qos.PERIOD))
            _write(self._mount / "cpu" / place / "cpu.cfs_quota_us", str(limits.cpu_quota))
        if limits.memory:
            memory = self._mount / "memory" / place
            _write(memory / "memory.limit_in_bytes", str(limits.memory))

    def _directories(self, path: str) -> list[Path]:
        place = path.lstrip("/")
        if self._version == 2:
            candidates = [self._mount / place]
        else:
            # Several names can stand for one hierarchy (cpu,cpuacct); removing twice does no harm.
            candidates = [top / place for top in self._mount.iterdir() if top.is_dir()]
        return [directory for directory in candidates if directory.is_dir()]


def _as_slice(path: str) -> str:
    """Return a cgroup path as systemd names its slices: each name holds those above it."""
    return "-".join(part.replace("-", "_") for part in path.strip("/").split("/")) + ".slice"


def _delegate(directory: Path) -> None:
    """Turn on, for the cgroups below, every controller there is here."""
    control = directory / "cgroup.subtree_control"
    try:
        available = (directory / "cgroup.controllers").read_text(encoding="ascii").split()
        enabled = control.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return
    missing = [c for c in V2_CONTROLLERS if c in available and c not in enabled]
    if missing:
        _write(control, " ".join(f"+{controller}" for controller in missing))


def _write(file: Path, value: str) -> None:
    """Write a limit; a controller this kernel does not have cannot limit anything."""
    try:
        with open(file, "w", encoding="ascii") as handle:
            handle.write(value)
    except FileNotFoundError:
        log.debug("no such cgroup file", file=file)


def _read(file: Path) -> str:
    """Return what a file of a cgroup says; "" when this kernel does not have it."""
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def _finite(text: str) -> int:
    """Return a limit; 0 when it is none, or larger than any memory there could be."""
    number = int(text) if text.isdigit() else 0
    return number if number < 1 << 62 else 0


def _remove_tree(directory: Path) -> None:
    """Remove a cgroup and those below; one with processes stays, and is tried again later."""
    for path, _, _ in os.walk(directory, topdown=False):
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOENT, errno.ENOTEMPTY):
                raise
            log.debug("cgroup is still in use", path=path)
