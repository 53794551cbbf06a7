"""What there is to ask for: the discovery documents.

In:   the resources that are served, as Served values (built-in and custom alike).
Out:  trees for `/api`, `/apis`, `/apis/GROUP`, `/apis/GROUP/VERSION`, in both forms: one document
      per group, and all in one (`apidiscovery.k8s.io/v2`), which kubectl asks for first.
By:   routes. Pure; who serves it caches the bytes.

Order matters to clients: kubectl takes the first group that knows a word, so groups come in the
order of the table of kinds, custom ones after the built-in.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kybern.api.scheme import Kind

Tree = dict[str, Any]
AGGREGATED = ("v2", "v2beta1")


class Sub(NamedTuple):
    """One subresource: its name, what it takes and returns, its verbs."""

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]


class Served(NamedTuple):
    """One resource as discovery shows it."""

    kind: Kind
    subresources: tuple[Sub, ...]


# (kind, subresource) where it is not get, patch and update of the object itself
_OTHER: dict[tuple[str, str], tuple[str, str, str, tuple[str, ...]]] = {
    ("Pod", "attach"): ("", "v1", "PodAttachOptions", ("create", "get")),
    ("Pod", "binding"): ("", "v1", "Binding", ("create",)),
    ("Pod", "eviction"): ("policy", "v1", "Eviction", ("create",)),
    ("Pod", "exec"): ("", "v1", "PodExecOptions", ("create", "get")),
    ("Pod", "log"): ("", "v1", "Pod", ("get",)),
    ("Pod", "portforward"): ("", "v1", "PodPortForwardOptions", ("create", "get")),
    ("ServiceAccount", "token"): ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    ("Namespace", "finalize"): ("", "v1", "Namespace", ("update",)),
}
_PROXIES = {"Pod": "PodProxyOptions", "Service": "ServiceProxyOptions", "Node": "NodeProxyOptions"}
_PROXY_VERBS = ("create", "delete", "get", "patch", "update")
_DEFAULT_VERBS = ("get", "patch", "update")


def served(kind: Kind) -> Served:
    """Return a built-in kind as discovery shows it."""
    return Served(kind, tuple(_sub(kind, name) for name in kind.subresources))


def _sub(kind: Kind, name: str) -> Sub:
    if name == "proxy":
        return Sub(name, "", "v1", _PROXIES[kind.kind], _PROXY_VERBS)
    if name == "scale":
        return Sub(name, "autoscaling", "v1", "Scale", _DEFAULT_VERBS)
    if other := _OTHER.get((kind.kind, name)):
        return Sub(name, *other)
    return Sub(name, kind.group, kind.version, kind.kind, _DEFAULT_VERBS)


class Discovery:
    """The documents over one set of resources; make a new one when the set changes."""

    def __init__(self, resources: Iterable[Served], server_address: str) -> None:
        self.address = server_address
        self._groups: dict[str, dict[str, list[Served]]] = {}
        for resource in resources:
            if resource.kind.plural:
                versions = self._groups.setdefault(resource.kind.group, {})
                versions.setdefault(resource.kind.version, []).append(resource)

    def has(self, group: str, version: str = "") -> bool:
        """Whether the group, or this version of it, is served."""
        versions = self._groups.get(group)
        return versions is not None and (not version or version in versions)

    def legacy_versions(self) -> Tree:
        """`/api`."""
        address = {"clientCIDR": "0.0.0.0/0", "serverAddress": self.address}
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}

    def groups(self) -> Tree:
        """`/apis`."""
        groups = [self._group(name) for name in self._groups if name]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def group(self, name: str) -> Tree:
        """`/apis/GROUP`."""
        return {"kind": "APIGroup", "apiVersion": "v1", **self._group(name)}

    def _group(self, name: str) -> Tree:
        versions = [{"groupVersion": f"{name}/{v}", "version": v} for v in self._groups[name]]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def resources(self, group: str, version: str) -> Tree:
        """`/api/v1` or `/apis/GROUP/VERSION`."""
        entries = []
        for kind, subresources in sorted(self._groups[group][version], key=_by_plural):
            entries.append(_resource(kind))
            entries += [_subresource(kind, sub, group, version) for sub in subresources]
        return {
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": f"{group}/{version}".lstrip("/"), "resources": entries,
        }  # fmt: skip

    def aggregated(self, version: str, *, core: bool) -> Tree:
        """`/api` (core) or `/apis`, all resources of all groups in one document."""
        names: Sequence[str] = [""] if core else [name for name in self._groups if name]
        items = [
            {
                "metadata": {"name": name, "creationTimestamp": None} if name else {},
                "versions": [_version(v, list_) for v, list_ in self._groups[name].items()],
            }
            for name in names
        ]
        api_version = f"apidiscovery.k8s.io/{version}"
        return {
            "kind": "APIGroupDiscoveryList", "apiVersion": api_version, "metadata": {},
            "items": items,
        }  # fmt: skip


def _by_plural(resource: Served) -> str:
    return resource.kind.plural


def _resource(kind: Kind) -> Tree:
    tree: Tree = {
        "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": list(kind.verbs),
    }  # fmt: skip
    if kind.short_names:
        tree["shortNames"] = list(kind.short_names)
    if kind.categories:
        tree["categories"] = list(kind.categories)
    if "list" in kind.verbs:
        tree["storageVersionHash"] = storage_version_hash(kind)
    return tree


def storage_version_hash(kind: Kind) -> str:
    """Return what tells clients that the stored form changed: a hash of group, version, kind."""
    text = f"{kind.group}/{kind.version}/{kind.kind}".encode()
    return base64.b64encode(hashlib.sha256(text).digest()[:8]).decode()


def _subresource(kind: Kind, sub: Sub, group: str, version: str) -> Tree:
    tree: Tree = {"name": f"{kind.plural}/{sub.name}", "singularName": ""}
    tree["namespaced"] = kind.namespaced
    if (sub.group, sub.version) != (group, version):
        tree |= {"group": sub.group, "version": sub.version} if sub.group else {}
    return tree | {"kind": sub.kind, "verbs": list(sub.verbs)}


def _version(version: str, resources: list[Served]) -> Tree:
    entries = [_discovered(resource) for resource in sorted(resources, key=_by_plural)]
    return {"version": version, "resources": entries, "freshness": "Current"}


def _discovered(resource: Served) -> Tree:
    kind = resource.kind
    tree: Tree = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        tree["shortNames"] = list(kind.short_names)
    if kind.categories:
        tree["categories"] = list(kind.categories)
    if resource.subresources:
        tree["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
                "verbs": list(sub.verbs),
            }
            for sub in resource.subresources
        ]
    return tree
