"""Endpoints are spread over slices with few writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kybern.api.core.v1 import ObjectReference
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointSlice
from kybern.controllers.runtime.slices import identity, spread


def endpoint(n: int, ready: bool = True) -> Endpoint:
    return Endpoint(
        addresses=[f"10.0.{n // 250}.{n % 250}"],
        conditions=EndpointConditions(ready=ready),
        targetRef=ObjectReference(uid=str(n)),
    )


def a_slice(*numbers: int) -> EndpointSlice:
    return EndpointSlice(endpoints=[endpoint(n) for n in numbers])


def names(endpoints: list[Endpoint]) -> list[int]:
    return [int(e.targetRef.uid) for e in endpoints]


def test_new_slices_are_filled():
    outcome = spread([endpoint(n) for n in range(7)], [], 3)
    assert [names(some) for some in outcome.create] == [[0, 1, 2], [3, 4, 5], [6]]


def test_nothing_to_do():
    one = a_slice(1, 2)
    outcome = spread([endpoint(2), endpoint(1)], [one], 3)
    assert (outcome.keep, outcome.create, outcome.change, outcome.delete) == ([one], [], [], [])


def test_slices_that_change_anyway_take_the_new_ones():
    untouched, changed = a_slice(1, 2), a_slice(3, 4)
    outcome = spread([endpoint(n) for n in (1, 2, 3, 9)], [untouched, changed], 3)
    assert outcome.keep == [untouched]
    assert [names(some) for _, some in outcome.change] == [[3, 9]]


def test_one_unchanged_slice_is_filled_rather_than_a_new_one_made():
    outcome = spread([endpoint(n) for n in (1, 2, 9)], [a_slice(1, 2)], 3)
    assert [names(some) for _, some in outcome.change] == [[1, 2, 9]]
    assert outcome.create == []


def test_a_condition_changes_in_place():
    outcome = spread([endpoint(1, ready=False)], [a_slice(1)], 3)
    assert outcome.change[0][1][0].conditions.ready is False


def test_empty_slices_go():
    one = a_slice(1)
    assert spread([], [one], 3).delete == [one]


@given(
    st.sets(st.integers(0, 60)),
    st.lists(st.lists(st.integers(0, 60), max_size=8), max_size=6),
    st.integers(1, 10),
)
def test_every_endpoint_is_in_exactly_one_slice(wanted, existing, most):
    outcome = spread([endpoint(n) for n in wanted], [a_slice(*some) for some in existing], most)
    final = [*outcome.create, *(some for _, some in outcome.change)]
    final += [one.endpoints for one in outcome.keep]
    assert all(0 < len(some) <= most for some in final)
    found = [identity(e) for some in final for e in some]
    assert sorted(found) == sorted(identity(endpoint(n)) for n in wanted)
    assert len(outcome.keep) + len(outcome.change) + len(outcome.delete) == len(existing)
