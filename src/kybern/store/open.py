"""Open a store by its name.

In:   what `--store` says, and where data lives.
Out:  an open `Store`.
By:   `kybern.cmd`, which composes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.lib.clock import SYSTEM, Clock
from kybern.store.objects import Store

if TYPE_CHECKING:
    from kybern.store.kv.interface import Engine

FILE_NAME = "store.db"
_SWITCH_SECONDS = 0.0005


async def open_store(url: str, directory: Path, clock: Clock = SYSTEM) -> Store:
    """Open `sqlite` (a file in `directory`), `sqlite:PATH`, or `memory`.

    Raises:
        ValueError: no such kind of store.
        StoreFailed: it cannot be opened; the message says what to do.
    """
    kind, _, where = url.partition(":")
    engine: Engine
    if kind == "memory" and not where:
        from kybern.store.kv.memory import MemoryEngine

        engine = MemoryEngine()
    elif kind == "sqlite":
        from kybern.store.kv.sqlite import SqliteEngine

        # The writer's thread needs the interpreter for microseconds at a time. While the event loop
        # is busy, it would get it only after the switch interval, twice for each batch.
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        engine = await SqliteEngine.open(Path(where.removeprefix("//") or directory / FILE_NAME))
    else:
        raise ValueError(f"no such store: {url!r} (sqlite, sqlite:PATH or memory)")
    return Store(engine, clock)
