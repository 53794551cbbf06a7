"""Three members of etcd, two API servers' stores over them, and what can happen to it.

In each test clients of both stores work while something is broken, and watchers watch. Then it is
whole again, and must be explicable: per key an order of all operations (linearizability), one
revision per write, and watchers' folds that are the lists. Longer: `bench/faults.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contracts.store.etcd_fixture import etcd
from tests.faults import breaking
from tests.faults.namespaces import machines

from kybern.lib.clock import SYSTEM
from kybern.store.kv.etcd import connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contracts.store.etcd_fixture import Members

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.fixture(scope="module")
def three() -> Iterator[Members]:
    """Three members, whole again after each test."""
    with machines() as members:
        yield members


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a member that does not answer after one second instead of ten."""
    monkeypatch.setattr(connection, "CALL_SECONDS", 1.0)


@pytest.mark.parametrize(
    "name", ["cut_off_the_leader", "lose_the_majority", "stop_the_leader", "slow_down"]
)
def test_what_two_api_servers_do_can_be_explained(three, seed, name):
    judged(breaking.run(three, seed, breaking.NAMED[name]))


def test_a_member_is_killed_and_connections_are_encrypted(seed):
    with etcd(3, tls=True) as members:
        judged(breaking.run(members, seed, breaking.kill_one))


def test_our_clock_jumps_by_an_hour(three, seed):
    clock = breaking.Jumping(3600 if seed % 2 else -3600)
    judged(breaking.run(three, seed, clock.jump, clock, SYSTEM))


def judged(verdict: breaking.Verdict) -> None:
    print(verdict)  # noqa: T201
    assert verdict.answered_writes >= 80
    assert verdict.lists_compared > 100
