from __future__ import annotations

import pytest

from kybern.api import field_path as fp
from kybern.api.bad_value import NIL, quote, render
from kybern.api.core.v1 import ServicePort, Taint
from kybern.api.meta.v1 import LabelSelector

SPEC = fp.Path("spec")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (SPEC, "spec"),
        (SPEC / "containers", "spec.containers"),
        ((SPEC / "containers")[0] / "image", "spec.containers[0].image"),
        ((SPEC / "limits")["cpu"], "spec.limits[cpu]"),
        ((SPEC / "a")["x/y"] / "b", "spec.a[x/y].b"),
    ],
)
def test_paths_read_as_upstream_writes_them(path, text):
    assert str(path) == text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (fp.required(SPEC), "spec: Required value"),
        (fp.required(SPEC, "why"), "spec: Required value: why"),
        (fp.invalid(SPEC, "x", "why"), 'spec: Invalid value: "x": why'),
        (fp.invalid(SPEC, 3, "why"), "spec: Invalid value: 3: why"),
        (fp.invalid(SPEC, True, "why"), "spec: Invalid value: true: why"),
        (fp.invalid(SPEC, None, "why"), 'spec: Invalid value: "null": why'),
        (fp.invalid(SPEC, NIL, "why"), "spec: Invalid value: null: why"),
        (fp.invalid(SPEC, ["a"], "why"), 'spec: Invalid value: ["a"]: why'),
        (fp.invalid(SPEC, {"b": 1, "a": "<"}, ""), 'spec: Invalid value: {"a":"\\u003c","b":1}'),
        (fp.type_invalid(SPEC, "x", "why"), 'spec: Invalid value: "x": why'),
        (
            fp.not_supported(SPEC, "x", ("a", "b")),
            'spec: Unsupported value: "x": supported values: "a", "b"',
        ),
        (fp.not_supported(SPEC, "x"), 'spec: Unsupported value: "x"'),
        (fp.duplicate(SPEC, "x"), 'spec: Duplicate value: "x"'),
        (fp.not_found(SPEC, "x"), 'spec: Not found: "x"'),
        (fp.forbidden(SPEC, "why"), "spec: Forbidden: why"),
        (fp.immutable(SPEC, "x"), 'spec: Invalid value: "x": field is immutable'),
        (fp.too_long(SPEC, 9), "spec: Too long: may not be more than 9 bytes"),
        (fp.too_long(SPEC, 1), "spec: Too long: may not be more than 1 byte"),
        (fp.too_many(SPEC, 3, 2), "spec: Too many: 3: must have at most 2 items"),
        (fp.too_many(SPEC, -1, 1), "spec: Too many: must have at most 1 item"),
        (fp.internal(SPEC, "why"), "spec: Internal error: why"),
        (fp.required(None), "<nil>: Required value"),
    ],
)
def test_problems_read_as_upstream_writes_them(problem, text):
    assert str(problem) == text


def test_a_cause_leaves_the_field_out_of_the_message():
    assert fp.invalid(SPEC / "x", "v", "why").cause() == {
        "reason": "FieldValueInvalid",
        "message": 'Invalid value: "v": why',
        "field": "spec.x",
    }


def test_several_problems_are_listed_once_each():
    one, other = fp.required(SPEC), fp.duplicate(SPEC, 1)
    assert fp.summary([one]) == "spec: Required value"
    assert fp.summary([one, other, one]) == "[spec: Required value, spec: Duplicate value: 1]"


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("plain", '"plain"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("tab\tline\n", '"tab\\tline\\n"'),
        ("grün", '"grün"'),
        ("\x01\x7f", '"\\x01\\x7f"'),
        ("\u200b", '"\\u200b"'),
    ],
)
def test_strings_are_quoted_as_go_quotes_them(text, quoted):
    assert quote(text) == quoted


def test_types_of_the_meta_group_print_with_their_wire_names():
    selector = LabelSelector(matchLabels={"b": "1", "a": "2"})
    assert render(selector) == '{"matchLabels":{"a":"2","b":"1"}}'


def test_internal_types_print_with_their_go_names_and_all_their_fields():
    assert render(ServicePort(protocol="TCP", port=80)) == (
        '{"Name":"","Protocol":"TCP","Port":80,"TargetPort":0,"NodePort":0,"AppProtocol":null}'
    )
    assert render(Taint(key="k", effect="NoSchedule")) == (
        '{"Key":"k","Value":"","Effect":"NoSchedule","TimeAdded":null}'
    )
