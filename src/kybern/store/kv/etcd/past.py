"""The past, from etcd.

In:   a prefix, and revisions that are not compacted.
Out:  what was there, and what happened.
By:   `engine`.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from kybern.store.interface import ADDED, DELETED, MODIFIED, Entry, Event, Listing
from kybern.store.kv.etcd import messages as m
from kybern.store.kv.etcd import pages
from kybern.store.kv.etcd.values import read_value
from kybern.store.kv.etcd.watch import watch
from kybern.store.kv.interface import Page

if TYPE_CHECKING:
    from kybern.store.kv.etcd.connection import Connection
    from kybern.store.kv.etcd.values import Keys

    Events = list[Event]  # inside the class, `list` is the method


class Past:
    """Reads what the mirror does not have any more."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    async def list(self, prefix: str, start_after: str, limit: int, revision: int) -> Listing:
        """List what was under the prefix.

        Raises:
            Refused: the revision is forgotten.
        """
        start, end = self._keys.range(prefix, start_after)
        found = await pages.read(
            self._connection, start, end, self._entry, limit=limit, revision=revision
        )
        return Listing(found.made, revision, found.remaining)

    async def history(self, prefix: str, since: int, upto: int, limit: int) -> Page:
        """Return events with `since` < revision <= `upto`, `limit` or, of one revision, more.

        Raises:
            Compacted: what came right after `since` is forgotten.
        """
        found: Events = []
        if since >= upto:
            return Page(found, upto)
        start = self._keys.range(prefix).start
        async with aclosing(watch(self._connection, since, previous=True)) as batches:
            async for changes in batches:
                for change in changes:
                    revision = change.kv.mod_revision
                    if revision > upto:
                        return Page(found, upto)
                    if len(found) >= limit and revision > found[-1].revision:
                        return Page(found, found[-1].revision)
                    if change.kv.key.startswith(start) and self._keys.inside(change.kv.key):
                        found.append(self._event(change))
                if changes and revision == upto:
                    break
        if len(found) >= limit:
            return Page(found, found[-1].revision)
        return Page(found, upto)

    def _event(self, change: m.Event) -> Event:
        previous = None if change.prev_kv is None else self._entry(change.prev_kv)
        if change.type != m.DELETE:
            return Event(ADDED if previous is None else MODIFIED, self._entry(change.kv), previous)
        before = previous or self._entry(change.kv)
        entry = Entry(before.key, change.kv.mod_revision, before.created, before.held)
        return Event(DELETED, entry, previous)

    def _entry(self, kv: m.KeyValue) -> Entry:
        key = self._keys.inside(kv.key)
        assert key is not None
        return Entry(key, kv.mod_revision, kv.create_revision, read_value(kv.value))
