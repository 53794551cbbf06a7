"""Copy what is current from one medium to another.

In:   a source that nobody writes to, and a target that is empty or holds a part of the same copy.
Out:  the same keys and values on the target, verified; its revisions go on after the source's.
By:   `kybern store migrate`, through `kybern.cmd.migration`.

What was interrupted is taken up again: the target knows what it is becoming a copy of, and until it
is one, nobody can open it as a store. How each medium does its part is in `migrate_sqlite` and
`migrate_etcd`.
"""

# No `from __future__ import annotations`: this file defines Structs.

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from kybern.store.checksum import Checksum
from kybern.store.interface import Entry, StoreFailed

BATCH = 1000

Report = Callable[[int, int], None]


class Plan(msgspec.Struct, frozen=True):
    """What a target is becoming a copy of."""

    source: str
    revision: int
    objects: int


class Migrated(NamedTuple):
    """What was copied."""

    objects: int
    checksum: str
    resumed: int
    """How many were there already, from an interrupted migration."""


class Source(Protocol):
    """A medium to be read; open until `close`."""

    plan: Plan

    def batches(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the current entries, checked, in order of their revisions, some at a time."""

    async def check_unchanged(self) -> None:
        """See that nobody has written since it was opened.

        Raises:
            StoreFailed: somebody has.
        """

    async def close(self) -> None:
        """Let go of it; idempotent."""


class Target(Protocol):
    """A medium to be written; open until `close`."""

    async def begin(self, plan: Plan) -> int:
        """Note what this is to become a copy of; return how many entries are there already.

        Raises:
            StoreFailed: it holds something else.
        """

    async def write(self, entries: Sequence[Entry]) -> None:
        """Copy the entries that are not there yet; durable when it returns, or later on."""

    async def checksum(self) -> Checksum:
        """Read everything back."""

    async def finish(self) -> None:
        """Make it a store, whose next revision is after the source's."""

    async def close(self) -> None:
        """Let go of it; idempotent."""


async def migrate(source: Source, target: Target, report: Report) -> Migrated:
    """Copy, verify, and make the target a store. `report` gets how many are done, of how many.

    Raises:
        StoreFailed: it cannot be done, or the copy is not the same; the target is no store then.
    """
    resumed = await target.begin(source.plan)
    read = Checksum()
    async for entries in source.batches():
        for entry in entries:
            read.add(entry.key, entry.data)
        await target.write(entries)
        report(read.count, source.plan.objects)
    await source.check_unchanged()
    written = await target.checksum()
    if (written.count, written.hex) != (read.count, read.hex):
        raise StoreFailed(
            f"the copy holds {written.count} objects with the checksum {written.hex}, the original"
            f" {read.count} with {read.hex}: remove the copy and begin anew"
        )
    await target.finish()
    return Migrated(read.count, read.hex, resumed)


def not_empty(name: object, other: Plan | None = None) -> StoreFailed:
    """Return why a target cannot be used."""
    if other is None:
        return StoreFailed(f"{name} holds objects already: name a target that is empty")
    return StoreFailed(
        f"{name} holds a part of a copy of {other.source} at revision {other.revision}: go on with"
        " that one, or remove it"
    )
