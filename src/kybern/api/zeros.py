"""Take away what Go would not write: zeros that mean nothing.

In:   an object that a client has sent, or that a patch has made.
Out:  the same object: `hostNetwork: false`, `nodeName: ""`, `labels: {}` and `finalizers: []` are
      as if nobody had said them.
By:   the codec and handlers.patch, before defaults.

Upstream reads a body into Go structs and writes it from them, and most fields are left out when
they are zero. Where it holds a scalar by pointer, its zero stays (`replicas: 0`, see
`pointers.py`); so do zeros of required fields, and structs: `emptyDir: {}` is a volume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple

from kybern.api.fields import FieldInfo, Shape, fields_of
from kybern.api.pointers import is_pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Visit = Callable[[Any], None]

# Lists that upstream writes also when there is nothing in them.
_WRITTEN = {
    "EndpointSlice": ("endpoints", "ports"), "ClusterRole": ("rules",), "Role": ("rules",),
}  # fmt: skip


def mentioned(data: bytes) -> bool:
    """Whether a JSON text may hold such a zero; a quick look, for it seldom does."""
    return (
        b"{}" in data or b"[]" in data or b'""' in data or b"false" in data
        or b":0" in data or b": 0" in data
    )  # fmt: skip


def drop(obj: Any) -> None:
    """Take the zeros away, in place."""
    _visitor(type(obj))(obj)


_visitors: dict[type, Visit] = {}


def _visitor(struct: type) -> Visit:
    if struct not in _visitors:
        _visitors[struct] = _late(struct)  # for types that hold themselves
        infos = fields_of(struct).values()
        attrs = tuple(info.attr for info in infos if _may_go(struct, info))
        _visitors[struct] = _compile(struct, attrs, tuple(_inner(infos)))
    return _visitors[struct]


def _late(struct: type) -> Visit:
    return lambda obj: _visitors[struct](obj)


def _may_go(struct: type, info: FieldInfo) -> bool:
    if not info.optional or info.shape in (Shape.STRUCT, Shape.ANY):
        return False
    if info.shape is Shape.SCALAR:
        return not is_pointer(struct, info.attr)
    return info.attr not in _WRITTEN.get(struct.__name__, ())


def _inner(infos: Iterable[FieldInfo]) -> Iterable[tuple[str, Shape, Visit]]:
    for info in infos:
        if info.element is not None:
            yield info.attr, info.shape, _visitor(info.element)


def _compile(
    struct: type, attrs: tuple[str, ...], inner: tuple[tuple[str, Shape, Visit], ...]
) -> Visit:
    names = struct.__struct_fields__  # type: ignore[attr-defined]
    within = tuple(
        (names.index(attr), shape is Shape.STRUCT, visit) for attr, shape, visit in inner
    )

    def visit(obj: Any) -> None:
        values = astuple(obj)
        for value in values:
            if not value and value is not None:
                clear(obj)
                values = astuple(obj)
                break
        for at, is_struct, look in within:
            value = values[at]
            if value is None:
                continue
            if is_struct:
                look(value)
            else:
                for item in value.values() if type(value) is dict else value:
                    if item is not None:
                        look(item)

    def clear(obj: Any) -> None:
        for attr in attrs:
            value = getattr(obj, attr)
            if value is not None and not value:
                setattr(obj, attr, None)

    return visit
