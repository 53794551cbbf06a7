"""What other servers serve, shown among what is served here.

In:   discovery and OpenAPI documents of this server, and Backends.
Out:  the same documents with the others' groups, versions and schemas in them.
By:   documents. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from kybern.apiserver.aggregator.backend import Backend

    Tree = dict[str, Any]


def in_order(backends: Collection[Backend]) -> dict[str, list[Backend]]:
    """Return the backends by group, in the order of their priorities: the greatest first."""
    groups: dict[str, list[Backend]] = {}
    for each in sorted(backends, key=lambda b: (-b.spec.versionPriority, b.version)):
        groups.setdefault(each.group, []).append(each)
    first = sorted(
        groups.items(), key=lambda g: (-max(b.spec.groupPriorityMinimum for b in g[1]), g[0])
    )
    return dict(first)


def add_groups(tree: Tree, backends: Collection[Backend]) -> Tree:
    """Return the APIGroupList with the others' groups."""
    groups = {group["name"]: group for group in tree["groups"]}
    for name, others in in_order(backends).items():
        groups[name] = group_of(name, others, groups.get(name))
    return tree | {"groups": list(groups.values())}


def group_of(name: str, others: list[Backend], ours: Tree | None = None) -> Tree:
    """Return an APIGroup with the others' versions behind those of ours."""
    versions = list((ours or {}).get("versions", ()))
    here = {version["version"] for version in versions}
    versions += [
        {"groupVersion": f"{name}/{each.version}", "version": each.version}
        for each in others
        if each.version not in here
    ]
    preferred = (ours or {}).get("preferredVersion", versions[0])
    return {"name": name, "versions": versions, "preferredVersion": preferred}


def add_discovered(tree: Tree, backends: Collection[Backend]) -> Tree:
    """Return the APIGroupDiscoveryList with what the others serve."""
    items = {item["metadata"]["name"]: item for item in tree["items"]}
    for name, others in in_order(backends).items():
        item = items.get(name, {"metadata": {"name": name, "creationTimestamp": None}})
        versions = [
            {
                "version": each.version,
                "resources": discovered(each.resources, each.group, each.version),
                "freshness": "Current" if each.available else "Stale",
            }
            for each in others
        ]
        items[name] = item | {"versions": [*item.get("versions", ()), *versions]}
    return tree | {"items": list(items.values())}


def discovered(resources: list[Tree], group: str, version: str) -> list[Tree]:
    """Return the entries of an APIResourceList as aggregated discovery has them."""
    found: dict[str, Tree] = {}
    for each in sorted(resources, key=lambda entry: str(entry.get("name", ""))):
        name, _, sub = each.get("name", "").partition("/")
        kind = {
            "group": each.get("group") or group, "version": each.get("version") or version,
            "kind": each.get("kind", ""),
        }  # fmt: skip
        if not sub:
            found[name] = {
                "resource": name, "responseKind": kind,
                "scope": "Namespaced" if each.get("namespaced") else "Cluster",
                "singularResource": each.get("singularName", ""),
                "verbs": each.get("verbs", []),
            }  # fmt: skip
            found[name] |= {k: each[k] for k in ("shortNames", "categories") if each.get(k)}
        elif name in found:
            entry = {"subresource": sub, "responseKind": kind, "verbs": each.get("verbs", [])}
            found[name].setdefault("subresources", []).append(entry)
    return list(found.values())


def add_v3(index: Tree, backends: Collection[Backend]) -> Tree:
    """Return the index of `/openapi/v3` with the others' documents."""
    more = {
        each.prefix.lstrip("/"): {"serverRelativeURL": each.v3_url}
        for each in backends
        if each.available and each.v3_url
    }
    return index | {"paths": index["paths"] | more}


def add_v2(tree: Tree, backends: Collection[Backend]) -> Tree:
    """Return the document of `/openapi/v2` with the others' paths; of two schemas ours stays."""
    paths, definitions = dict(tree["paths"]), dict(tree["definitions"])
    for each in backends:
        if each.available and each.schemas:
            paths = each.schemas["paths"] | paths
            definitions = each.schemas["definitions"] | definitions
    return tree | {"paths": paths, "definitions": definitions}
