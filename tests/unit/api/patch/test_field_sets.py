"""The algebra of sets of fields, checked against sets of paths."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.api.patch import field_sets as fs

STEPS = st.sampled_from(["f:a", "f:b", "f:c", 'k:{"name":"x"}', 'k:{"port":80}', 'v:"s"', "i:0"])
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(tuple)
SETS = st.frozensets(PATHS, max_size=8)


def tree(paths):
    return fs.of(*paths)


def paths(tree_):
    return frozenset(fs.paths(tree_))


@given(SETS)
def test_a_set_holds_its_paths(one):
    assert paths(tree(one)) == one
    assert all(fs.has(tree(one), *path) for path in one)


@given(SETS, SETS)
def test_union(one, other):
    assert paths(fs.union(tree(one), tree(other))) == one | other


@given(SETS, SETS)
def test_difference(one, other):
    assert paths(fs.difference(tree(one), tree(other))) == one - other


@given(SETS, SETS)
def test_intersection(one, other):
    assert paths(fs.intersection(tree(one), tree(other))) == one & other


@given(SETS, SETS)
def test_without(one, other):
    left = {p for p in one if not any(p[: len(o)] == o for o in other)}
    assert paths(fs.without(tree(one), tree(other))) == left


@given(SETS, SETS)
def test_inputs_stay_as_they_are_and_results_are_in_order(one, other):
    a, b = tree(one), tree(other)
    before = json.dumps([a, b])
    for operation in (fs.union, fs.difference, fs.intersection, fs.without):
        found = operation(a, b)
        assert json.dumps(found) == json.dumps(fs.parse(found)), operation
    assert json.dumps([a, b]) == before
    assert fs.LEAF == {}


@given(SETS)
def test_the_form_has_no_empty_branches(one):
    def check(below):
        assert below == {} or set(below) != {"."}
        for step, under in below.items():
            if step != ".":
                check(under)

    for other in (tree(one), fs.difference(tree(one), tree(list(one)[:3]))):
        for under in other.values():
            check(under)


def test_order_is_fields_keys_values_indices_and_numbers_by_size():
    steps = [
        "i:10",
        "i:9",
        'v:"a"',
        "v:443",
        "v:80",
        'k:{"port":443}',
        'k:{"port":80}',
        "f:z",
        "f:a",
        ".",
    ]
    assert list(fs.in_order(dict.fromkeys(steps, {}))) == [
        ".", "f:a", "f:z", 'k:{"port":80}', 'k:{"port":443}', "v:80", "v:443", 'v:"a"', "i:9", "i:10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (("f:spec", 'k:{"name":"a b"}', "f:image"), '.spec[name="a b"].image'),
        (("f:ports", 'k:{"containerPort":80,"protocol":"TCP"}'), '.ports[containerPort=80,protocol="TCP"]'),
        (("f:finalizers", 'v:"x/y"'), '.finalizers[="x/y"]'),
        (("f:l", "i:3"), ".l[3]"),
        (("f:l", "v:true"), ".l[=true]"),
        (("f:l", "v:null"), ".l[=null]"),
    ],
)  # fmt: skip
def test_paths_in_messages(path, text):
    assert fs.text(path) == text


def test_steps():
    assert fs.key({"protocol": "TCP", "containerPort": 80}) == (
        'k:{"containerPort":80,"protocol":"TCP"}'
    )
    assert fs.named("name", "a<b") == 'k:{"name":"a\\u003cb"}'
    assert fs.value("é") == 'v:"é"'
    assert fs.value(3) == "v:3"
    assert fs.field("x.y/z") == "f:x.y/z"


@pytest.mark.parametrize("bad", [{"x": {}}, {"f": {}}, {"k:[": {}}, {"k:1": {}}, {"fx": {}}, 1, []])
def test_what_is_no_set(bad):
    with pytest.raises(ValueError):
        fs.parse(bad)


def test_unknown_kinds_of_steps_are_dropped():
    assert fs.parse({"q:future": {}, "f:a": {"f:c": {}, "f:b": {}}}) == {
        "f:a": {"f:b": {}, "f:c": {}}
    }
