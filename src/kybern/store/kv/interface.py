"""What an engine is: keys, values and revisions on some medium.

In:   writes, from the one event loop the engine was opened in.
Out:  committed events, in order, to the one listener; and the past, on request.
By:   `kybern.store.objects`. Implementations: `memory`, `sqlite`, `etcd`.

The promises of `kybern.store.interface` hold here already; an engine only lacks what makes
reading fast: prefixes, watchers and bytes that are ready to be sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.store.interface import Entry, Event, Listing

    Listener = Callable[[Sequence[Event]], None]


class Snapshot(NamedTuple):
    """Everything that is stored at one revision, in order of the keys."""

    entries: list[Entry]
    revision: int


Replaced = Callable[[Snapshot], None]


class Page(NamedTuple):
    """A part of the history: everything that happened up to `upto` from where one asked."""

    events: list[Event]
    upto: int


class Engine(Protocol):
    """A medium with one counter of revisions.

    All methods are called in one event loop. Anything may raise `StoreClosed` and `StoreFailed`
    (with its subclasses). A cancelled write may still happen.
    """

    @property
    def shared(self) -> bool:
        """Whether others write to the same medium, so that `current` has to be asked.

        Such a medium also expires by itself; `Entry.expires` may be 0 for what others wrote.
        """

    @property
    def revision(self) -> int:
        """The latest revision up to which everything was told to the listener."""

    @property
    def compacted(self) -> int:
        """The oldest revision that can be listed; everything after it can be watched."""

    @property
    def superseded(self) -> int:
        """About how many bytes of values are kept only as history."""

    def attach(self, listener: Listener, replaced: Replaced | None = None) -> Snapshot:
        """Return the current state; from there on call `listener` with what is committed.

        The calls come in the event loop, in order of revisions, without gap or overlap with the
        snapshot, each before any write in it is answered. There is one listener.

        A shared medium may forget what was never told. Then `replaced` is called with what is
        current, and things go on from there.
        """

    async def current(self) -> int:
        """Tell the listener everything that was committed before this call; return `revision`."""

    async def create(self, key: str, data: bytes, expires: float = 0.0) -> Entry:
        """Write a new key. `expires` is kept with it; deleting it then is `expire`'s business.

        Raises:
            KeyExists: there is one.
        """

    async def update(self, key: str, data: bytes, expected: int, expires: float = 0.0) -> Entry:
        """Replace the value if it is still at the revision `expected`.

        Raises:
            KeyMissing: it is gone.
            Mismatch: it is at another revision.
        """

    async def delete(self, key: str, expected: int) -> Entry:
        """Delete the key if it is still at `expected`; return its last state.

        Raises:
            KeyMissing: it is gone.
            Mismatch: it is at another revision.
        """

    async def get(self, key: str) -> Entry | None:
        """Return the current entry."""

    async def list(
        self, prefix: str, start_after: str = "", limit: int = 0, revision: int = 0
    ) -> Listing:
        """List what is, or was at `revision`, under the prefix, after the key `start_after`.

        Raises:
            Compacted: `revision` is forgotten.
            FutureRevision: `revision` does not exist yet.
        """

    async def history(self, prefix: str, since: int, upto: int, limit: int = 1000) -> Page:
        """Return events under the prefix with `since` < revision <= `upto`, oldest first.

        At most `limit`; the page says how far it goes, the next one starts there.

        Raises:
            Compacted: what came right after `since` is forgotten.
        """

    async def compact(self, revision: int) -> None:
        """Forget what was superseded at or before `revision`; idempotent.

        Raises:
            FutureRevision: `revision` does not exist yet.
        """

    async def close(self) -> None:
        """Finish the writes under way, then let go of the medium; idempotent."""

    def problem(self) -> str:
        """Return what is wrong with the medium at the moment; "" for nothing."""

    def statistics(self) -> dict[str, float]:
        """Return figures about the medium."""
