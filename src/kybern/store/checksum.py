"""A checksum over keys and values that does not depend on their order; pure.

In:   keys with their values, in any order.
Out:  how many they were, and 64 hexadecimal digits.
By:   `snapshot` and `migrate`: the same objects have the same checksum on every medium.
"""

from __future__ import annotations

from hashlib import sha256


class Checksum:
    """The sum of the hashes of all pairs: against accidents, not against forgers."""

    __slots__ = ("_sum", "count")

    def __init__(self) -> None:
        self._sum = 0
        self.count = 0
        """How many pairs were added."""

    def add(self, key: str, value: bytes) -> None:
        """Take a key with its value in."""
        name = key.encode()
        digest = sha256(b"%d:%b%b" % (len(name), name, value)).digest()
        self._sum += int.from_bytes(digest, "big")
        self.count += 1

    @property
    def hex(self) -> str:
        """The checksum of what was added."""
        return f"{self._sum % (1 << 256):064x}"
