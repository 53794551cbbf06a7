"""Sets of indexes as text.

In:   `0,3-5,7`.
Out:  {0, 3, 4, 5, 7}, and back.
By:   the other files here. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def parse(text: str | None, completions: int) -> set[int]:
    """Return the indexes of a text that are below `completions`; what makes no sense is skipped."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), min(int(last or first) + 1, completions)))
    return found


def render(indexes: Iterable[int]) -> str:
    """Return a set as text; three or more in a row are a range."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs
    )
