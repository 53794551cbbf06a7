"""Strategic merge patch. The expectations in strategic_cases.json are what kubectl answers.

They were taken from `kubectl patch --local --type=strategic`, which runs upstream's own code,
without the directives and nulls that upstream leaves in items it appends and drops afterwards.
"""

import json
import pathlib

import pytest

from kybern.api import errors
from kybern.api.patch import strategic
from kybern.api.scheme import SCHEME

CASES = json.loads((pathlib.Path(__file__).parent / "strategic_cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_cases(case):
    live, patch = case["live"], case["patch"]
    struct = SCHEME.by_kind(live["apiVersion"], live["kind"]).struct
    before = json.dumps([live, patch])
    if "error" in case:
        with pytest.raises(errors.ApiError) as caught:
            strategic.apply(live, patch, struct)
        assert caught.value.message.strip() == case["error"].strip()
    else:
        assert strategic.apply(live, patch, struct) == case["expected"]
    assert json.dumps([live, patch]) == before, "an input was changed"


POD = SCHEME.by_kind("v1", "Pod").struct


@pytest.mark.parametrize(
    ("patch", "cls", "code", "message"),
    [
        ({"spec": {"$retainKeys": "x"}}, errors.BadRequest, 400, "invalid patch format of retainKeys"),
        ({"metadata": {"$deleteFromPrimitiveList": ["x"]}}, errors.BadRequest, 400,
         "invalid patch format of primitive list"),
        ({"spec": {"$setElementOrder": []}}, errors.BadRequest, 400,
         "invalid patch format of setElementOrder list"),
        ({"spec": {"containers": [{"image": "x"}]}}, errors.ApiError, 500,
         "map: map[image:x] does not contain declared merge key: name"),
        ({"spec": {"containers": [["x"]]}}, errors.Invalid, 422,
         "the server rejected our request due to an error in our request"),
        ({"spec": {"$setElementOrder/bogus": [{"name": "x"}], "bogus": [{"name": "x"}]}},
         errors.ApiError, 500, 'unable to find api field in struct PodSpec for the json field "bogus"'),
    ],
)  # fmt: skip
def test_how_bad_patches_are_answered(patch, cls, code, message):
    live = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}}
    with pytest.raises(cls) as caught:
        strategic.apply(live, patch, POD)
    assert (type(caught.value), caught.value.code, caught.value.message) == (cls, code, message)
    assert caught.value.status()["status"] == "Failure"


def test_an_appended_item_loses_its_directives():
    live = {"spec": {"containers": [{"name": "a"}]}}
    new = {
        "name": "b",
        "env": [{"name": "X", "$patch": "delete"}, {"name": "Y", "value": None}],
        "$setElementOrder/env": [{"name": "Y"}],
    }
    patched = strategic.apply(live, {"spec": {"containers": [new]}}, POD)
    assert patched["spec"]["containers"] == [{"name": "b", "env": [{"name": "Y"}]}, {"name": "a"}]


def test_untyped_parts_merge_as_maps():
    kind = SCHEME.by_kind("apps/v1", "ControllerRevision").struct
    live = {"data": {"a": {"b": 1, "l": [1]}}}
    patched = strategic.apply(live, {"data": {"a": {"c": 2, "l": [2]}}}, kind)
    assert patched == {"data": {"a": {"b": 1, "c": 2, "l": [2]}}}


def test_bodies():
    patch, odd = strategic.parse(b'{"a": 1, "b": {"c": 1, "c": 2}}')
    assert (patch, odd) == ({"a": 1, "b": {"c": 2}}, ['duplicate field "b.c"'])
    with pytest.raises(errors.BadRequest, match="cannot unmarshal array"):
        strategic.parse(b"[]")
    with pytest.raises(errors.BadRequest):
        strategic.parse(b"{")
