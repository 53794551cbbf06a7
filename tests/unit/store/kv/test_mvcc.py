"""What a write means, against a model that is nothing but dictionaries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kybern.store.interface import (
    Compacted,
    Entry,
    FutureRevision,
    KeyExists,
    KeyMissing,
    Mismatch,
)
from kybern.store.kv import mvcc

KEYS = st.sampled_from(["/a/1", "/a/2", "/b/1"])
WRITES = st.tuples(
    st.sampled_from(["create", "update", "delete"]), KEYS, st.integers(-1, 1), st.booleans()
)


def brief(entries):
    return {e.key: (e.revision, e.created, e.data) for e in entries}


def check_refusal(error, verb, expected, now):
    """A refusal rests on what is committed: `now`, if that is not what was asked for."""
    would_fit = now is None if verb == "create" else now is not None and now[0] == expected
    assert isinstance(error, mvcc.Undecided) == would_fit
    if not would_fit:
        assert isinstance(error, KeyExists) == (verb == "create")
        assert isinstance(error, KeyMissing) == (now is None)
        assert (error.current and error.current.revision) == (now and now[0])


@settings(max_examples=300)
@given(st.lists(WRITES | st.just("commit") | st.just("fail"), max_size=60))
def test_against_a_model(steps):
    """Every write is judged as if those before it had happened, and refused only by what has.

    The model: one dictionary per revision, `past`; the last committed one is `past[committed]`.
    """
    state, log, batch = mvcc.State(), [], []
    past: dict[int, dict[str, tuple[int, int, bytes]]] = {1: {}}
    committed = 1
    for step in steps:
        if step == "commit":
            state.committed(batch)
            log, batch = log + batch, []
            committed = max(past)
            continue
        if step == "fail":
            state.forget_plans()
            batch = []
            past = {revision: was for revision, was in past.items() if revision <= committed}
            continue
        verb, key, slip, expire = step
        planned, durable = past[max(past)], past[committed]
        there = planned.get(key)
        expected = (there or (0, 0, b""))[0] + slip
        next_revision = max(past) + 1
        data = b"%d" % next_revision
        fits = there is None if verb == "create" else there is not None and there[0] == expected
        arguments = {
            "create": (key, data, 9.0 if expire else 0.0),
            "update": (key, data, expected),
            "delete": (key, expected),
        }
        try:
            event = getattr(state, verb)(*arguments[verb])
        except (mvcc.Undecided, KeyExists, Mismatch) as error:
            assert not fits
            check_refusal(error, verb, expected, durable.get(key))
        else:
            assert fits
            assert event.revision == next_revision
            assert (event.previous and event.previous.revision) == (there and there[0])
            after = dict(planned)
            if verb == "delete":
                del after[key]
            else:
                created = there[1] if there else next_revision
                after[key] = (next_revision, created, data)
            past[next_revision] = after
            batch.append(event)
    assert state.revision == committed
    assert state.planned_revision == max(past)
    assert brief(state.current.values()) == past[committed]
    for revision, was in past.items():
        if revision <= committed:
            undone = mvcc.before(event for event in log if event.revision > revision)
            listing = mvcc.listing(state.current, undone, revision, "/")
            assert brief(listing.entries) == was
            assert [e.key for e in listing.entries] == sorted(was)


def test_keys_have_to_be_text():
    mvcc.State().create("/registry/é", b"")
    with pytest.raises(ValueError, match="surrogates"):
        mvcc.State().create("/registry/\ud800", b"")


def test_listing_in_parts():
    current = {f"/p/{n}": Entry(f"/p/{n}", n + 2, n + 2, b"") for n in range(8)}
    listing = mvcc.listing(current, {}, 9, "/p/", "/p/2", 3)
    assert [e.key for e in listing.entries] == ["/p/3", "/p/4", "/p/5"]
    assert listing.remaining == 2


def test_what_is_superseded():
    state = mvcc.State()
    events = [state.create("/a", b"123"), state.update("/a", b"4567", 2), state.delete("/a", 3)]
    assert mvcc.superseded(events) == 7


def test_the_known_past():
    state = mvcc.State({}, revision=10, compacted=4)
    state.check_past(4)
    state.check_past(10)
    with pytest.raises(Compacted):
        state.check_past(3)
    with pytest.raises(FutureRevision):
        state.check_past(11)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("/registry/pods/", "/registry/pods0"),
        ("", ""),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", ""),
        ("a\ud7ff", "a\ue000"),
    ],
)
def test_the_end_of_a_prefix(prefix, end):
    assert mvcc.prefix_end(prefix) == end


@given(st.text(max_size=5), st.text(max_size=6))
def test_the_end_of_a_prefix_is_after_all_that_have_it(prefix, key):
    end = mvcc.prefix_end(prefix)
    inside = prefix <= key and (not end or key < end)
    assert inside == key.startswith(prefix)
