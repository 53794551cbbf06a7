"""What clients asked of a store, when, and what they were answered.

In:   the calls of clients, each around a store or an API server.
Out:  `Operation`s, in memory or as lines on a pipe: first the call, then the same with its answer,
      so that of a process which is killed one knows what was under way.
By:   the fault tests; `linearizability` judges the result.

Every value that is written has a name of its own. So a compare-and-swap on a revision is one on a
name, and who reads a value knows which write made it.
"""

# No `from __future__ import annotations`: this file defines a Struct.

import enum
import math
import os
import random
import time
from collections.abc import Callable, Iterable
from typing import Literal, Protocol

import msgspec

from kybern.store.interface import Entry, KeyExists, Mismatch, StoreError, StoreFull
from kybern.store.objects import Store

ABSENT = ""
"""The name of what is there when nothing is."""
UNSEEN = "?"
"""Something else than expected was there; the answer did not say what."""

PADDING = "x" * 1500


class Outcome(enum.Enum):
    """What became of an operation."""

    UNKNOWN = "unknown"  # no answer, or one that leaves it open
    DONE = "done"
    REFUSED = "refused"  # something else was there than what was expected
    NEVER = "never"  # an error which promises that nothing happened


class Operation(msgspec.Struct, omit_defaults=True):  # so that JSON need not say "for ever"
    """One call on one key. Times are of CLOCK_MONOTONIC, which all processes share."""

    client: str
    number: int
    key: str
    verb: Literal["read", "create", "update", "delete"]
    wrote: str = ABSENT
    """The name of the value that create and update write; ABSENT for a deletion."""
    expected: str = ABSENT
    """The name of the value that update and delete replace."""
    start: float = 0.0
    end: float = math.inf
    outcome: Outcome = Outcome.UNKNOWN
    saw: str = ABSENT
    """What a read found; what was in the way of a write that was refused."""
    revision: int = 0
    """Of the write that was done, or of the value seen; 0 where there is none."""

    def __str__(self) -> str:
        what = {
            "read": "read",
            "create": f"create {self.wrote}",
            "update": f"update {self.expected} to {self.wrote}",
            "delete": f"delete {self.expected}",
        }[self.verb]
        answer = self.outcome.value
        if self.verb == "read" or self.outcome is Outcome.REFUSED:
            answer += f", saw {self.saw or 'nothing'}"
        return (
            f"{self.client} [{self.start:.6f}, {self.end:.6f}] {self.key}: {what}"
            f" -> {answer} at {self.revision}"
        )


class Recorder:
    """Keeps operations, and passes them on when they are called and again when answered."""

    def __init__(self, tell: Callable[[Operation], None] | None = None) -> None:
        self.operations: list[Operation] = []
        self._tell = tell

    def called(self, operation: Operation) -> Operation:
        operation.start = time.monotonic()
        if self._tell is None:
            self.operations.append(operation)
        else:
            self._tell(operation)
        return operation

    def answered(
        self, operation: Operation, outcome: Outcome, saw: str = ABSENT, revision: int = 0
    ) -> None:
        operation.end = time.monotonic()
        operation.outcome, operation.saw, operation.revision = outcome, saw, revision
        if self._tell is not None:
            self._tell(operation)


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Operation)


def to_pipe(descriptor: int) -> Recorder:
    """Return a recorder which writes to a pipe, at once."""

    def tell(operation: Operation) -> None:
        os.write(descriptor, _ENCODER.encode(operation) + b"\n")

    return Recorder(tell)


def from_pipe(lines: bytes) -> list[Operation]:
    """Return what such a recorder wrote; a line that was cut short does not count."""
    found: dict[tuple[str, int], Operation] = {}
    for line in lines[: lines.rfind(b"\n") + 1].splitlines():
        operation = _DECODER.decode(line)
        found[operation.client, operation.number] = operation
    return list(found.values())


class Client(Protocol):
    """One caller, who does one thing at a time. Errors that leave the outcome open are raised."""

    async def read(self, key: str) -> None: ...

    async def create(self, key: str) -> None: ...

    async def update(self, key: str) -> None: ...

    async def delete(self, key: str) -> None: ...

    def known(self, key: str) -> bool:
        """Say whether the key was there when the client last saw it."""


class StoreClient:
    """A caller of a `Store`; update and delete expect what this caller saw last."""

    def __init__(
        self, name: str, store: Store, recorder: Recorder, rng: random.Random, padding: int = 1500
    ) -> None:
        """`padding` bounds how much a value has beside its name."""
        self._name, self._store, self._recorder, self._rng = name, store, recorder, rng
        self._padding = padding
        self._number = 0
        self._seen: dict[str, Entry | None] = {}

    def known(self, key: str) -> bool:
        return self._seen.get(key) is not None

    async def read(self, key: str) -> None:
        operation = self._call(key, "read")
        entry = await self._current(key)
        self._saw(operation, Outcome.DONE, entry)

    async def create(self, key: str) -> None:
        operation = self._call(key, "create", new=True)
        value = value_of(operation.wrote, self._rng.randrange(self._padding))
        await self._write(operation, lambda: self._store.create(key, value))

    async def update(self, key: str) -> None:
        expected = self._seen[key]
        assert expected is not None
        operation = self._call(key, "update", new=True, expected=name_of(expected.data))
        value = value_of(operation.wrote, self._rng.randrange(self._padding))
        await self._write(operation, lambda: self._store.update(key, value, expected))

    async def delete(self, key: str) -> None:
        expected = self._seen[key]
        assert expected is not None
        operation = self._call(key, "delete", expected=name_of(expected.data))
        await self._write(operation, lambda: self._store.delete(key, expected))

    async def _current(self, key: str) -> Entry | None:
        if self._store.shared:
            await self._store.fresh()
        return self._store.get(key)

    async def _write(self, operation: Operation, write) -> None:
        try:
            entry = await write()
        except (KeyExists, Mismatch) as refusal:
            self._saw(operation, Outcome.REFUSED, refusal.current)
        except StoreFull:
            self._recorder.answered(operation, Outcome.NEVER)
            raise
        except StoreError:
            self._seen.pop(operation.key, None)
            raise
        else:
            self._seen[operation.key] = None if operation.verb == "delete" else entry
            self._recorder.answered(operation, Outcome.DONE, revision=entry.revision)

    def _call(self, key: str, verb, *, new: bool = False, expected: str = ABSENT) -> Operation:
        self._number += 1
        wrote = f"{self._name}.{self._number}" if new else ABSENT
        return self._recorder.called(
            Operation(self._name, self._number, key, verb, wrote, expected)
        )

    def _saw(self, operation: Operation, outcome: Outcome, entry: Entry | None) -> None:
        self._seen[operation.key] = entry
        saw, revision = (ABSENT, 0) if entry is None else (name_of(entry.data), entry.revision)
        self._recorder.answered(operation, outcome, saw, revision)


def value_of(name: str, padding: int = 0) -> bytes:
    """Return a JSON object with the name in it, and as much more as wanted."""
    return f'{{"metadata":{{"name":"{name}"}},"more":"{"x" * padding}"}}'.encode()


def name_of(value: bytes) -> str:
    """Return the name in a value."""
    return msgspec.json.decode(value)["metadata"]["name"]


async def some_work(client: Client, keys: list[str], rng: random.Random) -> None:
    """Do one thing, on what the client knows, which may have changed in the meantime."""
    key = rng.choice(keys)
    if not client.known(key):
        await (client.create(key) if rng.random() < 0.6 else client.read(key))
        return
    verbs = (client.update, client.read, client.delete)
    (verb,) = rng.choices(verbs, (6, 2, 1))
    await verb(key)


async def audit(store: Store, recorder: Recorder, name: str, keys: Iterable[str]) -> None:
    """Read every key once."""
    client = StoreClient(name, store, recorder, random.Random(0))
    for key in keys:
        await client.read(key)
