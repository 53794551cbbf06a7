"""Go's durations: `30s`, `1m30s`, `100ms`.

In:   text of a query parameter.
Out:  seconds.
By:   filters.deadline. Pure.
"""

from __future__ import annotations

import re

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|s|us|µs|ns)")
_WHOLE = re.compile(rf"[+-]?(?:{_PART.pattern})+")


def parse(text: str) -> float:
    """Return the seconds of a duration.

    Raises:
        ValueError: it is none.
    """
    if text in ("0", "+0", "-0"):
        return 0.0
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"not a duration: {text!r}")
    total = sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))
    return -total if text.startswith("-") else total
