"""The phases of a pod on its node, as a table.

In:   a phase and an event.
Out:  the next phase; an event which makes no sense in a phase is a KeyError, that is, a bug.
By:   pods/worker.py.

    STARTING   kept running as its spec says; containers start, and start again
    STOPPING   told to end: hooks run, containers get their grace, then are killed
    STOPPED    nothing runs; network, volumes and cgroups are given back, the last status is told
    FORGOTTEN  nothing of it is left on the node but what `logs` may still read until it is deleted
"""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """Where a pod is in its life on the node."""

    STARTING = "starting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FORGOTTEN = "forgotten"


class Event(enum.Enum):
    """What moves a pod on."""

    SPEC_CHANGED = "spec changed"
    TOLD_TO_STOP = "told to stop"  # deleted, evicted, past its deadline, or rejected
    ALL_EXITED = "all exited"  # finished by itself, or after being told to
    CLEANED_UP = "cleaned up"


NEXT: dict[tuple[Phase, Event], Phase] = {
    (Phase.STARTING, Event.SPEC_CHANGED): Phase.STARTING,
    (Phase.STARTING, Event.TOLD_TO_STOP): Phase.STOPPING,
    (Phase.STARTING, Event.ALL_EXITED): Phase.STOPPING,
    (Phase.STOPPING, Event.SPEC_CHANGED): Phase.STOPPING,
    (Phase.STOPPING, Event.TOLD_TO_STOP): Phase.STOPPING,
    (Phase.STOPPING, Event.ALL_EXITED): Phase.STOPPED,
    (Phase.STOPPED, Event.SPEC_CHANGED): Phase.STOPPED,
    (Phase.STOPPED, Event.TOLD_TO_STOP): Phase.STOPPED,
    (Phase.STOPPED, Event.CLEANED_UP): Phase.FORGOTTEN,
    (Phase.FORGOTTEN, Event.SPEC_CHANGED): Phase.FORGOTTEN,
    (Phase.FORGOTTEN, Event.TOLD_TO_STOP): Phase.FORGOTTEN,
}


def next_phase(phase: Phase, event: Event) -> Phase:
    """Return the phase after an event."""
    return NEXT[phase, event]
