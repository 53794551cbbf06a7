"""Objects of custom kinds are pruned, filled in and judged by their schema."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.api.custom.structure import Structure
from kybern.api.custom.values import check

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
KEEP = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "value", "left", "gone"),
    [
        (obj(a=TEXT), {"a": "1", "b": 2, "kind": "K"}, {"a": "1", "kind": "K"}, ["b"]),
        (obj(a=obj(b=TEXT)), {"a": {"b": "1", "c": {}}}, {"a": {"b": "1"}}, ["a.c"]),
        (obj(a=KEEP), {"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 1}}}, []),
        (
            obj(a={**KEEP, "properties": {"b": obj(c=TEXT)}}),
            {"a": {"x": {"y": 1}, "b": {"c": "1", "d": 2}}},
            {"a": {"x": {"y": 1}, "b": {"c": "1"}}},
            ["a.b.d"],
        ),
        (
            obj(a={"type": "array", "items": obj(b=TEXT)}),
            {"a": [{"b": "1"}, {"c": "2"}]}, {"a": [{"b": "1"}, {}]}, ["a[1].c"],
        ),
        (
            obj(a={"type": "object", "additionalProperties": obj(b=TEXT)}),
            {"a": {"k": {"b": "1", "c": 1}}}, {"a": {"k": {"b": "1"}}}, ["a.k.c"],
        ),
        (obj(a={"type": "object", "additionalProperties": True}), {"a": {"b": 1}}, None, []),
        ({"type": "object"}, {"spec": {}, "a": 1}, {}, ["a", "spec"]),
    ],
)  # fmt: skip
def test_what_the_schema_does_not_name_goes(schema, value, left, gone):
    wanted = copy.deepcopy(value) if left is None else left
    assert Structure(schema, root=True).prune(value) == gone
    assert value == wanted


def test_an_object_within_an_object_has_metadata_and_nothing_else_unknown():
    inner = {**obj(spec=obj(a=TEXT)), "x-kubernetes-embedded-resource": True}
    value = {"t": {"kind": "Pod", "apiVersion": "v1", "spec": {"a": "1"}, "b": 1,
                   "metadata": {"name": "n", "odd": 1}}}  # fmt: skip
    assert Structure(obj(t=inner), root=True).prune(value) == ["t.b", "t.metadata.odd"]
    assert value["t"]["metadata"] == {"name": "n"}


@pytest.mark.parametrize(
    ("schema", "value", "filled"),
    [
        (obj(a={**TEXT, "default": "x"}), {}, {"a": "x"}),
        (obj(a={**TEXT, "default": "x"}), {"a": None}, {"a": "x"}),
        (obj(a={**TEXT, "default": "x", "nullable": True}), {"a": None}, {"a": None}),
        (obj(a={**TEXT, "default": ""}), {}, {"a": ""}),
        (obj(a={"type": "boolean", "default": False}), {}, {"a": False}),
        (obj(a=obj(b={**TEXT, "default": "x"})), {}, {}),
        (obj(a={**obj(b={**TEXT, "default": "x"}), "default": {}}), {}, {"a": {"b": "x"}}),
        (
            obj(a={"type": "array", "items": obj(b={**NUMBER, "default": 3})}),
            {"a": [{}, {"b": 1}]}, {"a": [{"b": 3}, {"b": 1}]},
        ),
        (
            obj(a={"type": "object", "additionalProperties": obj(b={**NUMBER, "default": 3})}),
            {"a": {"k": {}}}, {"a": {"k": {"b": 3}}},
        ),
        (obj(a=TEXT, b={**TEXT, "nullable": True}), {"a": None, "b": None}, {"b": None}),
    ],
)  # fmt: skip
def test_defaults_are_filled_in(schema, value, filled):
    structure = Structure(schema, root=True)
    structure.drop_nulls(value)
    structure.fill(value)
    assert value == filled


def test_a_default_is_nobodys_to_change():
    structure = Structure(obj(a={**obj(b=NUMBER), "default": {"b": 1}}), root=True)
    one: dict[str, Any] = {}
    structure.fill(one)
    one["a"]["b"] = 2
    other: dict[str, Any] = {}
    structure.fill(other)
    assert other == {"a": {"b": 1}}


LIST = {"type": "array", "items": TEXT}


@pytest.mark.parametrize(
    ("schema", "value", "problem"),
    [
        (TEXT, 1, 'a: Invalid value: "integer": a in body must be of type string: "integer"'),
        (NUMBER, "x", 'a: Invalid value: "string": a in body must be of type integer: "string"'),
        (NUMBER, 1.5, 'a: Invalid value: "number": a in body must be of type integer: "number"'),
        (TEXT, None, 'a: Invalid value: "null": a in body must be of type string: "null"'),
        ({**NUMBER, "maximum": 3}, 4,
         "a: Invalid value: 4: a in body should be less than or equal to 3"),
        ({**NUMBER, "minimum": 3}, 2,
         "a: Invalid value: 2: a in body should be greater than or equal to 3"),
        ({**NUMBER, "minimum": 3, "exclusiveMinimum": True}, 3,
         "a: Invalid value: 3: a in body should be greater than 3"),
        ({**NUMBER, "multipleOf": 5}, 7,
         "a: Invalid value: 7: a in body should be a multiple of 5"),
        ({**TEXT, "pattern": "^x"}, "y", "a: Invalid value: \"y\": a in body should match '^x'"),
        ({**TEXT, "minLength": 2}, "y",
         'a: Invalid value: "y": a in body should be at least 2 chars long'),
        ({**TEXT, "maxLength": 2}, "yyy", "a: Too long: may not be more than 2 bytes"),
        ({**TEXT, "enum": ["x", "y"]}, "z",
         'a: Unsupported value: "z": supported values: "x", "y"'),
        ({**TEXT, "format": "ipv4"}, "z",
         'a: Invalid value: "z": a in body must be of type ipv4: "z"'),
        ({**LIST, "maxItems": 1}, ["a", "b"], "a: Too many: 2: must have at most 1 item"),
        ({**LIST, "x-kubernetes-list-type": "set"}, ["a", "a"], 'a[1]: Duplicate value: "a"'),
        (LIST, ["a", 1],
         'a[1]: Invalid value: "integer": a[1] in body must be of type string: "integer"'),
        ({**obj(b=TEXT), "required": ["b"]}, {}, "a.b: Required value"),
        ({"x-kubernetes-int-or-string": True}, 1.5,
         'a: Invalid value: "number": a in body must be of type integer,string: "number"'),
        ({**NUMBER, "not": {"enum": [1]}}, 1,
         '<nil>: Invalid value: "": "a" must not validate the schema (not)'),
        ({**NUMBER, "oneOf": [{"minimum": 1}, {"maximum": 5}]}, 3,
         '<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). '
         "Found 2 valid alternatives"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_as_upstream_says_it(schema, value, problem):
    found = check(Structure(obj(a=schema), root=True), {"a": value})
    assert [str(each) for each in found] == [problem]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (NUMBER, 1.0), ({"type": "number"}, 1), ({**TEXT, "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True}, "1"), ({"x-kubernetes-int-or-string": True}, 1),
        ({**NUMBER, "anyOf": [{"minimum": 5}, {"maximum": 1}]}, 1),
        ({"x-kubernetes-preserve-unknown-fields": True}, [{"a": 1}]),
    ],
)  # fmt: skip
def test_what_is_fine(schema, value):
    assert check(Structure(obj(a=schema), root=True), {"a": value}) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
WHOLE = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
SOME = obj(
    a=obj(a={**NUMBER, "default": 1}, b={**LIST, "nullable": True}),
    b={"type": "array", "items": obj(a={**TEXT, "default": "x"})},
    c={"type": "object", "additionalProperties": {**NUMBER, "default": 2}},
)


@given(WHOLE)
def test_doing_it_again_changes_nothing(value):
    structure = Structure(SOME, root=True)
    for step in (structure.prune, structure.drop_nulls, structure.fill):
        step(value)
    once = copy.deepcopy(value)
    assert structure.prune(value) == []
    structure.drop_nulls(value)
    structure.fill(value)
    assert value == once
