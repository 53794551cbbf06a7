"""What protobuf needs to know about the fields of a Struct.

In:   a Struct type whose fields carry a number, and the rules of a dialect.
Out:  `plan(struct, rules)`: one `FieldPlan` for each field that travels.
By:   `protobuf_encode` and `protobuf_decode`, once per type.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, Union

import msgspec

ToBytes = Callable[[Any], bytes]
FromBytes = Callable[[bytes], Any]

VARINTS = frozenset(("bool", "int32", "int64", "uint32", "uint64", "enum"))
PLAIN = VARINTS | {"string", "bytes", "double", "message"}


class ProtobufError(ValueError):
    """These bytes are not the message they should be."""


class PbField:
    """The protobuf side of a field: `name: Annotated[str, PbField(1)] = ""`.

    Any object with these attributes does as well. Without `wire` the Python type decides: `str` is
    string, `bytes` is bytes, `bool` is bool, `int` is int64, `float` is double, an `IntEnum` is
    enum, a Struct is a message. `list[...]` makes it repeated, `dict[..., ...]` a map whose values
    are of the type `wire`.
    """

    __slots__ = ("inline", "number", "wire")

    def __init__(self, number: int, wire: str = "", *, inline: tuple[int, ...] = ()) -> None:
        self.number = number
        self.wire = wire
        self.inline = inline  # numbers of messages around it which the Struct does not have


class Rules(NamedTuple):
    """What sets one dialect apart from another; see `protobuf.Dialect`."""

    scalars: Mapping[str, tuple[ToBytes, FromBytes]]
    whole: frozenset[str]
    proto3: bool
    zero_is_absent: Callable[[type, str, Any], bool]


class Many(enum.Enum):
    """How many values a field has."""

    ONE = enum.auto()
    LIST = enum.auto()
    MAP = enum.auto()


class FieldPlan(NamedTuple):
    """One field: `wire` and `type` are of the value, the list's element or the map's value."""

    attr: str
    number: int
    inline: tuple[int, ...]
    many: Many
    wire: str
    type: Any
    key_wire: str  # of a map
    optional: bool  # the Struct can say that it is absent
    zero_is_absent: bool


def plan(struct: type, rules: Rules) -> list[FieldPlan]:
    """Return the fields of a Struct which travel, in the order of their numbers.

    Raises:
        TypeError: a field has a type that protobuf, in this dialect, has no form for.
    """
    hints = typing.get_type_hints(struct, include_extras=True)
    plans = []
    for attr in typing.cast("Any", struct).__struct_fields__:
        meta, hint, optional = _unwrap(hints[attr])
        if meta is not None and meta.number:
            plans.append(_plan_field(struct, attr, meta, hint, optional, rules))
    return sorted(plans, key=lambda field: field.number)


def missing(struct: type) -> dict[str, Any]:
    """Return the zero values of those fields for which the Struct has no default."""
    zeros: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        if field.required:
            _, hint, optional = _unwrap(field.type)
            kind = typing.get_origin(hint) or hint
            zeros[field.name] = None if optional else zero_of(kind)
    return zeros


def zero_of(kind: Any) -> Any:
    """Return a function that makes the zero value of a Python type."""
    if isinstance(kind, type) and issubclass(kind, enum.IntEnum):
        return lambda: kind(0)
    return kind if kind in (str, bytes, bool, int, float, list, dict) else lambda: None


def is_struct(hint: Any) -> bool:
    """Say whether a type is a Struct."""
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _plan_field(
    struct: type, attr: str, meta: Any, hint: Any, optional: bool, rules: Rules
) -> FieldPlan:
    many, key_wire = Many.ONE, ""
    wire: str = meta.wire
    origin = typing.get_origin(hint)
    if wire not in rules.whole:
        if origin is list:
            many, hint = Many.LIST, typing.get_args(hint)[0]
        elif origin is dict:
            many = Many.MAP
            key, hint = typing.get_args(hint)
            key_wire = _wire_of(key)
        if many is not Many.ONE:
            hint = _unwrap(hint)[1]
    wire = wire or _wire_of(hint)
    if wire not in rules.scalars and (
        wire not in PLAIN or (wire == "message" and not is_struct(hint))
    ):
        raise TypeError(f"{struct.__name__}.{attr}: no protobuf form for {wire or hint}")
    absent = optional and many is Many.ONE and rules.zero_is_absent(struct, attr, meta)
    return FieldPlan(
        attr,
        meta.number,
        tuple(getattr(meta, "inline", ())),
        many,
        wire,
        hint,
        key_wire,
        optional,
        absent,
    )


def _wire_of(hint: Any) -> str:
    if is_struct(hint):
        return "message"
    if isinstance(hint, type) and issubclass(hint, enum.IntEnum):
        return "enum"
    known = {str: "string", bytes: "bytes", bool: "bool", int: "int64", float: "double"}
    return known.get(hint, "")


def _unwrap(hint: Any) -> tuple[Any, Any, bool]:
    """Return what `Annotated` says of the field, its type without `| None`, and if it had that."""
    meta, optional = None, False
    while True:
        origin = typing.get_origin(hint)
        if origin is Annotated:
            found = (part for part in hint.__metadata__ if hasattr(part, "number"))
            meta = meta or next(found, None)
            hint = hint.__origin__
        elif origin in (Union, types.UnionType) and type(None) in typing.get_args(hint):
            optional = True
            rest = tuple(part for part in typing.get_args(hint) if part is not type(None))
            hint = rest[0] if len(rest) == 1 else Union[rest]  # noqa: UP007  # made at run time
        else:
            return meta, hint, optional
