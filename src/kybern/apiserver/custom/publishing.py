"""The schemas of custom kinds, as the OpenAPI documents show them.

In:   the schema of a definition's version.
Out:  the schema of one object and of a list of them; in version 2 without what its readers refuse.
By:   openapi. Facts: apiextensions-apiserver/pkg/controller/openapi/builder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kybern.api.custom.kinds import CustomKind

    Tree = dict[str, Any]

PRESERVE, EITHER = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"
EMBEDDED = "x-kubernetes-embedded-resource"
ENVELOPE = ("apiVersion", "kind", "metadata")
NOT_IN_V2 = ("allOf", "anyOf", "oneOf", "not", "nullable", "default")


def published(kind: CustomKind, like: Tree) -> Tree:
    """Return the schema of one object; kind and metadata are as `like` has them."""
    schema = dict(kind.schema or {})
    envelope = {name: like[name] for name in ENVELOPE}
    properties = {**(schema.get("properties") or {}), **envelope}
    if not (kind.schema or {}).get("properties"):
        # Whoever says nothing but "anything goes" gets an object of which nothing is known.
        schema.pop("properties", None)
        if schema.get(PRESERVE):
            return {"type": "object", PRESERVE: True, **_named(kind)}
    schema["properties"] = {
        name: _with_envelopes(each, envelope) for name, each in properties.items()
    }
    return {**schema, "type": "object", **_named(kind)}


def list_of(kind: CustomKind, name: str, like: Tree) -> Tree:
    """Return the schema of a list of objects whose schema has this name."""
    items = {
        "type": "array", "items": {"$ref": f"#/definitions/{name}"},
        "description": f"The {kind.plural} in this list.",
    }  # fmt: skip
    properties = {**{field: like[field] for field in ENVELOPE}, "items": items}
    named = _named(kind)["x-kubernetes-group-version-kind"][0]
    return {
        "description": f"{kind.list_kind} is a list of {kind.kind}", "type": "object",
        "required": ["items"], "properties": properties,
        "x-kubernetes-group-version-kind": [{**named, "kind": kind.list_kind}],
    }  # fmt: skip


def _named(kind: CustomKind) -> Tree:
    named = {"group": kind.group, "kind": kind.kind, "version": kind.version}
    return {"x-kubernetes-group-version-kind": [named]}


def _with_envelopes(schema: Any, envelope: Tree) -> Any:
    """Return a schema in which objects within objects have kind and metadata, too."""
    if not isinstance(schema, dict):
        return schema
    shown = dict(schema)
    if schema.get(EMBEDDED):
        shown["properties"] = {**(schema.get("properties") or {}), **envelope}
        required = {*(schema.get("required") or ()), "apiVersion", "kind"}
        shown["required"] = sorted(required)
    if isinstance(shown.get("properties"), dict):
        shown["properties"] = {
            name: each
            if name in ENVELOPE and schema.get(EMBEDDED)
            else _with_envelopes(each, envelope)
            for name, each in shown["properties"].items()
        }
    for name in ("items", "additionalProperties"):
        if isinstance(shown.get(name), dict):
            shown[name] = _with_envelopes(shown[name], envelope)
    return shown


def in_v2(schema: Any) -> Any:
    """Return a schema without what readers of version 2 refuse or misread."""
    if isinstance(schema, list):
        return [in_v2(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    shown = {name: each for name, each in schema.items() if name not in NOT_IN_V2}
    if schema.get("nullable"):
        # They take null for a value of no type.
        for name in ("type", "items", "properties", "additionalProperties"):
            shown.pop(name, None)
    if schema.get(PRESERVE):
        for name in ("items", "properties", "type"):
            shown.pop(name, None)
        if "x-kubernetes-group-version-kind" in schema:
            shown["type"] = "object"
    if schema.get(EITHER):
        shown.pop("type", None)
    if isinstance(shown.get("properties"), dict):
        shown["properties"] = {key: in_v2(each) for key, each in shown["properties"].items()}
    for name in ("items", "additionalProperties"):
        if name in shown:
            shown[name] = in_v2(shown[name])
    return shown
