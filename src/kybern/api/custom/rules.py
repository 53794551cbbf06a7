"""Rules in CEL that a schema has for its values: `x-kubernetes-validations`.

In:   a Structure; an object, and the one it replaces.
Out:  problems, in upstream's words; for a definition, what is wrong with its rules.
By:   `apiserver/custom/strategy`, `apiextensions.schema_validation`. Facts: KEP 2876, upstream's
      apiextensions-apiserver/pkg/apiserver/schema/cel.

The language is imported when the first rule is seen. Rules of values that were there before see
those as `oldSelf`: fields by name, items of lists of type `map` by their keys; rules that speak of
`oldSelf` are passed over where there was none.
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any, Final

from kybern.api.field_path import Path, Problem, invalid

if TYPE_CHECKING:
    from kybern.api.custom.structure import Structure
    from kybern.lib.cel.environment import Program
    from kybern.lib.cel.types import Type

    Tree = dict[str, Any]

RULES: Final = "x-kubernetes-validations"
NAMES: Final = ("name", "generateName")
NOTHING: Final = object()
REASONS: Final = (
    "FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate",
)  # fmt: skip
NO_COST_LEFT: Final = (
    "validation failed due to running out of cost budget, no further validation rules will be run"
)
KEYWORDS: Final = frozenset(
    (
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for",
        "function", "if", "import", "let", "loop", "package", "namespace", "return", "var", "void",
        "while",
    )
)  # fmt: skip
_NAME: Final = re.compile(r"[a-zA-Z_.\-/][a-zA-Z0-9_.\-/]*")
_ESCAPES: Final = (
    ("__", "__underscores__"),
    (".", "__dot__"),
    ("-", "__dash__"),
    ("/", "__slash__"),
)


def check(structure: Structure, obj: Any, old: Any | None = None) -> list[Problem]:
    """Return which rules an object breaks.

    Args:
        structure: its schema.
        obj: a CustomObject that fits the schema.
        old: the one it replaces.
    """
    if not structure.ruled:
        return []
    judge = _Judge()
    try:
        judge.see(structure, _whole(obj), NOTHING if old is None else _whole(old), None)
    except _OutOfBudget:
        judge.problems.append(invalid(None, structure.type, NO_COST_LEFT))
    return judge.problems


def check_rules(tree: Tree, place: Path, out: list[Problem]) -> None:
    """Say what is wrong with the rules of one schema of a definition."""
    from kybern.api.custom.structure import Structure

    rules = tree.get(RULES)
    if not rules:
        return
    structure = Structure(tree)
    for index, spec in enumerate(rules):
        at = (place / RULES)[index]
        text = spec.get("rule") or ""
        if not text.strip():
            out.append(invalid(at / "rule", text, "rule is not specified"))
            continue
        rule = Rule(structure, spec)
        if rule.problem:
            out.append(invalid(at / "rule", text, rule.problem))
        if rule.message_problem:
            shown = spec.get("messageExpression")
            out.append(invalid(at / "messageExpression", shown, rule.message_problem))
        if spec.get("reason") and spec["reason"] not in REASONS:
            out.append(
                invalid(at / "reason", spec["reason"], f"must be one of {', '.join(REASONS)}")
            )


class Rule:
    """One rule, compiled.

    Attributes:
        problem: why it cannot be compiled; "" when it can.
        message_problem: the same of its message.
        transition: whether it speaks of what was before.
    """

    def __init__(self, structure: Structure, spec: Tree) -> None:
        from kybern.api.expressions.admission import CONDITION, MESSAGE

        self.text = (spec.get("rule") or "").strip()
        self.told = spec.get("message") or ""
        self.reason = spec.get("reason") or "FieldValueInvalid"
        self.path = spec.get("fieldPath") or ""
        self.optional = bool(spec.get("optionalOldSelf"))
        where = (structure, self.optional)
        self.program, self.problem = _compiled(*where, self.text, CONDITION)
        self.message, self.message_problem = None, ""
        if spec.get("messageExpression"):
            text = spec["messageExpression"]
            self.message, self.message_problem = _compiled(*where, text, MESSAGE)
        self.transition = self.program is not None and "oldSelf" in self.program.uses


class _OutOfBudget(Exception):
    """The rules of an object cost too much together."""


class _Judge:
    """Goes through one object."""

    def __init__(self) -> None:
        from kybern.api.expressions.admission import BUDGET

        self.problems: list[Problem] = []
        self._left = BUDGET

    def see(self, structure: Structure, value: Any, old: Any, path: Path | None) -> None:
        """Judge a value and everything in it."""
        if not structure.ruled or value is None:
            return
        for rule in _rules_of(structure):
            self._apply(rule, structure, value, old, path)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name, each in value.items():
                part = structure.properties.get(name, structure.extra)
                if part is not None and part.ruled:
                    place = Path(name) if path is None else path / name
                    self.see(part, each, before.get(name, NOTHING), place)
        elif isinstance(value, list) and structure.items is not None and structure.items.ruled:
            known = _by_key(structure, old)
            for index, each in enumerate(value):
                before = known.get(_key(structure, each), NOTHING)
                self.see(structure.items, each, before, path[index] if path is not None else None)

    def _apply(
        self, rule: Rule, structure: Structure, value: Any, old: Any, path: Path | None
    ) -> None:
        if rule.program is None:
            self.problems.append(invalid(path, structure.type, rule.problem))
            return
        if rule.transition and old is NOTHING and not rule.optional:
            return
        variables = {"self": shown(structure, value), "oldSelf": self._before(rule, structure, old)}
        from kybern.lib.cel.values import EvalError

        try:
            if self._value(rule.program, variables) is True:
                return
        except EvalError as error:
            told = f"{error} evaluating rule: {rule.told or rule.text}"
            self.problems.append(invalid(path, structure.type, told))
            return
        place = _below(path, rule.path)
        told = self._told(rule, variables)
        self.problems.append(Problem(rule.reason, _place(place), structure.type, told))

    @staticmethod
    def _before(rule: Rule, structure: Structure, old: Any) -> Any:
        if rule.optional:
            from kybern.lib.cel.values import NONE, Optional

            return NONE if old is NOTHING else Optional(shown(structure, old))
        return None if old is NOTHING else shown(structure, old)

    def _told(self, rule: Rule, variables: Tree) -> str:
        from kybern.lib.cel.values import EvalError

        if rule.message is not None:
            try:
                found = self._value(rule.message, variables)
            except EvalError:
                found = ""
            if isinstance(found, str) and found.strip() and "\n" not in found:
                return found.strip()
        return rule.told or f"failed rule: {rule.text}"

    def _value(self, program: Program, variables: Tree) -> Any:
        from kybern.api.expressions.admission import PER_CALL
        from kybern.lib.cel.values import CostExceeded, EvalError

        try:
            value, cost = program.evaluate(variables, PER_CALL)
        except CostExceeded:
            raise _OutOfBudget from None
        except EvalError as error:
            self._spend(getattr(error, "cost", 0))
            raise
        self._spend(cost)
        return value

    def _spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise _OutOfBudget


# --- compiling ---------------------------------------------------------------------------------


@functools.lru_cache(4096)
def _rules_of(structure: Structure) -> tuple[Rule, ...]:
    return tuple(Rule(structure, spec) for spec in structure.tree.get(RULES) or ())


def _compiled(
    structure: Structure, optional: bool, text: str, returns: Any
) -> tuple[Program | None, str]:
    """Return a program, or why there is none."""
    from kybern.api.expressions.admission import Unusable, compiled

    try:
        return compiled(_environment(structure, optional), text, returns), ""
    except Unusable as error:
        return None, str(error)


@functools.lru_cache(1024)
def _environment(structure: Structure, optional: bool) -> Any:
    from kybern.api.expressions import libraries
    from kybern.lib.cel.environment import Environment
    from kybern.lib.cel.types import optional_of

    own = type_of(structure)
    return Environment(
        {"self": own, "oldSelf": optional_of(own) if optional else own}, libraries.known()
    )


def type_of(structure: Structure) -> Type:
    """Return the type of the values of a schema, as rules see them."""
    from kybern.api.expressions import openapi
    from kybern.lib.cel import types as ty
    from kybern.lib.cel.types import ObjectType

    if structure.tree.get("x-kubernetes-int-or-string"):
        return ty.DYN
    if structure.type == "string":
        return openapi.FORMATS.get(structure.tree.get("format") or "", ty.STRING)
    if structure.type == "array":
        return ty.list_of(type_of(structure.items) if structure.items is not None else ty.DYN)
    if structure.type != "object":
        return openapi.PLAIN.get(structure.type, ty.DYN)
    if structure.extra is not None:
        return ty.map_of(ty.STRING, type_of(structure.extra))
    if not structure.properties and not structure.envelope:
        return ty.DYN
    fields = {escaped(name): part for name, part in structure.properties.items()}
    head: dict[str, Type] = {}
    if structure.envelope:
        named = ty.object_type("metadata", dict.fromkeys(NAMES, ty.STRING))
        head = {"apiVersion": ty.STRING, "kind": ty.STRING, "metadata": named}

    @functools.cache
    def field(name: str) -> Type | None:
        if name in head:
            return head[name]
        part = fields.get(name)
        return None if part is None else type_of(part)

    return ObjectType("object", field)


# --- values ------------------------------------------------------------------------------------


def escaped(name: str) -> str:
    """Return what a field is called in rules; "" when it cannot be named.

    >>> escaped("a-b"), escaped("namespace"), escaped("x")
    ('a__dash__b', '__namespace__', 'x')
    """
    if name in KEYWORDS:
        return f"__{name}__"
    if not _NAME.fullmatch(name):
        return ""
    for sign, word in _ESCAPES:
        name = name.replace(sign, word)
    return name


def shown(structure: Structure, value: Any) -> Any:
    """Return a value as rules see it: fields by their names there, times and bytes as such."""
    if structure.plain:
        return value
    if isinstance(value, dict):
        if structure.extra is not None:
            return {name: shown(structure.extra, each) for name, each in value.items()}
        return {
            escaped(name) or name: shown(structure.properties[name], each)
            if name in structure.properties
            else each
            for name, each in value.items()
        }
    if isinstance(value, list):
        items = structure.items
        return value if items is None else [shown(items, each) for each in value]
    return _scalar(structure, value)


def _scalar(structure: Structure, value: Any) -> Any:
    from kybern.lib.cel import times

    if structure.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return value
    form = structure.tree.get("format")
    if form == "date-time":
        return times.parse(value)
    if form == "date":
        return times.parse(f"{value}T00:00:00Z")
    if form == "duration":
        return times.parse_duration(value)
    if form == "byte":
        import base64

        return base64.b64decode(value)
    return value


def _whole(obj: Any) -> Tree:
    """Return an object as the rules of its root see it."""
    meta = obj.metadata
    named = {name: value for name in NAMES if (value := getattr(meta, name))}
    head = {"apiVersion": obj.apiVersion, "kind": obj.kind, "metadata": named}
    return {**head, **obj.content}


def _by_key(structure: Structure, old: Any) -> dict[str, Any]:
    """Return the items of a list that can be told apart."""
    if not isinstance(old, list) or structure.tree.get("x-kubernetes-list-type") != "map":
        return {}
    return {_key(structure, item): item for item in old}


def _key(structure: Structure, item: Any) -> str:
    keys = structure.tree.get("x-kubernetes-list-map-keys") or ()
    if not isinstance(item, dict):
        return ""
    return json.dumps([item.get(name) for name in keys])


def _below(path: Path | None, text: str) -> Path | None:
    """Return the place that a rule names, such as `.spec.x` or `['a b']`."""
    for field, quoted in re.findall(r"\.([^.\[\]]+)|\['([^']*)'\]", text):
        name = field or quoted
        path = Path(name) if path is None else path / name
    return path


def _place(path: Path | None) -> str:
    return "<nil>" if path is None else str(path)
