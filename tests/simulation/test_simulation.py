"""Seeds, run; and proof that a run can be had again."""

from __future__ import annotations

import pytest

from tests.simulation.run import simulate


@pytest.mark.parametrize("seed", [1, 5])
def test_a_seed_replays(seed):
    first, second = simulate(seed), simulate(seed)
    assert first.digest == second.digest
    assert first.writes > 50
    assert not first.violations
