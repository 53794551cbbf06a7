"""The store of a snapshot, when it is in etcd and not in a file.

In:   an etcd, and files.
Out:  a file with what is in the etcd; an etcd with what is in a file.
By:   `snapshots`.

Etcd's own snapshots are of one etcd with everything in it, and only etcd's tools can bring them
back, member by member. Ours hold objects: they come back on any medium, whatever else is in it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.store import etcd_note
from kybern.store.migrate import Report, migrate
from kybern.store.migrate_etcd import EtcdSource, EtcdTarget
from kybern.store.migrate_sqlite import SqliteSource, SqliteTarget

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.store.kv.etcd.address import Address


def fetch(address: Address, path: Path, report: Report) -> int:
    """Make a store's file of what is in an etcd at one moment; return its revision.

    Others may write meanwhile. A copy that was never finished is nothing: 0, and no file.

    Raises:
        StoreFailed: etcd does not answer, or the file cannot be written.
    """

    async def run() -> int:
        if (await etcd_note.read(address)).becoming is not None:
            return 0
        source = await EtcdSource.open(address, frozen=False)
        try:
            target = SqliteTarget(path)
            try:
                await migrate(source, target, report)
            finally:
                await target.close()
        finally:
            await source.close()
        return source.plan.revision

    return asyncio.run(run())


def replace(address: Address, path: Path, first: int, report: Report) -> None:
    """Put what is in a store's file in the place of what is in an etcd, from a revision on.

    Raises:
        StoreFailed: etcd does not answer.
    """

    async def run() -> None:
        source = SqliteSource(path)
        try:
            target = await EtcdTarget.open(address, first=first, replace=True)
            try:
                await migrate(source, target, report)
            finally:
                await target.close()
        finally:
            await source.close()

    asyncio.run(run())
