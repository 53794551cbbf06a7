"""Reading ranges of keys from etcd.

In:   a range, and a revision.
Out:  all its keys and values at that one revision, however many there are.
By:   `engine`, when it opens, when it has lost track, and for lists of the past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.store.kv.etcd import messages as m

if TYPE_CHECKING:
    from kybern.store.kv.etcd.connection import Connection

AT_ONCE = 1000


class Found(NamedTuple):
    """Keys of a range, at a revision."""

    kvs: list[m.KeyValue]
    revision: int
    remaining: int


async def read(
    connection: Connection, start: bytes, end: bytes, limit: int = 0, revision: int = 0
) -> Found:
    """Return the keys from `start` up to `end`, at most `limit`; now, or at a revision.

    Raises:
        Refused: the revision is forgotten, or does not exist yet.
        StoreFailed: etcd does not answer.
    """
    found: list[m.KeyValue] = []
    while True:
        wanted = min(AT_ONCE, limit - len(found)) if limit else AT_ONCE
        request = m.RangeRequest(key=start, range_end=end, limit=wanted, revision=revision)
        answer: m.RangeResponse = await connection.call(m.RANGE, request)
        revision = revision or answer.header.revision
        found += answer.kvs
        remaining = answer.count - len(answer.kvs)
        if not remaining or (limit and len(found) >= limit) or not answer.kvs:
            return Found(found, revision, remaining)
        start = answer.kvs[-1].key + b"\0"
