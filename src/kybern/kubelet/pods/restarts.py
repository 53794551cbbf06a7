"""How long to wait before a container is started again.

In:   when it ended, and how often it was started before.
Out:  seconds still to wait; a new entry for each start.
By:   plan.py decides with it, the worker keeps the entries. Pure.

10 s after the second failure in a row, doubling up to 5 minutes; the first restart is immediate.
A container which ran for longer than twice the longest wait starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass

INITIAL = 10.0
LONGEST = 300.0
FORGIVEN = 2 * LONGEST


@dataclass(frozen=True, slots=True)
class Waited:
    """The wait that is due after the next end, and when it was set."""

    delay: float
    since: float


def remaining(entry: Waited | None, ended: float, now: float) -> float:
    """Return the seconds until a container which ended may start; 0 when it may now."""
    if entry is None or ended - entry.since > FORGIVEN:
        return 0.0
    return max(0.0, entry.delay - (now - ended))


def after_start(entry: Waited | None, ended: float) -> Waited:
    """Return the entry after starting again a container which had ended at that time."""
    if entry is None or ended - entry.since > FORGIVEN:
        return Waited(INITIAL, ended)
    return Waited(min(LONGEST, entry.delay * 2), ended)


def spoken(seconds: float) -> str:
    """Return a duration as Go prints it: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
