"""How often something large is looked at."""

from __future__ import annotations

import pytest

from kybern.controllers.runtime.pacing import EACH, MOST, Pacing


def test_small_keys_never_wait():
    pacing = Pacing()
    pacing.looked("web", 300, now=100.0)
    assert pacing.wait("web", 100.0) == 0


def test_a_large_key_waits_for_as_long_as_it_is_large():
    pacing = Pacing()
    assert pacing.wait("web", 100.0) == 0
    pacing.looked("web", 10_000, now=100.0)
    assert pacing.wait("web", 100.0) == pytest.approx(10_000 * EACH)
    assert pacing.wait("other", 100.0) == 0
    assert pacing.wait("web", 100.001 + 10_000 * EACH) == 0


def test_nothing_waits_for_longer_than_anybody_would_notice():
    pacing = Pacing()
    pacing.looked("web", 10_000_000, now=100.0)
    assert pacing.wait("web", 100.0) == MOST


def test_a_key_of_which_something_else_is_wanted_does_not_wait():
    pacing = Pacing()
    pacing.looked("web", 10_000, now=100.0)
    pacing.forget("web")
    assert pacing.wait("web", 100.0) == 0
