"""The checker itself: what it must accept, what it must find, and that it does what brute force does."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.faults.history import ABSENT, UNSEEN, Operation, Outcome, from_pipe, to_pipe
from tests.faults.linearizability import (
    NotLinearizable,
    check,
    check_revisions,
    linearize,
    step,
)

DONE, REFUSED, UNKNOWN, NEVER = Outcome.DONE, Outcome.REFUSED, Outcome.UNKNOWN, Outcome.NEVER


def read(start, end, saw):
    return Operation("r", 0, "/k", "read", start=start, end=end, outcome=DONE, saw=saw)


def create(start, end, wrote, outcome=DONE, saw=ABSENT):
    return Operation("c", 0, "/k", "create", wrote, ABSENT, start, end, outcome, saw)


def update(start, end, expected, wrote, outcome=DONE, saw=ABSENT):
    return Operation("u", 0, "/k", "update", wrote, expected, start, end, outcome, saw)


def delete(start, end, expected, outcome=DONE, saw=ABSENT):
    return Operation("d", 0, "/k", "delete", ABSENT, expected, start, end, outcome, saw)


GOOD = {
    "nothing": [],
    "one life": [
        create(0, 1, "a"),
        read(2, 3, "a"),
        update(4, 5, "a", "b"),
        delete(6, 7, "b"),
        read(8, 9, ABSENT),
    ],
    "reads beside a write may see either": [
        create(0, 9, "a"),
        read(1, 2, ABSENT),
        read(3, 4, "a"),
    ],
    "one of two creates": [create(0, 5, "a"), create(1, 4, "b", REFUSED, "a")],
    "one of two swaps": [
        create(0, 1, "a"),
        update(2, 9, "a", "b"),
        update(3, 8, "a", "c", REFUSED, "b"),
    ],
    "an unknown write happened": [create(0, math.inf, "a", UNKNOWN), read(5, 6, "a")],
    "an unknown write did not happen": [
        create(0, math.inf, "a", UNKNOWN),
        read(5, 6, ABSENT),
        create(7, 8, "b"),
    ],
    "an unknown write happened late": [
        create(0, math.inf, "a", UNKNOWN),
        read(5, 6, ABSENT),
        read(7, 8, "a"),
    ],
    "an unknown deletion happened": [
        create(0, 1, "a"),
        delete(2, math.inf, "a", UNKNOWN),
        read(3, 4, "a"),
        create(5, 6, "b"),
    ],
    "refused by what nobody saw": [
        create(0, math.inf, "a", UNKNOWN),
        create(3, 4, "b", REFUSED, UNSEEN),
    ],
    "a write that promised not to have happened": [create(0, 1, "a", NEVER), read(2, 3, ABSENT)],
}

WRONG = {
    "an answered write is lost": [create(0, 1, "a"), read(2, 3, ABSENT)],
    "an answered update is lost": [create(0, 1, "a"), update(2, 3, "a", "b"), read(4, 5, "a")],
    "a stale read after a fresh one": [
        create(0, 1, "a"),
        update(2, 9, "a", "b"),
        read(3, 4, "b"),
        read(5, 6, "a"),
    ],
    "a value that nobody wrote": [read(0, 1, "a")],
    "a value from the future": [read(0, 1, "a"), create(2, 3, "a")],
    "both of two creates": [create(0, 5, "a"), create(1, 4, "b")],
    "both of two swaps: a lost update": [
        create(0, 1, "a"),
        update(2, 9, "a", "b"),
        update(3, 8, "a", "c"),
    ],
    "neither of two swaps": [
        create(0, 1, "a"),
        update(2, 9, "a", "b", REFUSED, "c"),
        update(3, 8, "a", "c", REFUSED, "b"),
    ],
    "a refused write is seen": [
        create(0, 1, "a"),
        create(2, 3, "b", REFUSED, "a"),
        read(4, 5, "b"),
    ],
    "refused without reason": [create(0, 1, "a"), update(2, 3, "a", "b", REFUSED, "a")],
    "refused, nobody saw why, but there was nothing": [create(0, 1, "a", REFUSED, UNSEEN)],
    "a deleted value comes back": [create(0, 1, "a"), delete(2, 3, "a"), read(4, 5, "a")],
    "an unanswered write happens twice": [
        create(0, math.inf, "a", UNKNOWN),
        read(1, 2, "a"),
        delete(3, 4, "a"),
        read(5, 6, "a"),
    ],
    "an unanswered write happens before it is asked for": [
        read(0, 1, "a"),
        create(2, math.inf, "a", UNKNOWN),
    ],
    "an unknown write is undone": [
        create(0, math.inf, "a", UNKNOWN),
        read(1, 2, "a"),
        read(3, 4, ABSENT),
    ],
    "what promised not to have happened did": [create(0, 1, "a", NEVER), read(2, 3, "a")],
    "two readers see two orders": [
        create(0, 1, "a"),
        update(2, 20, "a", "b"),
        read(3, 10, "b"),
        read(11, 12, "a"),
        read(13, 14, "b"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_accepts(name):
    assert check(GOOD[name]) == len(GOOD[name])


@pytest.mark.parametrize("name", WRONG)
def test_finds(name):
    with pytest.raises(NotLinearizable):
        check(WRONG[name])


def test_says_where_it_is_stuck():
    with pytest.raises(NotLinearizable) as error:
        check(WRONG["an answered update is lost"])
    assert "2 of 3 operations on /k" in str(error.value)
    assert "read -> done, saw a" in str(error.value)


def test_keys_do_not_know_each_other():
    other = Operation("c", 0, "/other", "read", start=2, end=3, outcome=DONE)
    assert check([create(0, 1, "a"), other]) == 2


@pytest.mark.parametrize(
    "operations",
    [
        [(create(0, 1, "a"), 7), (create(2, 3, "b"), 7)],  # used twice
        [(create(0, 1, "a"), 7), (update(2, 3, "a", "b"), 6)],  # goes back
        [(create(0, 1, "a"), 7), (read(2, 3, "a"), 8)],  # two for one write
        [(delete(0, 1, "a"), 7), (create(0, 1, "b"), 7)],
    ],
)
def test_finds_wrong_revisions(operations):
    for operation, revision in operations:
        operation.revision = revision
    with pytest.raises(AssertionError, match="revision"):
        check_revisions([operation for operation, _ in operations])


def explained_by_brute_force(operations):
    """Try every order; writes of unknown outcome are in it or not, at any place."""
    known = [op for op in operations if op.outcome in (DONE, REFUSED)]
    maybe = [op for op in operations if op.outcome is UNKNOWN and op.verb != "read"]
    for count in range(len(maybe) + 1):
        for some in itertools.combinations(maybe, count):
            for order in itertools.permutations([*known, *some]):
                if in_order(order) and fits(order):
                    return True
    return False


def in_order(order):
    return all(not b.end < a.start for a, b in itertools.combinations(order, 2))


def fits(order):
    state = ABSENT
    for operation in order:
        then = step(state, operation)
        if then is None:
            return False
        state = then
    return True


@st.composite
def small_histories(draw):
    """A few operations with few names, which may well be nonsense."""
    operations = []
    names = st.sampled_from([ABSENT, "a", "b", "c"])
    for wrote in draw(st.permutations(["a", "b", "c", "", "", ""])):
        start = draw(st.integers(0, 12))
        answered = start + draw(st.integers(1, 8))
        outcome = draw(st.sampled_from([DONE, DONE, DONE, REFUSED, UNKNOWN, NEVER]))
        end = math.inf if outcome is UNKNOWN else answered
        saw = draw(names)
        if wrote:
            expected = draw(names)
            if expected == ABSENT:
                operations.append(create(start, end, wrote, outcome, saw))
            else:
                operations.append(update(start, end, expected, wrote, outcome, saw))
        elif draw(st.booleans()):
            operations.append(read(start, answered, saw))
        else:
            expected = draw(st.sampled_from(["a", "b", "c"]))
            operations.append(delete(start, end, expected, outcome, saw))
    return operations[: draw(st.integers(1, 6))]


@settings(max_examples=250, deadline=None)
@given(small_histories())
def test_decides_as_brute_force_does(operations):
    try:
        order = linearize(operations)
    except NotLinearizable:
        assert not explained_by_brute_force(operations)
    else:
        assert in_order(order)
        assert fits(order)
        assert explained_by_brute_force(operations)


def a_register(rng, clients, length):
    """What clients of a correct register could have recorded; some answers get lost."""
    state, names, operations = ABSENT, itertools.count(), []
    free = [0.0] * clients
    now = 0.0
    for _ in range(length):
        client = min(range(clients), key=lambda i: free[i] + rng.random())
        now = max(now + rng.random(), free[client])
        start = free[client] + (now - free[client]) * rng.random()
        end = free[client] = now + rng.random() * 8
        stale = rng.choice([state, "old"])
        verb = rng.choice(["read", "create", "update", "delete"])
        wrote = f"v{next(names)}" if verb in ("create", "update") else ABSENT
        expected = (stale or "old") if verb in ("update", "delete") else ABSENT
        operation = Operation(f"c{client}", 0, "/k", verb, wrote, expected, start, end, DONE, state)
        if verb != "read":
            happens = expected == state
            operation.outcome = DONE if happens else REFUSED
            if rng.random() < 0.1:
                operation.outcome, operation.end = UNKNOWN, math.inf
                free[client] = now
                happens = happens and rng.random() < 0.5
            if happens:
                state = wrote
        operations.append(operation)
    return operations


def test_accepts_what_a_register_does_and_finds_every_change_of_it():
    rng = random.Random(5)
    for round_ in range(60):
        operations = a_register(rng, 1 + round_ % 9, 200)
        assert len(linearize(operations)) > 100
        reads = [op for op in operations if op.verb == "read"]
        victim = rng.choice(reads)
        victim.saw = "nobody wrote this"
        with pytest.raises(NotLinearizable):
            linearize(operations)


def test_a_long_history_of_many_clients_is_quick_to_check():
    operations = a_register(random.Random(6), 32, 2500)
    assert len(linearize(operations)) > 2000


def test_what_was_under_way_is_known_of_a_process_that_died(tmp_path):
    file = (tmp_path / "pipe").open("wb+")
    recorder = to_pipe(file.fileno())
    answered = recorder.called(Operation("a", 1, "/k", "create", "x"))
    recorder.answered(answered, DONE, revision=2)
    recorder.called(Operation("b", 1, "/k", "update", "y", "x"))
    file.seek(0)
    lines = file.read()
    assert [op.outcome for op in from_pipe(lines)] == [DONE, UNKNOWN]
    assert [op.outcome for op in from_pipe(lines[:-1])] == [DONE]
    file.close()
