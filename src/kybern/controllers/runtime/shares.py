"""Numbers that may be percentages.

In:   a number, or a text like `25%`, and what it is a part of.
Out:  a number.
By:   disruption.plan. Pure.
"""

from __future__ import annotations

import math

from kybern.api.decimals import natural


def share(value: int | str, whole: int, *, up: bool = True) -> int | None:
    """Return the number, or the part of `whole`, rounded; None when the text is neither."""
    if isinstance(value, int):
        return value
    percent = natural(value.removesuffix("%"))
    if percent is None or not value.endswith("%"):
        return None
    exact = percent * whole / 100
    return math.ceil(exact) if up else math.floor(exact)
