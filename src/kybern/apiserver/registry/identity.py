"""Who an object is: its uid and generated names.

In:   a source of random numbers.
Out:  uids and name suffixes.
By:   registry.metadata; made by app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.names import generate_name

if TYPE_CHECKING:
    from random import Random


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
