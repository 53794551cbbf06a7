"""Everything that happens in etcd, in order.

In:   a revision.
Out:  lists of events; each list holds all of one or more revisions.
By:   `engine`, to follow, and to read the past.

All keys are watched, not only ours. So every revision there is brings an event, and who waits for
one to come by waits for nothing else. (etcd's own means for that, asking a watch for its progress,
may answer before the events it speaks of are sent; that was put right in 3.4.25 and 3.5.8.)
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from kybern.store.interface import Compacted, StoreFailed
from kybern.store.kv.etcd import messages as m

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from kybern.store.kv.etcd.connection import Connection


async def watch(
    connection: Connection, after: int, *, previous: bool = False
) -> AsyncGenerator[list[m.Event], None]:
    """Yield an empty list when the watch stands, then what happens after the revision.

    With `previous`, each event has what was there before.

    Raises:
        Compacted: what came right after the revision is forgotten.
        StoreFailed: the stream broke; a new one may go on where this one ended.
    """
    wanted = m.WatchCreateRequest(start_revision=after + 1, prev_kv=previous)
    events: list[m.Event] = []
    async with aclosing(connection.stream(m.WATCH, m.WatchRequest(create=wanted))) as stream:
        async for response in stream:
            if response.canceled:
                if response.compact_revision:
                    raise Compacted(response.compact_revision)
                raise StoreFailed(f"etcd ended a watch: {response.cancel_reason}")
            events += response.events
            if response.fragment:
                continue
            if events or response.created:
                yield events
                events = []
    raise StoreFailed(f"etcd at {connection.where} ended a watch")


async def oldest(connection: Connection) -> int:
    """Return the oldest revision that is not compacted; call it when 1 is.

    There is no question for that, but a watch from the beginning is told.
    """
    try:
        async with aclosing(watch(connection, 0)) as batches:
            async for events in batches:
                if events:
                    return 1
    except Compacted as error:
        return error.oldest
    raise StoreFailed("etcd ended a watch")  # not reached: a watch never ends by itself
