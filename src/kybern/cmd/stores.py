"""Where an API server keeps its data, and opening that.

In:   the value of `--store`, or upstream's flags about etcd.
Out:  an open Store; or one sentence why there is none.
By:   the entry points with an API server in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kybern.cmd.process import Fatal
from kybern.lib.clock import SYSTEM
from kybern.store.interface import StoreError
from kybern.store.kv import mvcc
from kybern.store.kv.etcd.address import Address, parse
from kybern.store.objects import Store
from kybern.store.retention import KEEP_SECONDS

if TYPE_CHECKING:
    from kybern.store.encryption.rules import Rules
    from kybern.store.kv.interface import Engine

Place = Path | Address | None
"""A file, an etcd, or nowhere but in memory."""


def place(text: str) -> Place:
    """Read `sqlite:///PATH`, `etcd://host:port,...` or `memory`.

    Raises:
        ValueError: it is none of them.
    """
    if text in ("memory", "memory://"):
        return None
    scheme, colon, path = text.partition("://")
    if scheme == "sqlite" and colon and path:
        return Path(path)
    if scheme == "etcd":
        return parse(text)
    raise ValueError(f"{text!r} is neither sqlite:///PATH nor etcd://HOST:PORT nor memory")


async def open_store(
    where: Place, rules: Rules | None = None, *, compact_every: float = KEEP_SECONDS
) -> Store:
    """Open it; `rules` say what is encrypted there, `compact_every` is for etcd.

    Raises:
        Fatal: it cannot be opened.
    """
    try:
        engine = await _open(where)
        if not engine.shared:
            compact_every = KEEP_SECONDS
        return Store(engine, SYSTEM, compact_every=compact_every, encryption=rules)
    except StoreError as error:
        raise Fatal(str(error)) from None


async def _open(where: Place) -> Engine:
    if where is None:
        from kybern.store.kv.memory import MemoryEngine

        return MemoryEngine(mvcc.beyond(SYSTEM.now()))
    if isinstance(where, Address):
        from kybern.store import etcd_note

        return await etcd_note.opened(where)
    from kybern.store.kv.sqlite import SqliteEngine

    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        return await SqliteEngine.open(where)
    except OSError as error:
        raise Fatal(f"cannot write to {where.parent}: {error.strerror}.") from None
