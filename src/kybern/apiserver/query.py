"""How query parameters are read.

In:   their text.
Out:  values.
By:   filters and handlers. Pure.
"""

from __future__ import annotations


def is_true(text: str) -> bool:
    """Read a boolean the way upstream does: anything but 0 and false."""
    return text not in ("", "0", "false", "False", "F", "f")
