"""What follows from the answers of a probe.

In:   the probe's thresholds, the answers so far, one more.
Out:  a Tally, whose `passing` changes only after enough answers in a row.
By:   probes/act.py. Pure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.api.core.v1 import Probe
    from kybern.kubelet.pods.specs import AnyContainer


class ProbeKind(enum.Enum):
    """What an answer is used for; the value is how messages call it."""

    STARTUP = "startup"  # until it passes, the other two are not asked
    LIVENESS = "liveness"  # the container is killed when it fails
    READINESS = "readiness"  # services send traffic only while it passes


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers counted.

    Attributes:
        passing: what the probe says now.
        decided: enough answers have come to say so; before, `passing` is only an assumption.
        last: the last answer.
        run: how many in a row were like it.
    """

    passing: bool
    decided: bool = False
    last: bool | None = None
    run: int = 0


def assumed(kind: ProbeKind) -> Tally:
    """Return what a probe says before it was asked: alive, but neither started nor ready."""
    return Tally(passing=kind is ProbeKind.LIVENESS)


def count(tally: Tally, answer: bool, probe: Probe) -> Tally:
    """Return the tally after one more answer."""
    run = tally.run + 1 if answer is tally.last else 1
    needed = (probe.successThreshold or 1) if answer else (probe.failureThreshold or 3)
    if run < needed:
        return Tally(tally.passing, tally.decided, answer, run)
    return Tally(answer, True, answer, run)


def period(probe: Probe) -> float:
    """Return the seconds between two questions."""
    return float(probe.periodSeconds or 10)


def patience(probe: Probe) -> float:
    """Return the seconds an answer may take."""
    return float(probe.timeoutSeconds or 1)


def probes_of(container: AnyContainer) -> dict[ProbeKind, Probe]:
    """Return the probes a container has."""
    found = {
        ProbeKind.STARTUP: container.startupProbe,
        ProbeKind.LIVENESS: container.livenessProbe,
        ProbeKind.READINESS: container.readinessProbe,
    }
    return {kind: probe for kind, probe in found.items() if probe is not None}


def next_time(began: float, probe: Probe, now: float) -> float:
    """Return when to ask next: `period` after `period`, counted from the first question."""
    every = period(probe)
    return began + every * (int((now - began) / every + 1e-9) + 1)
