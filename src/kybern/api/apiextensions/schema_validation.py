"""What the schema of a custom kind must be: structural, so that objects can be pruned by it.

In:   the OpenAPI v3 schema of a version.
Out:  problems.
By:   `apiextensions.validation`. Facts: KEP 1453, apiextensions-apiserver/pkg/apiserver/schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import codec
from kybern.api.custom import values
from kybern.api.custom.rules import check_rules
from kybern.api.custom.structure import Structure
from kybern.api.field_path import Path, Problem, forbidden, invalid, not_supported, required

if TYPE_CHECKING:
    from kybern.api.apiextensions.v1 import JSONSchemaProps

    Tree = dict[str, Any]
    Problems = list[Problem]

TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
NOT_THERE: Final = ("$ref", "definitions", "dependencies", "id", "patternProperties")
"""What a structural schema may not say at all."""
ONLY_OUTSIDE: Final = (
    "type", "default", "additionalProperties", "title", "description", "nullable",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)  # fmt: skip
"""What may not be said within allOf, anyOf, oneOf and not."""
JOINED: Final = ("allOf", "anyOf", "oneOf")
LIST_TYPES: Final = ("atomic", "set", "map")
MAP_TYPES: Final = ("atomic", "granular")


def check_schema(schema: JSONSchemaProps, place: Path, out: Problems) -> None:
    """The schema of a whole object."""
    tree = codec.to_tree(schema)
    kind = tree.get("type")
    if not kind:
        out.append(required(place / "type", "must not be empty at the root"))
    elif kind != "object":
        out.append(invalid(place / "type", kind, "must be object at the root"))
    if tree.get("nullable"):
        out.append(forbidden(place / "nullable", "nullable cannot be true at the root"))
    if tree.get("default") is not None:
        out.append(forbidden(place / "default", "must not be set at the root"))
    _check_metadata(tree, place, out)
    _check(tree, place, out, what="", embedded=True)


def _check_metadata(tree: Tree, place: Path, out: Problems) -> None:
    """Of the metadata, only the name can be restricted."""
    metadata = (tree.get("properties") or {}).get("metadata")
    if not isinstance(metadata, dict):
        return
    at = (place / "properties")["metadata"]
    for name in metadata.get("properties") or {}:
        if name not in ("name", "generateName"):
            text = (
                "must not specify anything other than name and generateName, but metadata is "
                "implicitly specified"
            )
            out.append(forbidden(at, text))
            break


def _check(tree: Tree, place: Path, out: Problems, *, what: str, embedded: bool = False) -> None:
    """One schema and those in it; `what` says of what it is, where it needs a type."""
    kind = tree.get("type")
    either = tree.get("x-kubernetes-int-or-string")
    keeps = tree.get("x-kubernetes-preserve-unknown-fields")
    if what and not kind and not either and not keeps:
        out.append(required(place / "type", f"must not be empty for specified {what}"))
    if kind and kind not in TYPES:
        out.append(not_supported(place / "type", kind, TYPES))
    if either and kind:
        text = "type must be empty if x-kubernetes-int-or-string is true"
        out.append(forbidden(place / "type", text))
    for name in NOT_THERE:
        if tree.get(name):
            out.append(forbidden(place / name, f"{name} is not supported"))
    if tree.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        out.append(forbidden(place / "uniqueItems", text))
    _check_parts(tree, place, out)
    _check_lists(tree, place, out)
    _check_words(tree, place, out)
    if tree.get("x-kubernetes-embedded-resource") and not embedded:
        if kind != "object":
            text = "must be object if x-kubernetes-embedded-resource is true"
            out.append(invalid(place / "type", kind or "", text))
        if not keeps and not tree.get("properties"):
            text = (
                "must not be empty if x-kubernetes-embedded-resource is true without "
                "x-kubernetes-preserve-unknown-fields"
            )
            out.append(required(place / "properties", text))
    _check_default(tree, place, out)
    check_rules(tree, place, out)


def _check_parts(tree: Tree, place: Path, out: Problems) -> None:
    properties, values_ = tree.get("properties"), tree.get("additionalProperties")
    if properties and values_ not in (None, False):
        text = "additionalProperties and properties are mutual exclusive"
        out.append(forbidden(place / "additionalProperties", text))
    for name, each in (properties or {}).items():
        _check(each, (place / "properties")[name], out, what="object fields")
    if isinstance(values_, dict):
        _check(values_, place / "additionalProperties", out, what="object fields")
    items = tree.get("items")
    if isinstance(items, list):
        text = "items must be a schema object and not an array"
        out.append(forbidden(place / "items", text))
    elif isinstance(items, dict):
        _check(items, place / "items", out, what="array items")
    elif tree.get("type") == "array":
        out.append(required(place / "items", "must be specified"))
    for name in JOINED:
        for index, each in enumerate(tree.get(name) or ()):
            _check_value_rules(each, (place / name)[index], out)
    if isinstance(tree.get("not"), dict):
        _check_value_rules(tree["not"], place / "not", out)


def _check_value_rules(tree: Tree, place: Path, out: Problems) -> None:
    """A schema within allOf and the like: it judges values and says nothing of their structure."""
    either = tree.keys() == {"type"} and tree["type"] in ("integer", "string")
    for name in ONLY_OUTSIDE:
        if tree.get(name) and not (name == "type" and either):
            text = (
                "must be empty to be structural"
                if name == "type"
                else "must be undefined to be structural"
            )
            out.append(forbidden(place / name, text))
    for name, each in (tree.get("properties") or {}).items():
        _check_value_rules(each, (place / "properties")[name], out)
    if isinstance(tree.get("items"), dict):
        _check_value_rules(tree["items"], place / "items", out)
    for name in JOINED:
        for index, each in enumerate(tree.get(name) or ()):
            _check_value_rules(each, (place / name)[index], out)


def _check_lists(tree: Tree, place: Path, out: Problems) -> None:
    relation = tree.get("x-kubernetes-list-type")
    keys = tree.get("x-kubernetes-list-map-keys")
    at = place / "x-kubernetes-list-type"
    if relation is not None and relation not in LIST_TYPES:
        out.append(not_supported(at, relation, LIST_TYPES))
    if relation is not None and tree.get("type") != "array":
        text = "must be array if x-kubernetes-list-type is specified"
        out.append(invalid(place / "type", tree.get("type") or "", text))
    if relation == "map":
        items = tree.get("items") or {}
        if not keys:
            text = "must not be empty if x-kubernetes-list-type is map"
            out.append(required(place / "x-kubernetes-list-map-keys", text))
        for index, key in enumerate(keys or ()):
            if key not in (items.get("properties") or {}):
                text = "must be a property of items"
                where = (place / "x-kubernetes-list-map-keys")[index]
                out.append(invalid(where, key, "entries must all be names of item properties"))
                continue
            default = items["properties"][key].get("default") is not None
            if key not in (items.get("required") or ()) and not default:
                where = ((place / "items") / "properties")[key] / "default"
                text = (
                    "this property is in x-kubernetes-list-map-keys, so it must have a default or "
                    "be a required property"
                )
                out.append(required(where, text))
    elif keys:
        text = "must be map if x-kubernetes-list-map-keys is non-empty"
        out.append(invalid(at, relation or "", text))
    relation = tree.get("x-kubernetes-map-type")
    if relation is not None:
        at = place / "x-kubernetes-map-type"
        if relation not in MAP_TYPES:
            out.append(not_supported(at, relation, MAP_TYPES))
        if tree.get("type") != "object":
            text = "must be object if x-kubernetes-map-type is specified"
            out.append(invalid(place / "type", tree.get("type") or "", text))


def _check_words(tree: Tree, place: Path, out: Problems) -> None:
    import re

    pattern = tree.get("pattern")
    if pattern:
        try:
            values.compiled(pattern)
        except re.error as error:
            text = f"must be a valid regular expression, but isn't: {error}"
            out.append(invalid(place / "pattern", pattern, text))


def _check_default(tree: Tree, place: Path, out: Problems) -> None:
    """A default has to be what the schema asks for, whole and without anything else."""
    default = tree.get("default")
    if default is None:
        return
    structure = Structure({**tree, "default": None})
    pruned = codec.decode_tree(codec.encode(default))
    if structure.prune(pruned):
        text = "must not have unknown fields"
        out.append(invalid(place / "default", default, text))
    structure.fill(pruned)
    for problem in values.check(structure, pruned):
        where = f"{place / 'default'}{'.' + problem.field if problem.field != '<nil>' else ''}"
        out.append(Problem(problem.type, where, problem.bad_value, problem.detail))
