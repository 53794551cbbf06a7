"""kill -9 at random moments: what was answered is there, what was not happened at most once.

Hundreds of kills: `bench/faults.py`.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.contracts.store.etcd_fixture import etcd
from tests.faults import killing


@pytest.mark.slow
def test_a_killed_store_loses_nothing_that_was_answered(tmp_path, seed):
    tally = killing.kill_stores(tmp_path / "store.db", seed, kills=15)
    print(tally)  # noqa: T201
    assert tally.kills == 15
    assert tally.answered_writes > 0


@pytest.mark.slow
def test_a_killed_api_server_loses_nothing_that_was_answered(tmp_path, seed):
    tally = asyncio.run(killing.kill_api_servers(tmp_path / "data", seed, kills=3))
    print(tally)  # noqa: T201
    assert tally.kills == 3
    assert tally.answered_writes > 0


@pytest.mark.slow
@pytest.mark.e2e
def test_one_of_two_api_servers_over_etcd_is_killed(tmp_path, seed):
    with etcd() as members:
        run = killing.kill_api_servers(tmp_path, seed, kills=2, store=members.url, servers=2)
        tally = asyncio.run(run)
    print(tally)  # noqa: T201
    assert tally.answered_writes > 0
