from __future__ import annotations

import random

from kybern.lib.backoff import Backoff


def test_doubles_up_to_the_cap():
    backoff = Backoff(initial=1, factor=2, cap=10)
    assert [backoff.delay(n) for n in range(6)] == [1, 2, 4, 8, 10, 10]


def test_never_overflows():
    assert Backoff(initial=0.005, factor=2, cap=1000).delay(100_000) == 1000


def test_jitter_is_bounded_and_repeatable():
    backoff = Backoff(initial=1, factor=1, cap=10, jitter=0.5)
    delays = [backoff.delay(0, random.Random(seed)) for seed in range(50)]
    assert all(1 <= delay <= 1.5 for delay in delays)
    assert len(set(delays)) > 10
    assert delays == [backoff.delay(0, random.Random(seed)) for seed in range(50)]
