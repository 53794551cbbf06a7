"""Types of objects that only an OpenAPI document describes: those of users' own kinds.

In:   a document as /openapi/v3 serves it, and the kind.
Out:  the type of its objects.
By:   the controller that checks the types of policies. Facts: upstream's
      `apiserver/pkg/cel/common/schemas.go`.
"""

from __future__ import annotations

import functools
from typing import Any

from kybern.api.expressions import schemas
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.cel import types as ty
from kybern.lib.cel.types import DYN, ObjectType, Type

Tree = dict[str, Any]
NAMED = "x-kubernetes-group-version-kind"
PLAIN = {"integer": ty.INT, "number": ty.DOUBLE, "boolean": ty.BOOL}
FORMATS = {
    "date-time": ty.TIMESTAMP,
    "date": ty.TIMESTAMP,
    "byte": ty.BYTES,
    "duration": ty.DURATION,
}


def type_of(document: Tree, group: str, version: str, kind: str) -> ObjectType | None:
    """Return the type of a kind; None when the document does not have it."""
    known = document.get("components", {}).get("schemas", {})
    wanted = {"group": group, "version": version, "kind": kind}
    schema = next((each for each in known.values() if wanted in (each.get(NAMED) or ())), None)
    if schema is None:
        return None
    properties = dict(schema.get("properties") or {})
    head: dict[str, Type] = {
        "apiVersion": ty.STRING, "kind": ty.STRING, "metadata": schemas.type_of(ObjectMeta),
    }  # fmt: skip
    return _object(kind, properties, known, head)


def _object(name: str, properties: Tree, known: Tree, head: dict[str, Type]) -> ObjectType:
    @functools.cache
    def field(wanted: str) -> Type | None:
        if wanted in head:
            return head[wanted]
        found = properties.get(wanted)
        return None if found is None else _type(found, known, f"{name}.{wanted}")

    return ObjectType(name, field)


def _type(schema: Tree, known: Tree, name: str) -> Type:
    if (reference := schema.get("$ref")) is not None:
        return _type(known.get(reference.rpartition("/")[2]) or {}, known, name)
    parts: list[Tree] = schema.get("allOf") or []
    if len(parts) == 1 and "type" not in schema:
        return _type(parts[0], known, name)
    if schema.get("x-kubernetes-int-or-string"):
        return DYN
    shape = schema.get("type")
    if shape == "string":
        return FORMATS.get(schema.get("format") or "", ty.STRING)
    if shape == "array":
        return ty.list_of(_type(schema.get("items") or {}, known, f"{name}.@idx"))
    if shape == "object":
        return _of_object(schema, known, name)
    return PLAIN.get(shape or "", DYN)


def _of_object(schema: Tree, known: Tree, name: str) -> Type:
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        return ty.map_of(ty.STRING, _type(values, known, f"{name}.@elem"))
    properties = schema.get("properties")
    if not properties or schema.get("x-kubernetes-preserve-unknown-fields"):
        return DYN
    return _object(name, properties, known, {})
