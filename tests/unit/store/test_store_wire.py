"""The resourceVersion goes into stored JSON and comes out again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.store import wire
from kybern.store.interface import ADDED, Corrupt, Entry, Event


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x"},"spec":{}}',
            b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"x"},"spec":{}}',
        ),
        (
            b'{"apiVersion":"v1","kind":"Pod","metadata":{}}',
            b'{"apiVersion":"v1","kind":"Pod","metadata":{"resourceVersion":"7"}}',
        ),
        (b'{"metadata":{ }}', b'{"metadata":{"resourceVersion":"7" }}'),
        (b'{"metadata":{"a":1}}\n', b'{"metadata":{"resourceVersion":"7","a":1}}\n'),
        # by others: the top level is put in order first
        (
            b'{"data":{"metadata":{"x":1}},"kind":"A","metadata":{"name":"y"},"apiVersion":"v1"}',
            b'{"kind":"A","apiVersion":"v1","metadata":{"resourceVersion":"7","name":"y"},'
            b'"data":{"metadata":{"x":1}}}',
        ),
        (b'{"spec": 1}', b'{"metadata":{"resourceVersion":"7"},"spec":1}'),
        (b'{"metadata":null}', b'{"metadata":{"resourceVersion":"7"}}'),
        (b'{ "metadata" : {"a" : 1} }', b'{"metadata":{"resourceVersion":"7","a" : 1}}'),
    ],
)
def test_where_it_goes(data, expected):
    with_it, at = wire.with_revision(data, 7)
    assert with_it == expected
    assert json.loads(with_it)["metadata"]["resourceVersion"] == "7"
    without = json.loads(wire.without_revision(with_it, at, 7))
    assert without == {"metadata": {}, **json.loads(data)} or json.loads(data)["metadata"] is None


@pytest.mark.parametrize("data", [b"", b"[]", b'{"metadata":3}', b'{"kind":{}}'])
def test_what_is_no_object_is_corrupt(data):
    with pytest.raises(Corrupt, match="/registry/x is not a JSON object"):
        _ = Entry("/registry/x", 7, 7, data).wire


@pytest.mark.parametrize(
    ("data", "flag"),
    [
        (b"k8s\0abc", "--storage-media-type=application/json"),
        (b"k8s:enc:x", "--encryption-provider-config"),
    ],
)
def test_what_upstream_stores_otherwise_names_the_flag(data, flag):
    with pytest.raises(Corrupt, match=f"/registry/x is .*{flag}"):
        _ = Entry("/registry/x", 7, 7, data).wire


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metadata", "name", "x{", '"']), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["spec", "data", "a"]), JSON, max_size=3),
    st.dictionaries(st.sampled_from(["name", "labels", "metadata"]), JSON, max_size=3),
    st.permutations(["kind", "apiVersion", "metadata", "rest"]),
    st.booleans(),
    st.integers(1, 10**18),
)
def test_any_object(rest, metadata, order, compact, revision):
    tree = {}
    for part in order:
        fields = {"kind": "K", "apiVersion": "g/v1", "metadata": metadata}
        tree.update(rest if part == "rest" else {part: fields[part]})
    separators = (",", ":") if compact else (", ", ": ")
    entry = Entry("/k", revision, revision, json.dumps(tree, separators=separators).encode())
    size = entry.size
    expected = {**tree, "metadata": {**metadata, "resourceVersion": str(revision)}}
    assert json.loads(entry.wire) == expected
    assert entry.wire is entry.wire
    assert json.loads(entry.data) == tree
    if compact and order[-1] == "rest":
        assert entry.data == json.dumps(tree, separators=separators).encode()
        assert abs(entry.size - size) <= 1


def test_only_one_copy_is_held():
    entry = Entry("/k", 5, 5, b'{"metadata":{"name":"x"}}')
    original = entry.held
    assert entry.data is original
    assert entry.wire is entry.held
    assert entry.held is not original
    assert entry.data == original


def test_frames_are_encoded_once():
    event = Event(ADDED, Entry("/k", 5, 5, b'{"metadata":{"name":"x"}}'), None)
    assert event.frame is event.frame
    assert event.frame == (
        b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"5","name":"x"}}}\n'
    )


def test_reprs_are_short():
    entry = Entry("/k", 5, 4, b"x" * 10_000)
    assert repr(entry) == "Entry('/k', revision=5, created=4)"
    assert repr(Event(ADDED, entry, None)) == "Event(ADDED '/k' at 5)"
