"""Reading ranges of keys from etcd.

In:   a range, and a revision.
Out:  all its keys and values at that one revision, however many there are.
By:   `engine`, when it opens, when it has lost track, and for lists of the past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from kybern.store.kv.etcd import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.store.kv.etcd.connection import Connection

AT_ONCE = 500

T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """What was made of the keys of a range, at a revision."""

    made: list[T]
    revision: int
    remaining: int


async def read(
    connection: Connection,
    start: bytes,
    end: bytes,
    make: Callable[[m.KeyValue], T],
    *,
    limit: int = 0,
    revision: int = 0,
) -> Found[T]:
    """Return the keys from `start` up to `end`, at most `limit`; now, or at a revision.

    What arrives is handed to `make` at once, so that no second copy is held of what is large.

    Raises:
        Refused: the revision is forgotten, or does not exist yet.
        StoreFailed: etcd does not answer.
    """
    made: list[T] = []
    while True:
        wanted = min(AT_ONCE, limit - len(made)) if limit else AT_ONCE
        request = m.RangeRequest(key=start, range_end=end, limit=wanted, revision=revision)
        answer: m.RangeResponse = await connection.call(m.RANGE, request)
        revision = revision or answer.header.revision
        made += map(make, answer.kvs)
        remaining = answer.count - len(answer.kvs)
        if not remaining or (limit and len(made) >= limit) or not answer.kvs:
            return Found(made, revision, remaining)
        start = answer.kvs[-1].key + b"\0"
