"""Types, and which may stand for which.

In:   names (`list(string)`), and objects with known fields.
Out:  `Type`; `Substitution`, which finds out what type parameters stand for.
By:   declarations, checker.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Type:
    """A type: a name and parameters. `is_param` for `A` in `list(A)`."""

    __slots__ = ("is_param", "name", "params")

    def __init__(self, name: str, params: tuple[Type, ...] = (), *, is_param: bool = False) -> None:
        self.name = name
        self.params = params
        self.is_param = is_param

    def __str__(self) -> str:
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(map(str, self.params))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Type) and self.name == other.name and self.params == other.params

    def __hash__(self) -> int:
        return hash((self.name, self.params))


class ObjectType(Type):
    """A type with fields. `field` returns the type of one, or None when there is none."""

    __slots__ = ("field",)

    def __init__(self, name: str, field: Callable[[str], Type | None]) -> None:
        super().__init__(name)
        self.field = field


def object_type(name: str, fields: dict[str, Type]) -> ObjectType:
    """Return a type with these fields."""
    return ObjectType(name, fields.get)


DYN, NULL, BOOL, INT, UINT = map(Type, ("dyn", "null", "bool", "int", "uint"))
DOUBLE, STRING, BYTES, TIMESTAMP, DURATION = map(
    Type, ("double", "string", "bytes", "timestamp", "duration")
)
ERROR = Type("!error!")
BASIC = {
    str(each): each
    for each in (DYN, NULL, BOOL, INT, UINT, DOUBLE, STRING, BYTES, TIMESTAMP, DURATION)
}
NULLABLE = frozenset(("timestamp", "duration", "optional_type"))


def list_of(item: Type) -> Type:
    """Return the type of a list."""
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    """Return the type of a map."""
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    """Return the type of a value that may be absent."""
    return Type("optional_type", (value,))


def type_of(what: Type) -> Type:
    """Return the type of a type."""
    return Type("type", (what,))


_NAME = re.compile(r"[A-Za-z_][\w.]*")


def types(text: str) -> tuple[Type, ...]:
    """Return the types in a text such as `list(A), dyn`; single letters are parameters."""
    found: list[Type] = []
    at = 0
    while at < len(text):
        match = _NAME.match(text, at)
        assert match is not None, text
        name, at = match.group(), match.end()
        inner: tuple[Type, ...] = ()
        if text[at : at + 1] == "(":
            end = _closing(text, at)
            inner, at = types(text[at + 1 : end]), end + 1
        found.append(_named(name, inner))
        at += 2  # a comma and a space
    return tuple(found)


def _closing(text: str, at: int) -> int:
    depth = 0
    for index in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if not depth:
            return index
    raise ValueError(text)


def _named(name: str, params: tuple[Type, ...]) -> Type:
    if len(name) == 1:
        return Type(name, is_param=True)
    name = "optional_type" if name == "optional" else name
    return BASIC.get(name) or Type(name, params)


def is_dyn(what: Type) -> bool:
    """Return whether anything may stand here."""
    return what.name in ("dyn", "!error!")


def _nullable(what: Type) -> bool:
    return what.name == "null" or what.name in NULLABLE or isinstance(what, ObjectType)


class Substitution:
    """What type parameters stand for, as far as it is known."""

    def __init__(self) -> None:
        self._known: dict[str, Type] = {}
        self._fresh = 0

    def fresh(self) -> Type:
        """Return a parameter that nothing is known of."""
        self._fresh += 1
        return Type(f"_var{self._fresh}", is_param=True)

    def instance(self, wanted: Iterable[Type]) -> list[Type]:
        """Return types with fresh parameters in the place of theirs."""
        renamed: dict[str, Type] = {}

        def rename(what: Type) -> Type:
            if what.is_param:
                if what.name not in renamed:
                    renamed[what.name] = self.fresh()
                return renamed[what.name]
            if not what.params:
                return what
            return Type(what.name, tuple(map(rename, what.params)))

        return [rename(each) for each in wanted]

    def apply(self, what: Type, *, final: bool = False) -> Type:
        """Return a type with what is known put in; `final`: what is not known can be anything."""
        if what.is_param:
            known = self._known.get(what.name)
            if known is not None:
                return self.apply(known, final=final)
            return DYN if final else what
        if not what.params:
            return what
        return Type(what.name, tuple(self.apply(each, final=final) for each in what.params))

    def accepts(self, wanted: Iterable[Type], given: Iterable[Type]) -> bool:
        """Return whether values of the given types may stand for the wanted ones; remember how."""
        before = dict(self._known)
        if all(self._fits(w, g) for w, g in zip(wanted, given, strict=True)):
            return True
        self._known = before
        return False

    def _fits(self, wanted: Type, given: Type) -> bool:
        wanted, given = self._resolve(wanted), self._resolve(given)
        if wanted is given or (wanted.is_param and given.is_param and wanted.name == given.name):
            return True
        if wanted.is_param or given.is_param:
            name, other = (wanted.name, given) if wanted.is_param else (given.name, wanted)
            if self._occurs(name, other):
                return False
            self._known[name] = other
            return True
        if is_dyn(wanted) or is_dyn(given):
            return True
        if "null" in (wanted.name, given.name):
            return _nullable(wanted) and _nullable(given)
        if wanted.name == given.name == "type":
            return True
        if wanted.name != given.name or len(wanted.params) != len(given.params):
            return False
        return all(map(self._fits, wanted.params, given.params))

    def _resolve(self, what: Type) -> Type:
        while what.is_param and what.name in self._known:
            what = self._known[what.name]
        return what

    def _occurs(self, name: str, what: Type) -> bool:
        what = self._resolve(what)
        if what.is_param:
            return what.name == name
        return any(self._occurs(name, each) for each in what.params)

    def join(self, one: Type, other: Type) -> Type | None:
        """Return the more general of two types, or None when neither may stand for the other."""
        if not self.accepts((one,), (other,)):
            return None
        one, other = self.apply(one), self.apply(other)
        return other if self._more_general(other, one) else one

    def _more_general(self, one: Type, other: Type) -> bool:
        if is_dyn(one):
            return not is_dyn(other)
        if other.name == "null":
            return one.name != "null"
        return any(map(self._more_general, one.params, other.params))
