"""Which host ports are open, on disk: they stay open while the node's program starts again.

In:   the host ports of each pod.
Out:  the same, as they were when the program ended.
By:   filter.py.

What is there counts for one run of the machine: after that no pod has the address it had. A file
that cannot be read is as none: the ports come back with their pods.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.network.rules import HostPort

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Ports = dict[str, tuple[HostPort, ...]]


class Ledger:
    """A file with the host ports of each pod, by its uid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._boot = ""
        with contextlib.suppress(OSError):
            self._boot = BOOT_ID.read_text().strip()

    def load(self) -> Ports:
        """Return what is open."""
        try:
            said = json.loads(self._path.read_bytes())
            if said["boot"] != self._boot:
                return {}
            return {uid: tuple(HostPort(*port) for port in ports) for uid, ports in said["pods"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def save(self, opened: Mapping[str, tuple[HostPort, ...]]) -> None:
        """Write it down, all of it or nothing.

        Raises:
            OSError: the disk is full.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(self._path.name + ".part")
        part.write_text(json.dumps({"boot": self._boot, "pods": list(opened.items())}))
        part.replace(self._path)
