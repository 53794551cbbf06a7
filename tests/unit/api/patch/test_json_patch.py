"""RFC 6902 with the liberties that clients rely on; expectations agree with kubectl's library."""

import json

import pytest

from kybern.api import errors
from kybern.api.patch import json_patch

LIVE = {"spec": {"a": [1, 2, 3], "m": {"x/y": 1, "~t": 2}, "n": None}}


def op(kind, path, *value, **more):
    return {"op": kind, "path": path, **({"value": value[0]} if value else {}), **more}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (op("add", "/spec/b", 1), {"b": 1}),
        (op("add", "/spec/b"), {"b": None}),
        (op("add", "/spec/a/0", 0), {"a": [0, 1, 2, 3]}),
        (op("add", "/spec/a/-", 4), {"a": [1, 2, 3, 4]}),
        (op("add", "/spec/a/3", 4), {"a": [1, 2, 3, 4]}),
        (op("add", "/spec/a/-1", 9), {"a": [1, 2, 3, 9]}),
        (op("remove", "/spec/a/-1"), {"a": [1, 2]}),
        (op("remove", "/spec/m/x~1y"), {"m": {"~t": 2}}),
        (op("replace", "/spec/m/~0t", 3), {"m": {"x/y": 1, "~t": 3}}),
        (op("replace", "/spec/new", 3), {"new": 3}),  # kubectl and others count on this
        (op("replace", "/spec/a/1", [5]), {"a": [1, [5], 3]}),
        (op("move", "/spec/z", **{"from": "/spec/a/0"}), {"a": [2, 3], "z": 1}),
        (op("copy", "/spec/z", **{"from": "/spec/m"}), {"z": {"x/y": 1, "~t": 2}}),
        (op("test", "/spec/a", [1, 2, 3]), {}),
        (op("test", "/spec/n", None), {}),
        (op("test", "/spec/missing", None), {}),
    ],
)
def test_operations(operation, expected):
    assert json_patch.apply(LIVE, [operation]) == {"spec": {**LIVE["spec"], **expected}}


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (op("add", "/nope/b", 1), 'add operation does not apply: doc is missing path: "/nope/b": missing value'),
        (op("add", "/spec/n/b", 1), 'add operation does not apply: doc is missing path: "/spec/n/b": missing value'),
        (op("add", "", 1), 'add operation does not apply: doc is missing path: "": missing value'),
        (
            op("add", "/spec/a/x", 1),
            "error in add for path: '/spec/a/x': value was not a proper array index: 'x': "
            'strconv.Atoi: parsing "x": invalid syntax',
        ),
        (
            op("add", "/spec/a/4", 1),
            "error in add for path: '/spec/a/4': Unable to access invalid index: 4: invalid index referenced",
        ),
        (
            op("remove", "/spec/gone"),
            "error in remove for path: '/spec/gone': Unable to remove nonexistent key: gone: missing value",
        ),
        (op("remove", "/x/y"), 'remove operation does not apply: doc is missing path: "/x/y": missing value'),
        (op("replace", "/x/y", 1), "replace operation does not apply: doc is missing path: /x/y: missing value"),
        (op("replace", "/spec/a/7", 1), "replace operation does not apply: doc is missing key: /spec/a/7: missing value"),
        (op("test", "/spec/a/0", 2), "testing value /spec/a/0 failed: test failed"),
        (op("test", "/spec/a/0", True), "testing value /spec/a/0 failed: test failed"),
        (op("test", "/spec/a", [1, 2]), "testing value /spec/a failed: test failed"),
        (op("test", "", {}), "testing value  failed: test failed"),
        (op("move", "/spec/b"), "move operation failed to decode from: operation, missing from field: missing value"),
        (op("explode", "/spec"), "Unexpected kind: explode"),
        ({"path": "/spec"}, "Unexpected kind: unknown"),
        ({"op": "add"}, "add operation failed to decode path: missing value"),
    ],
)  # fmt: skip
def test_what_does_not_apply(operation, why):
    with pytest.raises(errors.Invalid) as caught:
        json_patch.apply(LIVE, [operation])
    assert caught.value.message == "the server rejected our request due to an error in our request"
    assert caught.value.code == 422
    assert str(caught.value.__cause__) == why


def test_the_whole_document_can_be_replaced_and_tested():
    assert json_patch.apply(LIVE, [op("test", "", LIVE), op("replace", "", {"x": 1})]) == {"x": 1}


def test_one_failure_undoes_all_and_the_live_tree_is_untouched():
    before = json.dumps(LIVE)
    with pytest.raises(errors.Invalid):
        json_patch.apply(LIVE, [op("add", "/spec/a/0", 9), op("test", "/spec/n", 1)])
    json_patch.apply(LIVE, [op("remove", "/spec/m/x~1y"), op("add", "/spec/a/-", {})])
    assert json.dumps(LIVE) == before


def test_what_was_copied_is_a_copy():
    patch = [op("copy", "/spec/z", **{"from": "/spec/m"}), op("add", "/spec/z/q", 1)]
    assert json_patch.apply(LIVE, patch)["spec"]["m"] == LIVE["spec"]["m"]


def test_bodies():
    body = b'[{"op": "add", "path": "/a", "value": 1, "valeu": 2}]'
    operations, odd = json_patch.parse(body)
    assert operations == [{"op": "add", "path": "/a", "value": 1, "valeu": 2}]
    assert odd == ['json patch unknown field "[0].valeu"']


def test_a_field_written_twice_is_told():
    _, odd = json_patch.parse(b'[{"op": "add", "op": "remove", "path": "/a"}]')
    assert odd == ['json patch duplicate field "[0].op"']


@pytest.mark.parametrize(
    ("body", "validation", "text"),
    [
        (b"{}", "Warn", "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (b"{}", "Ignore", "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
        (b"[1]", "Strict", "error decoding patch: json: cannot unmarshal number into Go value of type []handlers.jsonPatchOp"),
    ],
)  # fmt: skip
def test_bodies_of_another_shape(body, validation, text):
    with pytest.raises(errors.BadRequest, match=".") as caught:
        json_patch.parse(body, validation)
    assert caught.value.message == text


def test_broken_json_is_a_bad_request():
    with pytest.raises(errors.BadRequest, match="error decoding patch: "):
        json_patch.parse(b"[{")


def test_there_is_a_limit():
    with pytest.raises(errors.RequestEntityTooLarge) as caught:
        json_patch.parse(json.dumps([op("test", "/a")] * 10_001).encode())
    assert (
        caught.value.message == "The allowed maximum operations in a JSON patch is 10000, got 10001"
    )
