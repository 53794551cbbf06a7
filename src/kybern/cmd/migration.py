"""Copy a store from one medium to another.

In:   two addresses, such as `sqlite:PATH` and `etcd://host:port`.
Out:  the copy, verified.
By:   `kybern store migrate`, to which main.py hands it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.cli.errors import Failed
from kybern.store.interface import StoreError
from kybern.store.kv.etcd.address import Address, AddressError, parse
from kybern.store.migrate import Report, migrate

if TYPE_CHECKING:
    from kybern.store.migrate import Migrated, Source, Target


def run(source: str, target: str, report: Report) -> tuple[int, int]:
    """Copy; return how many objects there are, and how many of them had been copied before.

    Raises:
        Failed: it cannot be done; one sentence.
    """
    if source == target:
        raise Failed("the source and the target are the same.")
    try:
        done = asyncio.run(_run(source, target, report))
    except (StoreError, OSError) as error:
        raise Failed(f"{error}.") from None
    return done.objects, done.resumed


async def _run(source: str, target: str, report: Report) -> Migrated:
    copied = await _source(source)
    try:
        copy = await _target(target)
        try:
            return await migrate(copied, copy, report)
        finally:
            await copy.close()
    finally:
        await copied.close()


async def _source(url: str) -> Source:
    place = _place(url)
    if isinstance(place, Address):
        from kybern.store.migrate_etcd import EtcdSource

        return await EtcdSource.open(place)
    from kybern.store.migrate_sqlite import SqliteSource

    return SqliteSource(place)


async def _target(url: str) -> Target:
    place = _place(url)
    if isinstance(place, Address):
        from kybern.store.migrate_etcd import EtcdTarget

        return await EtcdTarget.open(place)
    from kybern.store.migrate_sqlite import SqliteTarget

    return SqliteTarget(place)


def _place(url: str) -> Path | Address:
    """Read `sqlite:PATH`, `sqlite:///PATH` or `etcd://HOST:PORT`."""
    scheme, _, path = url.partition(":")
    if scheme == "memory":
        raise Failed("what is in memory is gone with its process: there is nothing to copy.")
    if scheme == "etcd":
        try:
            return parse(url)
        except AddressError as error:
            raise Failed(f"{error}.") from None
    if scheme != "sqlite" or not path:
        raise Failed(f"{url!r} is neither sqlite:PATH nor etcd://HOST:PORT.")
    return Path(f"/{path.lstrip('/')}" if path.startswith("//") else path)
