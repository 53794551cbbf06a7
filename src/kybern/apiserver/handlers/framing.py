"""Lines of a watch: which events a watcher sees, and in which form.

In:   batches of events of the watched scope.
Out:  lines, joined; empty when the watcher sees none of them.
By:   handlers.watch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.apiserver import accept
from kybern.apiserver.handlers import showing
from kybern.store import wire
from kybern.store.interface import ADDED, DELETED, MODIFIED, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.apiserver.accept import Form
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.handlers.choosing import Choice
    from kybern.apiserver.registry.resource import Resource
    from kybern.store.interface import Event

INITIAL_END = "k8s.io/initial-events-end"


class Framer:
    """All events, as they are stored."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def initial(self, entries: Sequence[Entry]) -> bytes:
        """Return existing objects as ADDED lines."""
        return b"".join([self._line(ADDED, entry) for entry in entries])

    async def ready(self, batch: Sequence[Event]) -> None:
        """Have the served form of all objects of a batch at hand."""
        before = [event.previous for event in batch if event.previous is not None]
        await self.resource.ready([*(event.entry for event in batch), *before])

    def events(self, batch: Sequence[Event]) -> bytes:
        """Return the lines of a batch."""
        frame = self.resource.frame
        if len(batch) == 1:
            return frame(batch[0])
        return b"".join([frame(event) for event in batch])

    def bookmark(self, revision: int, *, ends_initial: bool = False) -> bytes:
        """Return a line that only says how far the watch has come."""
        kind = self.resource.kind
        annotation = b',"annotations":{"%b":"true"}' % INITIAL_END.encode() if ends_initial else b""
        return (
            b'{"type":"BOOKMARK","object":{"kind":"%b","apiVersion":"%b","metadata":'
            b'{"resourceVersion":"%d"%b}}}\n'
            % (kind.kind.encode(), kind.api_version.encode(), revision, annotation)
        )

    def _line(self, type_: str, entry: Entry) -> bytes:
        return b'{"type":"%b","object":%b}\n' % (type_.encode(), self._show(entry))

    def _show(self, entry: Entry) -> bytes:
        return self.resource.wire(entry)


class ChoosingFramer(Framer):
    """Only what the selectors choose; events turn into what they mean to this watcher."""

    def __init__(self, resource: Resource, chosen: Choice | None) -> None:
        super().__init__(resource)
        self._chosen = chosen

    def events(self, batch: Sequence[Event]) -> bytes:
        """Return the lines of those events of a batch that concern chosen objects."""
        return b"".join([line for event in batch if (line := self._event(event))])

    def _event(self, event: Event) -> bytes:
        chosen = self._chosen
        if chosen is None:
            return self._line(event.type, event.entry)
        now = event.type != DELETED and chosen.takes(event.entry)
        before = event.previous is not None and chosen.takes(event.previous)
        if now:
            type_ = MODIFIED if before else ADDED
            return self._unchanged(event) if type_ == event.type else self._line(type_, event.entry)
        if not before:
            return b""
        if event.type == DELETED:
            return self._unchanged(event)
        return self._line(DELETED, _as_of(event))

    def _unchanged(self, event: Event) -> bytes:
        return self.resource.frame(event)


class PartialFramer(ChoosingFramer):
    """Only the metadata of objects."""

    def __init__(self, resource: Resource, chosen: Choice | None, version: str) -> None:
        super().__init__(resource, chosen)
        self._version = version

    def bookmark(self, revision: int, *, ends_initial: bool = False) -> bytes:
        """Return a line that only says how far the watch has come."""
        line = super().bookmark(revision, ends_initial=ends_initial)
        kind = self.resource.kind
        return line.replace(
            b'"kind":"%b","apiVersion":"%b"' % (kind.kind.encode(), kind.api_version.encode()),
            b'"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/%b"'
            % self._version.encode(),
            1,
        )

    def _unchanged(self, event: Event) -> bytes:
        return self._line(event.type, event.entry)

    def _show(self, entry: Entry) -> bytes:
        return showing.partial(self.resource.wire(entry), self._version)


class TableFramer(ChoosingFramer):
    """Each object as a Table of one row; the columns come with the first."""

    def __init__(
        self, ctx: RequestContext, resource: Resource, chosen: Choice | None, version: str
    ) -> None:
        super().__init__(resource, chosen)
        self._ctx = ctx
        self._version = version
        self._first = True

    def bookmark(self, revision: int, *, ends_initial: bool = False) -> bytes:
        """Return a line that only says how far the watch has come."""
        annotations = {INITIAL_END: "true"} if ends_initial else {}
        row = {
            "cells": [],
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": f"meta.k8s.io/{self._version}",
                "metadata": {"resourceVersion": str(revision), "annotations": annotations},
            },
        }
        table = {
            "kind": "Table", "apiVersion": f"meta.k8s.io/{self._version}",
            "metadata": {"resourceVersion": str(revision)}, "columnDefinitions": None,
            "rows": [row],
        }  # fmt: skip
        return b'{"type":"BOOKMARK","object":%b}\n' % codec.encode(table)

    def _unchanged(self, event: Event) -> bytes:
        return self._line(event.type, event.entry)

    def _show(self, entry: Entry) -> bytes:
        wire_ = self.resource.wire(entry)
        tree = showing.table_tree(self._ctx, self.resource, [wire_], self._version)
        if not self._first:
            tree["columnDefinitions"] = None
        self._first = False
        return codec.encode(tree)


def framer(ctx: RequestContext, resource: Resource, form: Form, chosen: Choice | None) -> Framer:
    """Return what makes the lines of a watch."""
    if form.view == accept.PARTIAL:
        return PartialFramer(resource, chosen, form.version)
    if form.view == accept.TABLE:
        return TableFramer(ctx, resource, chosen, form.version)
    return Framer(resource) if chosen is None else ChoosingFramer(resource, chosen)


def _as_of(event: Event) -> Entry:
    """Return the last state that was chosen, with the revision at which it ceased to be."""
    previous = event.previous
    assert previous is not None
    held, at = wire.with_revision(previous.data, event.revision)
    return Entry(previous.key, event.revision, previous.created, held, spliced=at)
