"""What travels between the store and its callers, and what can go wrong.

In:   nothing; these are the words.
Out:  `Entry`, `Event`, `Listing`, and the errors.
By:   everything in `kybern.store`, and the API server.

The promises, kept by every engine and proved by `tests/contracts/store`:

* **Revisions** are one counter for the whole store. An empty store is at 1, every write adds
  one, and no number is ever used twice, also not after a restart, a compaction, or when
  everything was deleted. A store that takes the place of a lost one (restored from a snapshot, or
  in memory after a restart) begins beyond everything that one may have answered.
* **A write is answered** when it would survive the machine losing power, and not before. One that
  was not answered happened once or not at all.
* **Compare-and-swap**: `update` and `delete` name the revision they saw; they happen only if that
  is still the current one. An error never rests on a write which is not durable yet.
* **Reads** see every write that was answered before they began. What they return is borrowed:
  entries and events are shared and are never changed.
* **Order**: every watcher gets the events of its scope in the order of revisions, each once,
  without gaps. A watcher that cannot keep up is cut off and told (`WatcherTooSlow`); nobody
  waits for it.
* **The past** can be listed and watched from any revision not compacted yet; asking for an older
  one is `Compacted`, for one that does not exist yet `FutureRevision`.
"""

# No `from __future__ import annotations`: this file defines Structs.

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from kybern.store import wire

EventType = Literal["ADDED", "MODIFIED", "DELETED"]

ADDED: Literal["ADDED"] = "ADDED"
MODIFIED: Literal["MODIFIED"] = "MODIFIED"
DELETED: Literal["DELETED"] = "DELETED"

PROTOBUF = b"k8s\0"
"""What values begin with that upstream has stored in the form which is its default."""

FIRST_REVISION = 1
"""The revision of a store in which nothing was ever written, unless it takes the place of another;
the first write is one more."""


class Entry(msgspec.Struct, gc=False, eq=False, repr_omit_defaults=True):
    """One object as it was at one revision. Borrowed: never changed by who gets it.

    Only one copy of the bytes is held. It starts as `data`; `prepare` replaces it by `wire`, the
    form with the resourceVersion, from which `data` can be had again. The store does so when the
    entry is committed or loaded.
    """

    key: str
    revision: int
    """The revision of the write that made this entry (for a deleted object: of the deletion)."""
    created: int
    """The revision at which the object was created."""
    held: bytes
    """The JSON as held, with or without the resourceVersion; for whoever does not care."""
    expires: float = 0.0
    """When it will be deleted, in seconds since 1970; 0 is never."""
    spliced: int = -1
    """Where in `held` the resourceVersion was put; -1 while it was not."""
    derive: Callable[[bytes], Any] | None = None
    """What computes `attributes`; set by the store when the collection has such a function."""
    derived: Any = msgspec.UNSET

    @property
    def data(self) -> bytes:
        """The JSON as it was written, without resourceVersion."""
        if self.spliced < 0:
            return self.held
        return wire.without_revision(self.held, self.spliced, self.revision)

    @property
    def size(self) -> int:
        """The length of `data`."""
        if self.spliced < 0:
            return len(self.held)
        return len(self.held) - len(f'"resourceVersion":"{self.revision}",')

    @property
    def weight(self) -> int:
        """How many bytes are held."""
        return len(self.held)

    @property
    def wire(self) -> bytes:
        """The JSON as clients get it, with `"resourceVersion":"<revision>"` in its metadata.

        Raises:
            Corrupt: what is stored is not a JSON object.
        """
        if self.spliced < 0:
            self._splice()
        return self.held

    def prepare(self) -> None:
        """Make `wire` now; for what is not a JSON object, leave the bad news to who asks for it.

        At once rather than when it is first asked for: then the memory of the other form is free
        again before more is needed. Done for thousands of entries later, it would leave holes.
        """
        if self.spliced < 0:
            try:  # noqa: SIM105 - for each object of a large store: `suppress` costs as much again
                self._splice()
            except Corrupt:
                pass

    @property
    def attributes(self) -> Any:
        """What the collection's function makes of the object; computed once, when first asked.

        Borrowed. None when the collection was registered without a function.
        """
        if self.derived is msgspec.UNSET:
            self.derived = None if self.derive is None else self.derive(self.held)
        return self.derived

    def _splice(self) -> None:
        try:
            held, self.spliced = wire.with_revision(self.held, self.revision)
        except ValueError as error:
            raise not_json(self.key, self.held, str(error)) from None
        self.held = held

    def __repr__(self) -> str:
        return f"Entry({self.key!r}, revision={self.revision}, created={self.created})"


def not_json(key: str, held: bytes, why: str) -> "Corrupt":
    """Return what to say of a value that is not the JSON of an object."""
    text = f"{key} is not a JSON object ({why}): delete that key, or restore the store from a copy"
    if held.startswith(b"k8s:enc:"):
        text = f"{key} is encrypted: name the file with its key to --encryption-provider-config"
    elif held.startswith(PROTOBUF):
        text = (
            f"{key} is stored as protobuf, which is not supported: run the API server that wrote it"
            " with --storage-media-type=application/json and let it write every object again, for"
            " instance with `kubectl get ... -o yaml | kubectl replace -f -`"
        )
    return Corrupt(text)


class Event(msgspec.Struct, gc=False, eq=False):
    """One write, as watchers get it. Borrowed."""

    type: EventType
    entry: Entry
    """The object after the write; for DELETED the last state, carrying the deletion's revision."""
    previous: Entry | None
    """The object before the write; None for ADDED."""
    framed: bytes | None = None

    @property
    def revision(self) -> int:
        """The revision of the write."""
        return self.entry.revision

    @property
    def frame(self) -> bytes:
        """The event as a line of a watch response; encoded once for all watchers."""
        if self.framed is None:
            self.framed = b'{"type":"%b","object":%b}\n' % (self.type.encode(), self.entry.wire)
        return self.framed

    def __repr__(self) -> str:
        return f"Event({self.type} {self.entry.key!r} at {self.entry.revision})"


class Listing(msgspec.Struct, frozen=True):
    """A part of the keys under a prefix at one revision, in order of their bytes."""

    entries: list[Entry]
    revision: int
    """The revision of the whole list; ask for it again to get the rest of the same list."""
    remaining: int = 0
    """How many entries come after these; exact."""

    @property
    def more(self) -> bool:
        """Whether there are entries after these: ask with `start_after=entries[-1].key`."""
        return self.remaining > 0


class StoreError(Exception):
    """Anything the store has to say no to.

    StoreError
    ├── KeyExists           create: there is one already
    ├── Mismatch            update, delete: the object is no longer what was expected
    │   └── KeyMissing      … because it is gone
    ├── Compacted           that revision is forgotten
    ├── FutureRevision      that revision does not exist yet
    ├── WatcherTooSlow      the watcher was cut off
    ├── StoreClosed         the store was closed before the answer
    └── StoreFailed         the medium failed; whether the write happened is not known
        ├── StoreFull       no space: the write did not happen; later ones work when there is space
        ├── StoreLocked     another process has the store
        └── Corrupt         the medium holds something we did not write
    """


class KeyExists(StoreError):
    """The key to be created exists."""

    def __init__(self, key: str, current: Entry) -> None:
        super().__init__(f"{key} exists, at revision {current.revision}")
        self.key = key
        self.current = current


class Mismatch(StoreError):
    """The object is not at the expected revision: `current` is what is there now."""

    def __init__(self, key: str, current: Entry | None) -> None:
        where = "is missing" if current is None else f"is at revision {current.revision}"
        super().__init__(f"{key} {where}")
        self.key = key
        self.current = current


class KeyMissing(Mismatch):
    """The object to be changed does not exist (any more)."""

    def __init__(self, key: str) -> None:
        super().__init__(key, None)


class Compacted(StoreError):
    """The wanted revision is forgotten; `oldest` is the oldest one that can be had."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the oldest revision still known is {oldest}")
        self.oldest = oldest


class FutureRevision(StoreError):
    """The wanted revision does not exist yet; `current` is the latest."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the current revision is {current}")
        self.current = current


class WatcherTooSlow(StoreError):
    """The watcher left too many events unread; what came after `revision` was dropped.

    Watching again from `revision` misses nothing.
    """

    def __init__(self, revision: int) -> None:
        super().__init__(f"the watcher was too slow and was cut off at revision {revision}")
        self.revision = revision


class StoreClosed(StoreError):
    """The store is closed."""

    def __init__(self) -> None:
        super().__init__("the store is closed")


class StoreFailed(StoreError):
    """The medium failed. Whether the write happened is not known until it is read again."""


class StoreFull(StoreFailed):
    """There is no space left. The write did not happen."""


class StoreLocked(StoreFailed):
    """Another process has the store open."""


class Corrupt(StoreFailed):
    """The medium holds something that cannot have been written by this program."""
