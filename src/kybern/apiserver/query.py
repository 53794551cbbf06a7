"""How query parameters are read.

In:   their text.
Out:  values.
By:   filters and handlers. Pure.
"""

from __future__ import annotations

import re
from typing import Final

_INTEGER = re.compile(r"[+-]?[0-9]+").fullmatch
_DIGITS: Final = 19  # of the largest number of 64 bits
LARGEST: Final = 2**63 - 1


def is_true(text: str) -> bool:
    """Read a boolean the way upstream does: anything but 0 and false."""
    return text not in ("", "0", "false", "False", "F", "f")


def integer(text: str) -> int:
    """Read a number of 64 bits as Go does.

    Raises:
        ValueError: with Go's sentence.
    """
    if not _INTEGER(text):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > _DIGITS or not -LARGEST - 1 <= (number := int(text)) <= LARGEST:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number
