"""RFC 7386; the cases of its appendix, and ours."""

import pytest

from kybern.api import errors
from kybern.api.patch import merge_patch


@pytest.mark.parametrize(
    ("live", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({}, {"a": [{"b": None, "c": 1}]}, {"a": [{"c": 1}]}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": []}, {"a": []}),
    ],
)
def test_merging(live, patch, expected):
    before = repr((live, patch))
    assert merge_patch.apply(live, patch) == expected
    assert repr((live, patch)) == before


def test_duplicates_are_told_with_their_place():
    patch, odd = merge_patch.parse(b'{"spec": {"a": 1, "a": 2, "l": [{"x": 1, "x": 2}]}}')
    assert patch == {"spec": {"a": 2, "l": [{"x": 2}]}}
    assert odd == ['duplicate field "spec.a"', 'duplicate field "spec.l[0].x"']


@pytest.mark.parametrize(("body", "kind"), [(b"[]", "array"), (b"1", "number"), (b'"x"', "string")])
def test_a_patch_is_an_object(body, kind):
    with pytest.raises(errors.BadRequest) as caught:
        merge_patch.parse(body)
    assert caught.value.message == (
        f"error decoding patch: json: cannot unmarshal {kind} into Go value of type "
        "map[string]interface {}"
    )


def test_broken_json_is_a_bad_request():
    with pytest.raises(errors.BadRequest, match="error decoding patch: "):
        merge_patch.parse(b"{")
