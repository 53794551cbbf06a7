"""Sorted keys against a sorted list."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from kybern.store import sorted_keys
from kybern.store.sorted_keys import SortedKeys

KEYS = st.text(alphabet="ab/-é", min_size=1, max_size=4)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), KEYS), max_size=80), KEYS, KEYS | st.just(""))
def test_is_what_a_sorted_list_is(changes, after, before):
    full = sorted_keys._FULL
    sorted_keys._FULL = 4  # split early
    try:
        keys, model = SortedKeys(), set()
        for adding, key in changes:
            if adding and key not in model:
                keys.add(key)
                model.add(key)
            elif not adding and key in model:
                keys.remove(key)
                model.remove(key)
            assert len(keys) == len(model)
        expected = [k for k in sorted(model) if k > after and (not before or k < before)]
        assert list(keys.between(after, before)) == expected
        assert keys.count(after, before) == len(expected)
        assert list(SortedKeys(sorted(model)).between("", "")) == sorted(model)
    finally:
        sorted_keys._FULL = full


def test_many():
    rng = random.Random(1)
    names = [f"/registry/pods/ns{rng.randrange(50)}/{rng.random()}" for _ in range(20_000)]
    keys = SortedKeys(sorted(names[:5000]))
    for name in names[5000:]:
        keys.add(name)
    for name in names[::3]:
        keys.remove(name)
    left = sorted(set(names) - set(names[::3]))
    assert list(keys.between("", "")) == left
    assert keys.count(left[100], left[9000]) == 8899
    assert list(keys.between(left[100], left[9000])) == left[101:9000]
