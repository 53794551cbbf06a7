"""Choosing objects by their labels and fields.

In:   `app=web,tier in (a,b)`, a LabelSelector of an object, or `metadata.name=x,status.phase!=y`.
Out:  a `Selector` whose `.matches(labels)` answers, or a list of field requirements.
By:   list, watch and deletecollection; controllers, the scheduler, admission, network policies.

Texts are parsed once and cached. A text that cannot be parsed raises `SelectorError` with
upstream's sentence, which the API server returns as 400.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api import names
from kybern.api.bad_value import quote
from kybern.api.decimals import integer
from kybern.api.field_path import Path, Problem, invalid, not_supported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kybern.api.meta.v1 import LabelSelector, LabelSelectorRequirement

    Labels = Mapping[str, str] | None

BINARY_OPERATORS: Final = "in, notin, =, ==, !=, gt, lt"
KNOWN_OPERATORS: Final = ("!", "!=", "=", "==", "exists", "gt", "in", "lt", "notin")


class SelectorError(ValueError):
    """The text of a selector makes no sense; the message is upstream's."""


class Requirement(NamedTuple):
    """One condition on one label.

    `operator` is one of `in notin = == != exists ! gt lt`; `values` are sorted.
    """

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels meets the condition."""
        value = labels.get(self.key)
        match self.operator:
            case "in" | "=" | "==":
                return value is not None and value in self.values
            case "notin" | "!=":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return value is not None and self._compares(value)

    def _compares(self, value: str) -> bool:
        number, bound = integer(value), integer(self.values[0])
        if number is None or bound is None:
            return False
        return number > bound if self.operator == "gt" else number < bound

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{self.values[0]}"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


class Selector:
    """Conditions on labels, all of which must hold. None at all select everything."""

    __slots__ = ("_equal", "_others", "nothing", "requirements")

    def __init__(self, requirements: Iterable[Requirement] = (), *, nothing: bool = False) -> None:
        self.requirements = tuple(sorted(requirements))
        self.nothing = nothing
        # Nearly every selector only compares: then a set comparison decides.
        equal = {}
        others = []
        for requirement in self.requirements:
            compares = len(requirement.values) == 1 and requirement.operator in ("=", "==", "in")
            if compares and requirement.key not in equal:
                equal[requirement.key] = requirement.values[0]
            else:
                others.append(requirement)
        self._equal = equal
        self._others = tuple(others)

    @property
    def everything(self) -> bool:
        """Whether it selects all objects, whatever their labels."""
        return not self.requirements and not self.nothing

    def matches(self, labels: Labels) -> bool:
        """Whether an object with these labels is selected."""
        if self.nothing:
            return False
        labels = labels or {}
        for key, value in self._equal.items():
            if labels.get(key) != value:
                return False
        return not self._others or all(one.matches(labels) for one in self._others)

    def __str__(self) -> str:
        """The selector as text, which `parse` reads back; keys in order, as upstream prints it."""
        return "<nothing>" if self.nothing else ",".join(map(str, self.requirements))

    def __repr__(self) -> str:
        return f"Selector({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Selector):
            return NotImplemented
        return (self.nothing, self.requirements) == (other.nothing, other.requirements)

    def __hash__(self) -> int:
        return hash((self.nothing, self.requirements))


EVERYTHING: Final = Selector()
NOTHING: Final = Selector(nothing=True)


# --- text ---------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(r"\s*(==|!=|=|!|,|\(|\)|<|>|[^\s=!,()<>]+|$)")
_SPECIAL: Final = frozenset(("==", "!=", "=", "!", ",", "(", ")", "<", ">", ""))
_OPERATORS: Final = {
    "in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt",
}  # fmt: skip


@lru_cache(4096)
def parse(text: str) -> Selector:
    """Read a label selector.

    Raises:
        SelectorError: with upstream's sentence.
    """
    return Selector(_Parser(text).requirements())


class _Parser:
    """Recursive descent over the tokens; method by method the grammar of label selectors."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        word = self.peek()
        self.at += 1
        return word

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while (word := self.peek()) != "":
            if word in _SPECIAL and word != "!":
                raise SelectorError(f"found '{word}', expected: !, identifier, or 'end of string'")
            found.append(self.requirement())
            separator = self.take()
            if separator == "":
                break
            if separator != ",":
                raise SelectorError(f"found '{separator}', expected: ',' or 'end of string'")
            after = self.peek()
            if after in _SPECIAL and after != "!":
                raise SelectorError(f"found '{after}', expected: identifier after ','")
        return found

    def requirement(self) -> Requirement:
        try:
            return self._requirement()
        except SelectorError as error:
            raise SelectorError(f"unable to parse requirement: {error}") from None

    def _requirement(self) -> Requirement:
        word = self.take()
        absent = word == "!"
        key = self.take() if absent else word
        if key in _SPECIAL:
            raise SelectorError(f"found '{key}', expected: identifier")
        _refuse(_check_key(key, Path("key")))
        if absent:
            return Requirement(key, "!")
        if self.peek() in ("", ","):
            return Requirement(key, "exists")
        word = self.take()
        operator = _OPERATORS.get(word)
        if operator is None:
            raise SelectorError(f"found '{word}', expected: {BINARY_OPERATORS}")
        values = self.set_of_values() if operator in ("in", "notin") else self.one_value()
        requirement = Requirement(key, operator, tuple(sorted(set(values))))
        _refuse(check_requirement(requirement, None))
        return requirement

    def one_value(self) -> list[str]:
        if self.peek() in ("", ","):
            return [""]
        word = self.take()
        if word in _SPECIAL:
            raise SelectorError(f"found '{word}', expected: identifier")
        return [word]

    def set_of_values(self) -> list[str]:
        word = self.take()
        if word != "(":
            raise SelectorError(f"found '{word}' expected: '('")
        first = self.peek()
        if first == ")":
            self.take()
            return []
        if first in _SPECIAL and first != ",":
            raise SelectorError(f"found '{first}', expected: ',', ')' or identifier")
        values = self.identifiers()
        if self.take() != ")":
            raise SelectorError(f"found '{first}', expected: ')'")
        return values

    def identifiers(self) -> list[str]:
        """`a,b,,c`: an empty place between commas is the empty value."""
        values: list[str] = []
        while True:
            word = self.take()
            if word == ",":
                if not values:
                    values.append("")
                following = self.peek()
                if following in (",", ")"):
                    values.append("")
                    if following == ")":
                        return values
            elif word in _SPECIAL:
                raise SelectorError(f"found '{word}', expected: ',', or identifier")
            else:
                values.append(word)
                following = self.peek()
                if following == ")":
                    return values
                if following != ",":
                    raise SelectorError(f"found '{following}', expected: ',' or ')'")


def _refuse(problems: list[Problem]) -> None:
    if len(problems) == 1:
        raise SelectorError(str(problems[0]))
    if problems:
        raise SelectorError(f"[{', '.join(map(str, problems))}]")


def _check_key(key: str, path: Path) -> list[Problem]:
    messages = names.qualified_name(key)
    return [invalid(path, key, "; ".join(messages))] if messages else []


def check_requirement(requirement: Requirement, path: Path | None) -> list[Problem]:
    """What is wrong with the operator and the values of a requirement."""
    operator, values = requirement.operator, requirement.values
    at = Path("values") if path is None else path / "values"
    found: list[Problem] = []
    if operator in ("in", "notin"):
        if not values:
            told = "for 'in', 'notin' operators, values set can't be empty"
            found.append(invalid(at, list(values), told))
    elif operator in ("=", "==", "!="):
        if len(values) != 1:
            told = "exact-match compatibility requires one single value"
            found.append(invalid(at, list(values), told))
    elif operator in ("exists", "!"):
        if values:
            told = "values set must be empty for exists and does not exist"
            found.append(invalid(at, list(values), told))
    elif operator in ("gt", "lt"):
        found += _check_bound(values, at)
    else:
        place = Path("operator") if path is None else path / "operator"
        found.append(not_supported(place, operator, KNOWN_OPERATORS))
    for index, value in enumerate(values):
        if messages := names.label_value(value):
            found.append(invalid(at[index][requirement.key], value, "; ".join(messages)))
    return found


def _check_bound(values: tuple[str, ...], at: Path) -> list[Problem]:
    if len(values) != 1:
        told = "for 'Gt', 'Lt' operators, exactly one value is required"
        return [invalid(at, list(values), told)]
    if integer(values[0]) is None:
        told = "for 'Gt', 'Lt' operators, the value must be an integer"
        return [invalid(at[0], values[0], told)]
    return []


# --- objects ------------------------------------------------------------------------------------

_STRUCT_OPERATORS: Final = {
    "In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!",
}  # fmt: skip


def from_map(labels: Labels) -> Selector:
    """The selector of a Service or ReplicationController: these labels, or everything."""
    if not labels:
        return EVERYTHING
    return Selector(Requirement(key, "=", (value,)) for key, value in labels.items())


def from_struct(selector: LabelSelector | None) -> Selector:
    """The selector of a LabelSelector: absent selects nothing, empty selects everything.

    Raises:
        SelectorError: when an operator or a value is not valid.
    """
    if selector is None:
        return NOTHING
    if not selector.matchLabels and not selector.matchExpressions:
        return EVERYTHING
    found = [Requirement(k, "=", (v,)) for k, v in (selector.matchLabels or {}).items()]
    found += [_from_expression(each) for each in selector.matchExpressions or ()]
    return Selector(found)


def _from_expression(expression: LabelSelectorRequirement) -> Requirement:
    operator = _STRUCT_OPERATORS.get(expression.operator)
    if operator is None:
        told = f"{quote(expression.operator)} is not a valid label selector operator"
        raise SelectorError(told)
    values = tuple(sorted(set(expression.values or ())))
    requirement = Requirement(expression.key, operator, values)
    _refuse(check_requirement(requirement, None))
    return requirement


# --- fields -------------------------------------------------------------------------------------


class FieldRequirement(NamedTuple):
    """One condition on one field; the operator is `=` or `!=`."""

    field: str
    operator: str
    value: str

    def matches(self, value: str) -> bool:
        """Whether the field may have this value."""
        return (value == self.value) is (self.operator == "=")

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{_escape(self.value)}"


@lru_cache(4096)
def parse_fields(text: str) -> tuple[FieldRequirement, ...]:
    r"""Read a field selector; `\`, `,` and `=` inside values are escaped with `\`.

    Raises:
        SelectorError: with upstream's sentence.
    """
    return tuple(_field(term, text) for term in _split(text) if term)


def match_fields(
    requirements: Iterable[FieldRequirement], value_of: Callable[[str], str | None]
) -> bool:
    """Whether an object, whose fields `value_of` looks up, meets all requirements."""
    return all(each.matches(value_of(each.field) or "") for each in requirements)


_TERMS: Final = re.compile(r"((?:[^\\,]|\\.|\\$)*)(?:,|$)", re.DOTALL)


def _split(text: str) -> list[str]:
    return _TERMS.findall(text)


def _field(term: str, text: str) -> FieldRequirement:
    at = 0
    while at < len(term):
        if term[at] == "\\":
            at += 2
            continue
        for written in ("!=", "==", "="):
            if term.startswith(written, at):
                value = _unescape(term[at + len(written) :])
                return FieldRequirement(term[:at], "!=" if written == "!=" else "=", value)
        at += 1
    raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")


def _unescape(text: str) -> str:
    if "\\" not in text and "=" not in text:
        return text
    out: list[str] = []
    chars = iter(text)
    for char in chars:
        if char == "\\":
            following = next(chars, None)
            if following is None or following not in "\\,=":
                sequence = f"\\{following or ''}"
                told = f"invalid field selector: invalid escape sequence: {sequence}"
                raise SelectorError(told)
            out.append(following)
        elif char in ",=":
            raise SelectorError(
                f"invalid field selector: unescaped character in value: {ord(char)}"
            )
        else:
            out.append(char)
    return "".join(out)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
