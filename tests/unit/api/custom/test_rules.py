"""Rules in CEL within schemas."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api.custom.objects import CustomObject
from kybern.api.custom.rules import check, check_rules
from kybern.api.custom.structure import Structure
from kybern.api.field_path import Path
from kybern.api.meta.v1 import ObjectMeta

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def obj(*rules: Any, **properties: Any) -> dict[str, Any]:
    found = [each if isinstance(each, dict) else {"rule": each} for each in rules]
    return {"type": "object", "properties": properties, "x-kubernetes-validations": found}


def made(**content: Any) -> CustomObject:
    return CustomObject("CronTab", "stable.example.com/v1", ObjectMeta(name="one"), content)


def found(schema: dict[str, Any], new: CustomObject, old: CustomObject | None = None) -> list[str]:
    return [str(problem) for problem in check(Structure(schema, root=True), new, old)]


LIMITS = obj(spec=obj("self.min <= self.max", min=NUMBER, max=NUMBER))
KEYED = {
    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
    "items": obj("self.size >= oldSelf.size", name=TEXT, size=NUMBER),
}  # fmt: skip


def ruled(schema: dict[str, Any], rule: str) -> dict[str, Any]:
    return {**schema, "x-kubernetes-validations": [{"rule": rule}]}


@pytest.mark.parametrize(
    ("schema", "content", "problems"),
    [
        (LIMITS, {"spec": {"min": 1, "max": 2}}, []),
        (LIMITS, {"spec": {"min": 3, "max": 2}},
         ['spec: Invalid value: "object": failed rule: self.min <= self.max']),
        (LIMITS, {"spec": {"min": 3}},
         ['spec: Invalid value: "object": no such key: max evaluating rule: self.min <= self.max']),
        (obj(spec=obj({"rule": "self.a != 'x'", "message": "a is not x"}, a=TEXT)),
         {"spec": {"a": "x"}}, ['spec: Invalid value: "object": a is not x']),
        (obj(spec=obj({"rule": "self.a != 'x'", "messageExpression": "'not ' + self.a",
                       "reason": "FieldValueForbidden", "fieldPath": ".a"}, a=TEXT)),
         {"spec": {"a": "x"}}, ["spec.a: Forbidden: not x"]),
        (obj("self.metadata.name == 'one'"), {}, []),
        (obj("self.metadata.name == 'two'"), {},
         ['<nil>: Invalid value: "object": failed rule: self.metadata.name == \'two\'']),
        (obj(spec=obj("self.a__dash__b == 'x' && self.__namespace__ == 'y'",
                      **{"a-b": TEXT, "namespace": TEXT})),
         {"spec": {"a-b": "x", "namespace": "y"}}, []),
        (obj(spec=obj("self.t < timestamp('2027-01-01T00:00:00Z')",
                      t={"type": "string", "format": "date-time"})),
         {"spec": {"t": "2026-01-01T00:00:00Z"}}, []),
        (obj(spec=obj("self.ratio / 2.0 == 1.5", ratio={"type": "number"})),
         {"spec": {"ratio": 3}}, []),
        (obj(spec={"type": "array", "items": ruled(TEXT, "self.startsWith('a')")}),
         {"spec": ["ab", "b"]},
         ['spec[1]: Invalid value: "string": failed rule: self.startsWith(\'a\')']),
        (obj(spec={"type": "object", "additionalProperties": ruled(NUMBER, "self > 1")}),
         {"spec": {"k": 1}}, ['spec.k: Invalid value: "integer": failed rule: self > 1']),
        (obj(spec=obj("has(self.a) || has(self.b)", a=TEXT, b=TEXT)), {"spec": {"b": "x"}}, []),
    ],
)  # fmt: skip
def test_what_breaks_a_rule(schema, content, problems):
    assert found(schema, made(**content)) == problems


def test_rules_about_what_was_before():
    schema = obj(spec=obj("self.a == oldSelf.a", a=TEXT))
    new, old = made(spec={"a": "y"}), made(spec={"a": "x"})
    assert found(schema, new) == []  # nothing was there
    told = 'spec: Invalid value: "object": failed rule: self.a == oldSelf.a'
    assert found(schema, new, old) == [told]
    assert found(schema, new, made(other=1)) == []


def test_items_are_told_apart_by_their_keys():
    old = made(spec=[{"name": "a", "size": 5}, {"name": "b", "size": 1}])
    new = made(spec=[{"name": "b", "size": 2}, {"name": "a", "size": 4}, {"name": "c", "size": 0}])
    told = 'spec[1]: Invalid value: "object": failed rule: self.size >= oldSelf.size'
    assert found(obj(spec=KEYED), new, old) == [told]


def test_a_rule_may_see_that_nothing_was_there():
    rule = {"rule": "oldSelf.hasValue() || self.a == 'new'", "optionalOldSelf": True}
    schema = obj(spec=obj(rule, a=TEXT))
    assert found(schema, made(spec={"a": "new"})) == []
    assert len(found(schema, made(spec={"a": "x"}))) == 1
    assert found(schema, made(spec={"a": "x"}), made(spec={"a": "y"})) == []


def test_what_is_no_rule():
    out: list[Any] = []
    check_rules(obj("self.b == 1", " ", a=TEXT), Path("spec"), out)
    first, second = [str(problem) for problem in out]
    assert first.startswith("spec.x-kubernetes-validations[0].rule: Invalid value: ")
    assert "compilation failed: ERROR: <input>:1:5: undefined field 'b'" in first
    assert second.endswith("rule is not specified")


def test_rules_may_not_cost_too_much():
    rule = "self.all(a, self.all(b, self.all(c, a + b + c < 1000)))"
    schema = obj(spec=ruled({"type": "array", "items": NUMBER}, rule))
    (told,) = found(schema, made(spec=list(range(300))))
    assert "running out of cost budget" in told
