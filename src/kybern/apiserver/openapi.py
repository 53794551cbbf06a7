"""The OpenAPI documents: v3 per group and version, v2 as one.

In:   the resources that are served, the schemas packed at build time (`tools/build_openapi.py`),
      and the schemas of custom resources.
Out:  bytes of JSON, and a hash of what they are made from: the ETag and the `hash` in the index.
By:   routes. Documents are made when asked for (20 ms) and not kept: clients cache them by hash.
"""

from __future__ import annotations

import functools
import hashlib
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kybern.api import codec, release
from kybern.api.custom.kinds import CustomKind
from kybern.apiserver import openapi_paths, openapi_structs
from kybern.apiserver.custom import publishing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kybern.apiserver.discovery import Served

Tree = dict[str, Any]

PACKED = Path(__file__).with_name("openapi_schemas.bin")
_PREFIXES = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
    "snapshot": "io.k8s.storage.snapshot",
}
LIKE = "io.k8s.api.core.v1.ConfigMap"
"""Whose envelope custom kinds have, too."""
_V2, _V3 = "#/definitions/", "#/components/schemas/"
_INFO = {"title": "Kubernetes", "version": release.KUBERNETES}


class MissingSchemasError(Exception):
    """The package was not built: the schemas are not there."""


def _packed() -> bytes:
    try:
        return PACKED.read_bytes()
    except FileNotFoundError:
        raise MissingSchemasError(
            f"{PACKED.name} is missing: install the package again with `make setup`."
        ) from None


@functools.cache
def _packed_hash() -> bytes:
    return hashlib.sha256(_packed()).digest()


def _schemas() -> dict[str, Tree]:
    schemas: dict[str, Tree] = json.loads(zlib.decompress(_packed()))
    return schemas | openapi_structs.schemas(schema_name)


def schema_name(group: str, version: str, kind: str) -> str:
    """Return upstream's name of a built-in kind's schema: `io.k8s.api.core.v1.Pod`."""
    head = group.split(".", 1)[0] or "core"
    return f"{_PREFIXES.get(head, 'io.k8s.api.' + head)}.{version}.{kind}"


class OpenApi:
    """The documents over one set of resources; make a new one when the set changes."""

    def __init__(self, resources: Iterable[Served]) -> None:
        self._by_version: dict[str, list[Served]] = {}
        for resource in resources:
            if resource.kind.plural:
                prefix = resource.kind.prefix.lstrip("/")
                self._by_version.setdefault(prefix, []).append(resource)

    def index(self) -> Tree:
        """`/openapi/v3`: where the documents are, with the hash of each."""
        paths = {}
        for prefix in self._by_version:
            url = f"/openapi/v3/{prefix}?hash={self.v3_hash(prefix)}"
            paths[prefix] = {"serverRelativeURL": url}
        return {"paths": paths}

    def has(self, prefix: str) -> bool:
        """Whether there is a document for `api/v1` or `apis/apps/v1`."""
        return prefix in self._by_version

    def v3(self, prefix: str) -> bytes:
        """`/openapi/v3/PREFIX`."""
        return codec.encode(self._v3(prefix))

    def v3_hash(self, prefix: str) -> str:
        """Return the hash of what the document of PREFIX is made from."""
        return self._hash(self._by_version[prefix])

    def v2(self) -> bytes:
        """`/openapi/v2`."""
        return codec.encode(self.v2_tree())

    def v2_hash(self) -> str:
        """Return the hash of what the v2 document is made from."""
        return self._hash([r for served in self._by_version.values() for r in served])

    def _hash(self, resources: list[Served]) -> str:
        digest = hashlib.sha512(_packed_hash())
        for kind, subresources in resources:
            digest.update(f"{kind.prefix} {kind.kind} {subresources}".encode())
            if isinstance(kind, CustomKind):
                digest.update(codec.encode(kind.schema))
        return digest.hexdigest().upper()

    def v2_tree(self) -> Tree:
        """Return the v2 document as a tree, for its protobuf form."""
        resources = [r for served in self._by_version.values() for r in served]
        definitions = self._collect(resources)
        for resource in resources:
            if isinstance(resource.kind, CustomKind):
                name = self._name(resource)
                definitions[name] = publishing.in_v2(definitions[name])
        paths = self._paths(resources, _parameter_v2, _operation_v2)
        return {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": definitions}

    def _v3(self, prefix: str) -> Tree:
        resources = self._by_version[prefix]
        schemas = _refer_v3(self._collect(resources))
        paths = self._paths(resources, _parameter_v3, _operation_v3)
        components = {"schemas": schemas}
        return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": components}

    def _paths(
        self,
        resources: list[Served],
        parameter: Callable[..., Tree],
        operation: Callable[..., Tree],
    ) -> dict[str, Tree]:
        items: dict[str, Tree] = {}
        for resource in resources:
            name = self._name(resource)
            items.update(openapi_paths.paths(resource, name, parameter, operation))
        return items

    def _name(self, resource: Served) -> str:
        kind = resource.kind
        if isinstance(kind, CustomKind):
            reverse = ".".join(reversed(kind.group.split(".")))
            return f"{reverse}.{kind.version}.{kind.kind}"
        return schema_name(kind.group, kind.version, kind.kind)

    def _collect(self, resources: list[Served]) -> dict[str, Tree]:
        """Return the schemas of these resources and all they refer to."""
        schemas = _schemas()
        for resource in resources:
            kind = resource.kind
            if isinstance(kind, CustomKind):
                name = self._name(resource)
                like = schemas[LIKE]["properties"], schemas[f"{LIKE}List"]["properties"]
                schemas[name] = publishing.published(kind, like[0])
                schemas[f"{name}List"] = publishing.list_of(kind, name, like[1])
        wanted = [self._name(r) for r in resources]
        wanted += [f"{name}List" for name in wanted]
        wanted += [schema_name("meta", "v1", k) for k in ("DeleteOptions", "Status", "WatchEvent")]
        found: dict[str, Tree] = {}
        while wanted:
            name = wanted.pop()
            if name in schemas and name not in found:
                found[name] = schemas[name]
                wanted += _references(schemas[name])
        return dict(sorted(found.items()))


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in _references(item)]
    if not isinstance(schema, dict):
        return []
    names = [name for value in schema.values() for name in _references(value)]
    if isinstance(schema.get("$ref"), str):
        names.append(schema["$ref"].removeprefix(_V2))
    return names


def _refer_v3(schema: Any) -> Any:
    """Return schemas in the v3 dialect: a reference with siblings goes into `allOf`."""
    if isinstance(schema, list):
        return [_refer_v3(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if not isinstance(schema.get("$ref"), str):
        return {key: _refer_v3(value) for key, value in schema.items()}
    reference = {"$ref": _V3 + schema["$ref"].removeprefix(_V2)}
    rest = {key: _refer_v3(value) for key, value in schema.items() if key != "$ref"}
    return {"allOf": [reference], **rest} if rest else reference


def _parameter_v2(name: str, place: str, type_: str) -> Tree:
    tree: Tree = {"name": name, "in": place, "type": type_, "uniqueItems": True}
    return tree | {"required": True} if place == "path" else tree


def _parameter_v3(name: str, place: str, type_: str) -> Tree:
    tree: Tree = {"name": name, "in": place, "schema": {"type": type_, "uniqueItems": True}}
    return tree | {"required": True} if place == "path" else tree


@functools.cache
def _media(verb: str, patches: Sequence[str]) -> Sequence[str]:
    return patches if verb == "patch" else ("*/*",)


def _operation_v2(tree: Tree, verb: str, schema: str, patches: Sequence[str]) -> Tree:
    tree["produces"] = list(codec.MEDIA_TYPES)
    tree["schemes"] = ["https"]
    tree["responses"]["200"] = {"description": "OK", "schema": {"$ref": _V2 + schema}}
    if verb in ("create", "update", "patch"):
        tree["consumes"] = list(_media(verb, patches))
        body = {"name": "body", "in": "body", "required": True, "schema": {"$ref": _V2 + schema}}
        tree["parameters"] = [body, *tree.get("parameters", ())]
    return tree


def _operation_v3(tree: Tree, verb: str, schema: str, patches: Sequence[str]) -> Tree:
    content = {"schema": {"$ref": _V3 + schema}}
    tree["responses"]["200"] = {
        "description": "OK", "content": dict.fromkeys(codec.MEDIA_TYPES, content),
    }  # fmt: skip
    if verb in ("create", "update", "patch"):
        tree["requestBody"] = {
            "content": dict.fromkeys(_media(verb, patches), content),
            "required": True,
        }
    return tree
