"""What the wire says about each field of a Struct, beyond its type.

In:   the `Annotated[..., Field(...)]` metadata of the generated Structs.
Out:  `fields_of(Struct)`: one FieldInfo per wire name, computed once per type.
By:   patch and apply (merge keys, list types), the codec (pruning), protobuf (numbers), OpenAPI.
"""

from __future__ import annotations

import enum
import functools
import types
import typing
from typing import Annotated, Any, NamedTuple, Union

import msgspec


class Field:
    """Wire facts of one field, as upstream's struct tags and protobuf files state them.

    Attributes:
        number: protobuf field number; 0 when the field does not travel in protobuf.
        wire: protobuf type of the value (of the element for lists, of the value for maps):
            `string`, `bool`, `int32`, `int64`, `double`, `bytes`, `message`, or the name of a
            scalar with its own encoding (`Quantity`, `Time`, `IntOrString`, ...).
        inline: numbers of the enclosing messages, outermost first, that protobuf has and JSON
            does not (`Volume.volumeSource`); () when there is none.
        merge_key: key of a list merged by strategic merge patch.
        strategy: `merge`, `replace`, `retainKeys`, or several joined by a comma; "" is replace.
        list_type: `atomic`, `set` or `map`, for server-side apply; "" is atomic.
        list_keys: the keys of a `map` list.
        map_type: `atomic` or "" (granular), for maps and structs, and for the items of a `map`
            list (`ownerReferences`).
    """

    __slots__ = (
        "inline", "list_keys", "list_type", "map_type", "merge_key", "number", "strategy", "wire",
    )  # fmt: skip

    def __init__(
        self,
        number: int = 0,
        wire: str = "string",
        *,
        inline: tuple[int, ...] = (),
        merge_key: str = "",
        strategy: str = "",
        list_type: str = "",
        list_keys: tuple[str, ...] = (),
        map_type: str = "",
    ) -> None:
        self.number = number
        self.wire = wire
        self.inline = inline
        self.merge_key = merge_key
        self.strategy = strategy
        self.list_type = list_type
        self.list_keys = list_keys
        self.map_type = map_type


class Shape(enum.Enum):
    """What a field holds."""

    SCALAR = "scalar"
    STRUCT = "struct"
    LIST = "list"
    MAP = "map"
    ANY = "any"


class FieldInfo(NamedTuple):
    """One field of a Struct, ready to be walked.

    `element` is the Struct of the field itself, of the items of a list or of the values of a map;
    None when those are scalars. `item` is the shape of the items of a list or values of a map.
    """

    attr: str
    name: str
    shape: Shape
    item: Shape
    element: type[msgspec.Struct] | None
    scalar: type | None
    meta: Field
    optional: bool


_PLAIN = Field()


@functools.cache
def fields_of(struct: type[msgspec.Struct]) -> dict[str, FieldInfo]:
    """Return the fields of a Struct by wire name, in declaration order."""
    hints = typing.get_type_hints(struct, include_extras=True)
    names = zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
    return {name: _info(attr, name, hints[attr]) for attr, name in names}


def _info(attr: str, name: str, hint: Any) -> FieldInfo:
    meta, hint = _unwrap(hint)
    hint, optional = _strip_none(hint)
    more, hint = _unwrap(hint)
    meta = meta or more or _PLAIN
    shape, inner = _shape(hint)
    if shape in (Shape.LIST, Shape.MAP):
        item, element = _shape(_strip_none(_unwrap(inner)[1])[0])
        struct = element if item is Shape.STRUCT else None
        return FieldInfo(attr, name, shape, item, struct, None, meta, optional)
    struct = inner if shape is Shape.STRUCT else None
    scalar = inner if shape is Shape.SCALAR and isinstance(inner, type) else None
    return FieldInfo(attr, name, shape, shape, struct, scalar, meta, optional)


def _unwrap(hint: Any) -> tuple[Field | None, Any]:
    if typing.get_origin(hint) is Annotated:
        found = next((m for m in hint.__metadata__ if isinstance(m, Field)), None)
        inner, rest = _unwrap(hint.__origin__)
        return found or inner, rest
    return None, hint


def _strip_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (Union, types.UnionType):
        rest = [a for a in typing.get_args(hint) if a is not type(None)]
        optional = len(rest) < len(typing.get_args(hint))
        return (rest[0] if len(rest) == 1 else Union[tuple(rest)]), optional  # noqa: UP007
    return hint, False


def _shape(hint: Any) -> tuple[Shape, Any]:
    origin = typing.get_origin(hint)
    if origin is list:
        return Shape.LIST, typing.get_args(hint)[0]
    if origin is dict:
        value = typing.get_args(hint)[1]
        return (Shape.ANY, None) if value is Any else (Shape.MAP, value)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return Shape.STRUCT, hint
    if hint is Any:
        return Shape.ANY, None
    if origin in (Union, types.UnionType) and _holds_struct(hint):
        return Shape.ANY, None
    return Shape.SCALAR, hint


def _holds_struct(hint: Any) -> bool:
    return any(
        isinstance(arg, type) and issubclass(arg, msgspec.Struct) for arg in typing.get_args(hint)
    )
