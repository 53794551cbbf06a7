"""Keys and values as upstream stores them; pure.

In:   our keys and values, or etcd's.
Out:  the other ones.
By:   `engine`, `past`.

Upstream's JSON ends with a newline, which is no part of the object: it is written here and taken
away here. What is not JSON, as encrypted values, stays as it is.
"""

from __future__ import annotations

from typing import NamedTuple

from kybern.store.interface import Corrupt
from kybern.store.kv import mvcc

_JSON = b"{"
_NEWLINE = b"\n"


class Range(NamedTuple):
    """Keys from `start` up to, and not including, `end`."""

    start: bytes
    end: bytes


class Keys:
    """Between our keys, which begin with `inside`, and etcd's, which begin with `outside`."""

    __slots__ = ("_inside", "_outside", "_same")

    def __init__(self, inside: str, outside: str) -> None:
        self._inside = inside
        self._outside = outside.encode()
        self._same = inside == outside

    def outside(self, key: str) -> bytes:
        """Return etcd's key; of "", what all begin with.

        Raises:
            ValueError: the key has another beginning, or no UTF-8.
        """
        if key and not key.startswith(self._inside):
            raise ValueError(f"{key!r} does not begin with {self._inside}")
        if self._same and key:
            return key.encode()
        return self._outside + key[len(self._inside) :].encode()

    def inside(self, key: bytes) -> str | None:
        """Return our key; None for what is not ours.

        Raises:
            Corrupt: it should be ours, and is no text.
        """
        if not key.startswith(self._outside):
            return None
        try:
            return self._inside + key[len(self._outside) :].decode()
        except UnicodeDecodeError:
            raise Corrupt(f"etcd has a key that is no text: {key!r}; delete it") from None

    def range(self, prefix: str, start_after: str = "") -> Range:
        """Return where keys with the prefix, after a key, begin and end in etcd."""
        if len(prefix) < len(self._inside):
            prefix = self._inside
        start = self.outside(prefix)
        if start_after > prefix:
            start = self.outside(start_after) + b"\0"
        end = mvcc.prefix_end(self.outside(prefix).decode())
        return Range(start, end.encode() or b"\0")


def written_value(data: bytes) -> bytes:
    """Return what is stored of a value."""
    return data + _NEWLINE if data.startswith(_JSON) else data


def read_value(stored: bytes) -> bytes:
    """Return the value of what is stored."""
    return stored[:-1] if stored.startswith(_JSON) and stored.endswith(_NEWLINE) else stored
