"""The table of a pod's phases."""

from __future__ import annotations

import itertools

import pytest

from kybern.kubelet.pods.lifecycle import NEXT, Event, Phase, next_phase


def test_phases_only_go_forward() -> None:
    order = list(Phase)
    for (phase, _), after in NEXT.items():
        assert order.index(after) - order.index(phase) in (0, 1)


def test_news_are_taken_in_every_phase() -> None:
    for phase, event in itertools.product(Phase, (Event.SPEC_CHANGED, Event.TOLD_TO_STOP)):
        assert (phase, event) in NEXT


def test_every_phase_is_reached_and_left() -> None:
    for phase in Phase:
        assert phase is Phase.STARTING or any(
            after is phase and before is not phase for (before, _), after in NEXT.items()
        )
        assert phase is Phase.FORGOTTEN or any(
            after is not phase for (before, _), after in NEXT.items() if before is phase
        )


def test_what_makes_no_sense_is_a_bug() -> None:
    with pytest.raises(KeyError):
        next_phase(Phase.STARTING, Event.CLEANED_UP)
