"""How often something large is looked at."""

from __future__ import annotations

import pytest

from kybern.controllers.runtime.pacing import EACH, MOST, Pacing


class Clock:
    def __init__(self):
        self.time = 100.0

    def monotonic(self):
        return self.time


def test_small_keys_never_wait():
    pacing = Pacing(Clock())
    pacing.looked("web", 300)
    assert pacing.wait("web") == 0


def test_a_large_key_waits_for_as_long_as_it_is_large():
    clock = Clock()
    pacing = Pacing(clock)
    assert pacing.wait("web") == 0
    pacing.looked("web", 10_000)
    assert pacing.wait("web") == pytest.approx(10_000 * EACH)
    assert pacing.wait("other") == 0
    clock.time += 10_000 * EACH + 0.001
    assert pacing.wait("web") == 0


def test_nothing_waits_for_longer_than_anybody_would_notice():
    pacing = Pacing(Clock())
    pacing.looked("web", 10_000_000)
    assert pacing.wait("web") <= MOST


def test_a_key_of_which_something_else_is_wanted_does_not_wait():
    pacing = Pacing(Clock())
    pacing.looked("web", 10_000)
    pacing.forget("web")
    assert pacing.wait("web") == 0
