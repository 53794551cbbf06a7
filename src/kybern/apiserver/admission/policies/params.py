"""The objects that a policy takes its parameters from.

In:   a policy's paramKind, a binding's paramRef, the namespace of a request.
Out:  trees, one evaluation for each; or `Misconfigured`.
By:   validating, mutating. Facts: upstream's `policy/generic/policy_source.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, selectors

if TYPE_CHECKING:
    from kybern.api.admissionregistration.v1 import ParamKind, ParamRef
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource
    from kybern.store.interface import Entry

NO_NAMESPACE = (
    "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
)
NONE_FOUND = "no params found for policy binding with `Deny` parameterNotFoundAction"
NOT_NAMESPACED = "paramRef.namespace must not be provided for a cluster-scoped `paramKind`"
KEPT = 1_000


class Misconfigured(Exception):  # a verdict about a binding
    """A binding that cannot be used for a request."""


class Params:
    """Reads parameters; each is decoded once as long as it stays what it is."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._decoded: dict[str, tuple[Entry, Any]] = {}

    def resource(self, kind: ParamKind) -> Resource | None:
        """Return the resource of a kind of parameters."""
        found: Resource | None = self._services.resources.named(
            kind.apiVersion or "", kind.kind or ""
        )
        return found

    def collect(self, kind: ParamKind | None, ref: ParamRef | None, namespace: str) -> list[Any]:
        """Return the parameters; [None] where there are none to be had.

        Raises:
            Misconfigured.
        """
        if kind is None or ref is None:
            return [None]
        resource = self.resource(kind)
        if resource is None:
            raise Misconfigured(unknown(kind))
        if not resource.namespaced:
            if ref.namespace:
                raise Misconfigured(NOT_NAMESPACED)
            namespace = ""
        else:
            namespace = ref.namespace or namespace
            if not namespace:
                raise Misconfigured(NO_NAMESPACE)
        found = self._find(resource, ref, namespace)
        if not found and ref.parameterNotFoundAction == "Deny":
            raise Misconfigured(NONE_FOUND)
        return found

    def _find(self, resource: Resource, ref: ParamRef, namespace: str) -> list[Any]:
        store = self._services.store
        if ref.name:
            entry = store.get(resource.key(namespace, ref.name))
            return [] if entry is None else [self._decode(resource, entry)]
        chosen = selectors.from_struct(ref.selector)
        listed = store.list(resource.scope(namespace)).entries
        found = (self._decode(resource, entry) for entry in listed)
        return [each for each in found if chosen.matches(each["metadata"].get("labels") or {})]

    def _decode(self, resource: Resource, entry: Entry) -> Any:
        known = self._decoded.get(entry.key)
        if known is not None and known[0] is entry:
            return known[1]
        tree = codec.decode_tree(resource.wire(entry))
        if len(self._decoded) >= KEPT:
            self._decoded.clear()
        self._decoded[entry.key] = (entry, tree)
        return tree


def unknown(kind: ParamKind) -> str:
    """Say that nobody knows a kind."""
    named = f"{kind.apiVersion}, Kind={kind.kind}"
    return f"failed to find resource referenced by paramKind: '{named}'"
