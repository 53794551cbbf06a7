"""Whole numbers in text, as Go reads them.

In:   text that a client sent.
Out:  the number, or None: Python would also read other scripts' digits, and refuses 5000 of them.
By:   validation and selectors. Pure.
"""

from __future__ import annotations

import re
from typing import Final

_INTEGER = re.compile(r"[+-]?[0-9]+").fullmatch
_MOST_DIGITS: Final = 19
LARGEST: Final = 2**63 - 1


def integer(text: str) -> int | None:
    """Return a number of 64 bits, which may have a sign."""
    if not _INTEGER(text):
        return None
    digits = text.lstrip("+-").lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS:
        return None
    number = -int(digits) if text[0] == "-" else int(digits)
    return number if -LARGEST - 1 <= number <= LARGEST else None


def natural(text: str) -> int | None:
    """Return a number of 64 bits that is written with digits alone."""
    return integer(text) if text[:1] not in ("+", "-") else None
