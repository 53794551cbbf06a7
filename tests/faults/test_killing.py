"""kill -9 at random moments: what was answered is there, what was not happened at most once.

Hundreds of kills: `bench/faults.py`.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.faults import killing


@pytest.mark.slow
def test_a_killed_store_loses_nothing_that_was_answered(tmp_path, seed):
    tally = killing.kill_stores(tmp_path / "store.db", seed, kills=20)
    print(tally)  # noqa: T201
    assert tally.kills == 20
    assert tally.answered_writes > 0


@pytest.mark.slow
def test_a_killed_api_server_loses_nothing_that_was_answered(tmp_path, seed):
    tally = asyncio.run(killing.kill_api_servers(tmp_path / "data", seed, kills=4))
    print(tally)  # noqa: T201
    assert tally.kills == 4
    assert tally.answered_writes > 0
