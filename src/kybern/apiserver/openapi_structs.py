"""Schemas of kinds that upstream's documents do not know, made from their Structs.

In:   the kinds of our own table that upstream serves as custom resources.
Out:  schemas by name, in the dialect of the packed ones.
By:   openapi.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from kybern.api.fields import Shape, fields_of
from kybern.api.scheme import SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.fields import FieldInfo

Tree = dict[str, Any]
GROUPS: Final = ("snapshot.storage.k8s.io",)
NUMBERS: Final = {"int32": "int32", "int64": "int64"}
SCALARS: Final = {
    "Time": "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    "Quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
}
REFERENCE: Final = "#/definitions/"


def schemas(name_of: Callable[[str, str, str], str]) -> dict[str, Tree]:
    """Return the schemas of all such kinds, of their lists, and of what they are made of.

    Args:
        name_of: the name of a schema, by group, version and kind.
    """
    found: dict[str, Tree] = {}
    for kind in SCHEME.kinds:
        if kind.group in GROUPS:
            for struct, name in ((kind.struct, kind.kind), (kind.list_struct, kind.list_kind)):
                schema = _add(struct, name_of, found)
                own = {"group": kind.group, "version": kind.version, "kind": name}
                schema["x-kubernetes-group-version-kind"] = [own]
    return found


def _add(struct: Any, name_of: Callable[[str, str, str], str], found: dict[str, Tree]) -> Tree:
    name = _name(struct, name_of)
    if name not in found:
        schema: Tree = {"description": inspect.getdoc(struct) or "", "type": "object"}
        found[name] = schema
        refer = functools.partial(_refer, name_of=name_of, found=found)
        schema["properties"] = {
            wire: _property(info, refer) for wire, info in sorted(fields_of(struct).items())
        }
    return found[name]


def _property(info: FieldInfo, refer: Callable[[type[Any]], Tree]) -> Tree:
    item = refer(info.element) if info.element is not None else _scalar(info.meta.wire)
    if info.shape is Shape.LIST:
        return {"type": "array", "items": item}
    if info.shape is Shape.MAP:
        return {"type": "object", "additionalProperties": item}
    return item


def _scalar(wire: str) -> Tree:
    if wire in SCALARS:
        return {"$ref": REFERENCE + SCALARS[wire]}
    if wire in NUMBERS:
        return {"type": "integer", "format": NUMBERS[wire]}
    return {"type": "boolean" if wire == "bool" else "string"}


def _refer(struct: Any, name_of: Callable[[str, str, str], str], found: dict[str, Tree]) -> Tree:
    if _head(struct) in {group.split(".", 1)[0] for group in GROUPS}:
        _add(struct, name_of, found)
    return {"$ref": REFERENCE + _name(struct, name_of)}


def _name(struct: type[Any], name_of: Callable[[str, str, str], str]) -> str:
    return name_of(_head(struct), struct.__module__.rsplit(".", 1)[1], struct.__name__)


def _head(struct: type[Any]) -> str:
    return struct.__module__.split(".")[2]
