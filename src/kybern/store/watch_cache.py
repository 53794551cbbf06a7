"""The recent past of one collection, and who watches it.

In:   committed events of the keys under one prefix.
Out:  the same to every watcher whose scope they are in; and the past, as far back as it goes.
By:   `objects.Store`, which keeps the current state for all collections together.

What happens when a watcher is slow: see `watcher`. What happens when somebody asks for more of the
past than is kept here: the store asks the engine.
"""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kybern.store.interface import Event
    from kybern.store.watcher import Watcher

    Attributes = Callable[[bytes], Any]


class Window(NamedTuple):
    """How much of its past a collection keeps in memory."""

    most: int = 10_000
    """Never more events than this."""
    age: float = 75.0
    """Older ones go, in seconds …"""
    least: int = 100
    """… except for the last few, so that quiet collections can always be resumed."""
    frames: int = 64
    """For this many of the latest events the encoded frame is kept, for watchers to share."""
    weight: int = 128 << 20
    """Never more bytes than this, in all collections together, but for the latest of each."""


class Budget:
    """How many bytes of the past all collections remember together."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0


def weight_of(events: Sequence[Event]) -> int:
    """Return about how many bytes the events hold, besides what is current."""
    return sum(
        event.entry.weight if event.previous is None else event.entry.weight + event.previous.weight
        for event in events
    )


def within(key: str, scope: str) -> bool:
    """Say whether the key is in the scope: below it if it ends with "/", else the key itself."""
    return key.startswith(scope) if scope.endswith("/") else key == scope


class Collection:
    """The keys under one prefix, which ends with "/"."""

    __slots__ = (
        "_batches", "_budget", "_count", "_framed", "_framed_count", "_scoped", "_whole",
        "_window", "attributes", "changed", "floor", "pending", "prefix",
    )  # fmt: skip

    def __init__(
        self,
        prefix: str,
        floor: int,
        window: Window,
        attributes: Attributes | None,
        budget: Budget | None = None,
    ) -> None:
        self.prefix = prefix
        self.attributes = attributes
        self.floor = floor
        """Everything after this revision is known here."""
        self.changed = floor
        """Nothing here has changed since this revision."""
        self.pending: list[Event] = []
        """Events of the batch that is just being applied."""
        self._window = window
        self._budget = budget or Budget(window.weight)
        self._batches: deque[tuple[float, Sequence[Event], int]] = deque()
        self._count = 0
        self._framed: deque[Sequence[Event]] = deque()
        self._framed_count = 0
        self._whole: dict[Watcher, None] = {}
        self._scoped: dict[str, dict[Watcher, None]] = {}

    def publish(self, now: float) -> None:
        """Remember the pending events and tell the watchers."""
        batch, self.pending = self.pending, []
        self.changed = batch[-1].revision
        weight = weight_of(batch)
        self._batches.append((now, batch, weight))
        self._count += len(batch)
        self._budget.used += weight
        self.trim(now)
        for watcher in tuple(self._whole):
            watcher.push(batch, weight)
        if self._scoped:
            self._push_scoped(batch)
        if self._whole or self._scoped:
            self._share_frames(batch)

    def since(self, revision: int, scope: str) -> list[Event]:
        """Return the events after the revision, which is not before `floor`, in the scope."""
        recent = takewhile(lambda item: item[1][-1].revision > revision, reversed(self._batches))
        batches = [batch for _, batch, _ in recent]
        batches.reverse()
        return [
            event
            for batch in batches
            for event in batch
            if event.revision > revision and within(event.entry.key, scope)
        ]

    def join(self, watcher: Watcher, scope: str) -> None:
        """Tell the watcher of every event in the scope from now on.

        A scope is the prefix, a longer one that ends with "/" (a namespace), or a single key.
        """
        if scope == self.prefix:
            self._whole[watcher] = None
        else:
            self._scoped.setdefault(scope, {})[watcher] = None

    def leave(self, watcher: Watcher, scope: str) -> None:
        """Tell it no more; idempotent."""
        self._whole.pop(watcher, None)
        watchers = self._scoped.get(scope)
        if watchers is not None:
            watchers.pop(watcher, None)
            if not watchers:
                del self._scoped[scope]

    def watchers(self) -> Iterable[Watcher]:
        """Return all watchers, as they are now."""
        return [*self._whole, *(w for watchers in self._scoped.values() for w in watchers)]

    def statistics(self) -> dict[str, int]:
        """Return how many events are remembered and how many watchers there are."""
        return {"events": self._count, "watchers": len(list(self.watchers()))}

    def _push_scoped(self, batch: Sequence[Event]) -> None:
        scoped, start = self._scoped, len(self.prefix)
        mine: dict[str, list[Event]] = {}
        for event in batch:
            key = event.entry.key
            end = key.find("/", start)
            while end >= 0:
                if (scope := key[: end + 1]) in scoped:
                    mine.setdefault(scope, []).append(event)
                end = key.find("/", end + 1)
            if key in scoped:
                mine.setdefault(key, []).append(event)
        for scope, events in mine.items():
            for watcher in tuple(scoped.get(scope, ())):
                watcher.push(events, weight_of(events))

    def trim(self, now: float) -> None:
        """Forget what need not be remembered any more."""
        window, batches, budget = self._window, self._batches, self._budget
        while batches:
            time, oldest, weight = batches[0]
            left = self._count - len(oldest)
            if budget.used > budget.limit:
                if len(batches) == 1:
                    return
            elif left < window.least or (left < window.most and now - time <= window.age):
                return
            batches.popleft()
            budget.used -= weight
            self._count = left
            self.floor = oldest[-1].revision

    def forget(self, revision: int) -> None:
        """Forget everything up to the revision, and cut off who has not seen all of it."""
        self._budget.used -= sum(weight for _, _, weight in self._batches)
        self._batches.clear()
        self._count = 0
        self.floor = self.changed = revision
        for watcher in self.watchers():
            watcher.expire(revision)

    def _share_frames(self, batch: Sequence[Event]) -> None:
        self._framed.append(batch)
        self._framed_count += len(batch)
        while len(self._framed) > 1 and self._framed_count > self._window.frames:
            oldest = self._framed.popleft()
            self._framed_count -= len(oldest)
            for event in oldest:
                event.framed = None
