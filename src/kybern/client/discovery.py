"""What the API server serves.

In:   its discovery documents: all in one where it has them so, else one per group and version.
Out:  a `Kind` per resource, in the version its group prefers; groups that did not answer.
By:   controllers that work on every kind there is, the CLI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from kybern.api import errors
from kybern.api.scheme import SCHEME, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kybern.client.rest import Client

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Served:
    """The outcome of discovery.

    Attributes:
        kinds: every resource once, in its preferred version.
        failed: groups and versions that could not be asked, with the reason.
    """

    kinds: tuple[Kind, ...]
    failed: tuple[tuple[str, str], ...] = ()


async def discover(client: Client) -> Served:
    """Ask what is served."""
    kinds: dict[tuple[str, str], Kind] = {}
    failed: list[tuple[str, str]] = []
    for root in ("/api", "/apis"):
        tree = msgspec.json.decode(await client.raw("GET", root, accept=AGGREGATED))
        if tree.get("kind") == "APIGroupDiscoveryList":
            found: Iterable[Kind] = _aggregated(tree, failed)
        else:
            found = await _one_by_one(client, root, tree, failed)
        for kind in found:
            # The first version of a group that has a resource is the preferred one.
            kinds.setdefault((kind.group, kind.plural), kind)
    return Served(tuple(kinds.values()), tuple(failed))


def _aggregated(tree: Tree, failed: list[tuple[str, str]]) -> Iterator[Kind]:
    for group in tree.get("items") or ():
        name = (group.get("metadata") or {}).get("name", "")
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                failed.append((f"{name}/{version['version']}", "stale GroupVersion discovery"))
                continue
            for resource in version.get("resources") or ():
                kind = resource.get("responseKind") or {}
                subresources = resource.get("subresources") or ()
                yield _kind(
                    kind.get("group") or name,
                    kind.get("version") or version["version"],
                    kind.get("kind", ""),
                    resource["resource"],
                    namespaced=resource.get("scope") == "Namespaced",
                    verbs=resource.get("verbs") or (),
                    subresources=[sub["subresource"] for sub in subresources],
                )


async def _one_by_one(
    client: Client, root: str, tree: Tree, failed: list[tuple[str, str]]
) -> list[Kind]:
    kinds: list[Kind] = []
    for group, version in _versions(root, tree):
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            answer: Tree = msgspec.json.decode(await client.raw("GET", path))
        except errors.ApiError as error:
            failed.append((f"{group}/{version}".lstrip("/"), error.message))
            continue
        resources = answer.get("resources") or []
        below: dict[str, list[str]] = {}
        for resource in resources:
            plural, _, subresource = resource["name"].partition("/")
            if subresource:
                below.setdefault(plural, []).append(subresource)
        kinds += [
            _kind(
                group,
                version,
                resource["kind"],
                resource["name"],
                namespaced=resource["namespaced"],
                verbs=resource.get("verbs") or (),
                subresources=below.get(resource["name"], ()),
            )
            for resource in resources
            if "/" not in resource["name"]
        ]
    return kinds


def _versions(root: str, tree: Tree) -> Iterator[tuple[str, str]]:
    if root == "/api":
        yield from (("", version) for version in tree.get("versions") or ())
        return
    for group in tree.get("groups") or ():
        preferred = (group.get("preferredVersion") or {}).get("version")
        versions = [version["version"] for version in group.get("versions") or ()]
        versions.sort(key=lambda version: version != preferred)
        yield from ((group["name"], version) for version in versions)


def _kind(
    group: str,
    version: str,
    kind: str,
    plural: str,
    *,
    namespaced: bool,
    verbs: Iterable[str],
    subresources: Iterable[str],
) -> Kind:
    known = SCHEME.by_resource(group, version, plural)
    if known is not None:
        return known
    return Kind(
        group,
        version,
        kind,
        plural,
        kind.lower(),
        namespaced,
        verbs=tuple(verbs),
        subresources=tuple(subresources),
    )
