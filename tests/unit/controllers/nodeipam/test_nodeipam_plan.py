"""The parts of a network, and who has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.controllers.nodeipam.plan import ExhaustedError, Ranges


def test_parts_are_given_out_in_order_and_to_one_owner_each():
    ranges = Ranges("10.244.0.0/22", 24)
    assert [ranges.take() for _ in range(4)] == [f"10.244.{n}.0/24" for n in range(4)]
    assert ranges.free == 0
    with pytest.raises(ExhaustedError):
        ranges.take()


def test_a_part_that_came_back_is_given_out_last():
    ranges = Ranges("10.244.0.0/22", 24)
    first = ranges.take()
    ranges.release(first)
    assert ranges.take() == "10.244.1.0/24"
    assert [ranges.take() for _ in range(3)][-1] == first


@pytest.mark.parametrize(
    ("network", "taken"),
    [
        ("10.244.1.0/24", {1}),
        ("10.244.0.0/23", {0, 1}),
        ("10.244.3.64/26", {3}),
        ("10.0.0.0/8", {0, 1, 2, 3}),
        ("10.244.3.0/22", {0, 1, 2, 3}),
        ("10.96.0.0/16", set()),
        ("fd00::/64", set()),
    ],
)
def test_what_overlaps_is_not_given_out(network, taken):
    ranges = Ranges("10.244.0.0/22", 24)
    ranges.occupy(network)
    left = {int(ranges.take().split(".")[2]) for _ in range(ranges.free)}
    assert left == {0, 1, 2, 3} - taken
    ranges.release(network)
    assert ranges.free == len(taken)


def test_a_part_that_two_networks_overlap_is_free_when_both_are_gone():
    ranges = Ranges("10.244.0.0/24", 24)
    for network in ("10.244.0.0/25", "10.244.0.128/25"):
        ranges.occupy(network)
    ranges.release("10.244.0.0/25")
    assert ranges.free == 0
    ranges.release("10.244.0.128/25")
    assert ranges.free == 1


def test_ipv6():
    ranges = Ranges("fd00:10::/56", 64)
    assert [ranges.take(), ranges.take()] == ["fd00:10::/64", "fd00:10:0:1::/64"]


@pytest.mark.parametrize(("cluster", "prefix"), [("10.0.0.0/24", 16), ("10.0.0.0/8", 25)])
def test_masks_that_do_not_fit(cluster, prefix):
    with pytest.raises(ValueError, match=r"do not fit|too many"):
        Ranges(cluster, prefix)


@given(st.lists(st.integers(-8, 8), max_size=60))
def test_whatever_comes_and_goes_nobody_shares(steps):
    ranges, held = Ranges("10.244.0.0/21", 24), []
    for step in steps:
        if step >= 0 and ranges.free:
            part = ranges.take()
            assert part not in held
            held.append(part)
        elif held:
            ranges.release(held.pop(step % len(held)))
    assert ranges.free == 8 - len(held)
