"""Catches those who change what they only borrowed.

In:   every object an informer hands out.
Out:  `MutationError`, naming the object, from `check`.
By:   tests, which pass a detector to `Informers`.
"""

from __future__ import annotations

from typing import Any

from kybern.api import codec


class MutationError(AssertionError):
    """Somebody changed an object that belongs to a cache."""


class MutationDetector:
    """Remembers how objects looked when they entered a cache."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, bytes]] = {}
        self._changed: list[str] = []

    def replaced(self, old: Any, new: Any) -> None:
        """Note that `new` entered the cache in the place of `old`; either may be None."""
        if old is not None:
            self._compare(*self._seen.pop(id(old), (None, b"")))
        if new is not None:
            self._seen[id(new)] = (new, codec.encode(new))

    def check(self) -> None:
        """Raise if an object was changed while it was, or is, in a cache."""
        for obj, before in self._seen.values():
            self._compare(obj, before)
        if self._changed:
            raise MutationError("; ".join(self._changed))

    def _compare(self, obj: Any, before: bytes) -> None:
        if obj is None:
            return
        after = codec.encode(obj)
        if after != before:
            what = f"{obj.kind} {obj.metadata.namespace}/{obj.metadata.name}"
            self._changed.append(f"{what} was changed in the cache: {before!r} -> {after!r}")
