"""How query parameters are read.

In:   their text.
Out:  values.
By:   filters and handlers. Pure.
"""

from __future__ import annotations

from kybern.api import decimals


def is_true(text: str) -> bool:
    """Read a boolean the way upstream does: anything but 0 and false."""
    return text not in ("", "0", "false", "False", "F", "f")


def integer(text: str) -> int:
    """Read a number of 64 bits as Go does.

    Raises:
        ValueError: with Go's sentence.
    """
    number = decimals.integer(text)
    if number is not None:
        return number
    digits = text.removeprefix("-").removeprefix("+")
    why = "value out of range" if digits.isascii() and digits.isdigit() else "invalid syntax"
    raise ValueError(f'strconv.ParseInt: parsing "{text}": {why}')
