"""The operations of a resource, as OpenAPI describes them.

In:   a Served resource and a dialect (v2 or v3).
Out:  path items with the parameters and kinds that clients look for: kubectl decides by
      `fieldValidation` whether the server validates, and finds a kind by its group and version.
By:   openapi.py. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.custom.kinds import CustomKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.apiserver.discovery import Served

Tree = dict[str, Any]

_ACTIONS = {
    "create": ("post", "post"), "list": ("get", "list"),
    "deletecollection": ("delete", "deletecollection"),
    "get": ("get", "get"), "update": ("put", "put"), "patch": ("patch", "patch"),
    "delete": ("delete", "delete"),
}  # fmt: skip
_COLLECTION = ("list", "create", "deletecollection")
_OBJECT = ("get", "update", "patch", "delete")
_PATCHES = (
    "application/apply-patch+yaml", "application/json-patch+json",
    "application/merge-patch+json", "application/strategic-merge-patch+json",
)  # fmt: skip
_WRITES = ("dryRun", "fieldManager", "fieldValidation")
_LISTS = (
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit",
    "resourceVersion", "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
)  # fmt: skip
_DELETES = ("dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy")
_QUERY = {
    "create": _WRITES, "update": _WRITES, "patch": (*_WRITES, "force"), "list": _LISTS,
    "deletecollection": (*_LISTS, *_DELETES), "delete": _DELETES, "get": (),
}  # fmt: skip
_TYPES = {
    "limit": "integer", "timeoutSeconds": "integer", "gracePeriodSeconds": "integer",
    "allowWatchBookmarks": "boolean", "sendInitialEvents": "boolean", "watch": "boolean",
    "force": "boolean", "orphanDependents": "boolean",
}  # fmt: skip


def paths(
    resource: Served, schema: str, parameter: Callable[..., Tree], operation: Callable[..., Tree]
) -> dict[str, Tree]:
    """Return path → path item for a resource and its subresources.

    Args:
        resource: what is served.
        schema: name of the object's schema.
        parameter: makes a parameter of the dialect from name, place and type.
        operation: puts body and answer of the dialect into an operation.
    """
    kind = resource.kind
    base = kind.path("{namespace}" if kind.namespaced else "")
    items = {
        base: _item(resource, _COLLECTION, schema, parameter, operation),
        f"{base}/{{name}}": _item(resource, _OBJECT, schema, parameter, operation),
    }
    if kind.namespaced and "list" in kind.verbs:
        items[kind.collection] = _item(resource, ("list",), schema, parameter, operation)
        del items[kind.collection]["parameters"]
    for sub in resource.subresources:
        gvk = {"group": sub.group, "version": sub.version, "kind": sub.kind}
        verbs = [
            verb for verb in ("get", "update", "patch", "create", "delete") if verb in sub.verbs
        ]
        item = {_ACTIONS[verb][0]: _operation(verb, gvk, sub.name, parameter) for verb in verbs}
        items[f"{base}/{{name}}/{sub.name}"] = item | _place(kind.namespaced, True, parameter)
    return {path: item for path, item in items.items() if set(item) - {"parameters"}}


def _item(
    resource: Served,
    verbs: tuple[str, ...],
    schema: str,
    parameter: Callable[..., Tree],
    operation: Callable[..., Tree],
) -> Tree:
    kind = resource.kind
    gvk = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    # Nobody knows how lists of a custom kind are merged.
    patches = _PATCHES[:-1] if isinstance(kind, CustomKind) else _PATCHES
    item: Tree = {}
    for verb in verbs:
        if verb in kind.verbs:
            body = _operation(verb, gvk, kind.plural, parameter)
            many = schema + "List" if verb == "list" else schema
            item[_ACTIONS[verb][0]] = operation(body, verb, many, patches)
    return item | _place(kind.namespaced, verbs == _OBJECT, parameter)


def _place(namespaced: bool, named: bool, parameter: Callable[..., Tree]) -> Tree:
    names = (["name"] if named else []) + (["namespace"] if namespaced else [])
    return {"parameters": [parameter(name, "path", "string") for name in names]}


def _operation(verb: str, gvk: Tree, what: str, parameter: Callable[..., Tree]) -> Tree:
    query = [parameter(name, "query", _TYPES.get(name, "string")) for name in _QUERY[verb]]
    version = gvk["version"].capitalize()
    group = (gvk["group"].split(".")[0] or "core").capitalize()
    tree: Tree = {
        "tags": [f"{group}_{version}".lower()],
        "operationId": f"{verb}{group}{version}{gvk['kind']}{what.capitalize()}",
        "x-kubernetes-action": _ACTIONS[verb][1],
        "x-kubernetes-group-version-kind": gvk,
        "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
    }
    if query:
        tree["parameters"] = query
    return tree
