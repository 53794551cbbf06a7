"""What has to be done every few seconds: logs which have grown too long, memory which runs out.

In:   the roster, the disk, /proc.
Out:  rotated logs; a word to the node reporter when pressure begins or ends.
By:   agent.py. A look costs one stat per running container.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from typing import TYPE_CHECKING

from kybern.kubelet.node import facts
from kybern.kubelet.node.conditions import MEMORY_FLOOR
from kybern.kubelet.pods.names import log_directory_name
from kybern.kubelet.pods.view import State
from kybern.kubelet.runtime.interface import RuntimeFailure
from kybern.lib import logs

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.kubelet.config import KubeletConfig
    from kybern.kubelet.node.status import NodeReporter
    from kybern.kubelet.pods.roster import Roster
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.lib.clock import Clock

log = logs.get("kubelet.housekeeping")
INTERVAL = 10.0


class Housekeeping:
    """Looks after logs and memory."""

    def __init__(
        self,
        config: KubeletConfig,
        roster: Roster,
        runtime: Runtime,
        clock: Clock,
        node: NodeReporter,
    ) -> None:
        self._config = config
        self._roster = roster
        self._runtime = runtime
        self._clock = clock
        self._node = node
        self._under_pressure = False

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await self._clock.sleep(INTERVAL)
            self._check_memory()
            for container_id, path in self._long_logs():
                await self._rotate(container_id, path)

    def _check_memory(self) -> None:
        now = facts.memory_available() < MEMORY_FLOOR
        if now is not self._under_pressure:
            self._under_pressure = now
            self._node.wake()

    def _long_logs(self) -> list[tuple[str, Path]]:
        found = []
        for worker in self._roster.workers():
            record = worker.record
            directory = self._config.logs_dir / log_directory_name(
                record.namespace, record.name, record.uid
            )
            for container in record.view.containers:
                if container.state is not State.RUNNING:
                    continue
                path = directory / container.name / f"{container.restarts}.log"
                try:
                    size = path.stat().st_size
                except FileNotFoundError:
                    continue
                if size > self._config.log_max_bytes:
                    found.append((container.id, path))
        return found

    async def _rotate(self, container_id: str, path: Path) -> None:
        """Put a log aside and let the runtime begin a new one."""
        aside = path.with_name(f"{path.name}.{self._clock.now():.0f}")
        os.rename(path, aside)
        try:
            await self._runtime.reopen_log(container_id)
        except RuntimeFailure as failure:
            os.rename(aside, path)
            log.warning("log not rotated", path=path, why=failure.described)
            return
        await asyncio.to_thread(_compress_older, path, self._config.log_max_files)


def _compress_older(path: Path, keep: int) -> None:
    """Compress all logs put aside but the newest, and remove the oldest: `keep` stay in all."""
    aside = sorted(path.parent.glob(f"{path.name}.*"), key=lambda p: p.stat().st_mtime)
    for old in aside[: max(0, len(aside) - (keep - 1))]:
        old.unlink()
    for old in aside[max(0, len(aside) - (keep - 1)) : -1]:
        if old.suffix == ".gz":
            continue
        target = old.with_name(f"{old.name}.gz")
        with old.open("rb") as source, gzip.open(target, "wb", compresslevel=6) as sink:
            shutil.copyfileobj(source, sink)
        shutil.copystat(old, target)
        old.unlink()
