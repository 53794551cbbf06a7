"""Who an object is: its uid and generated names.

In:   a source of random numbers.
Out:  uids and name suffixes.
By:   registry.metadata; made by app.
"""

from __future__ import annotations

import os
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from kybern.api.names import generate_name

if TYPE_CHECKING:
    from typing import NoReturn

_POOL = 4096  # bytes asked of the system at a time


class PooledRandom(SystemRandom):
    """The system's random numbers, a page at a time: each asking costs as much as a validation."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = b""
        self._used = 0

    def getrandbits(self, k: int, /) -> int:
        """Return `k` bits that nobody was given before."""
        size = (k + 7) // 8
        start, end = self._used, self._used + size
        if end > len(self._pool):
            self._pool = os.urandom(max(_POOL, size))
            start, end = 0, size
        self._used = end
        return int.from_bytes(self._pool[start:end], "little") >> (size * 8 - k)

    def __reduce__(self) -> NoReturn:
        raise TypeError("copies would give the same numbers twice")


class Identities:
    """Makes uids and names."""

    __slots__ = ("_rng",)

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def uid(self) -> str:
        """Return a random UUID of version 4."""
        bits = self._rng.getrandbits(128)
        bits = bits & ~(0xF000 << 64) | (4 << 76)
        bits = bits & ~(0xC000 << 48) | (0x8000 << 48)
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def name(self, base: str) -> str:
        """Return `base` with a random suffix, cut so that the whole fits a label."""
        return generate_name(base, self._rng)

    def suffix(self) -> str:
        """Return five random letters and digits."""
        return generate_name("", self._rng)

    def fraction(self) -> float:
        """Return a random number from 0 up to 1, to spread what would happen at once."""
        return self._rng.random()
