"""A custom kind, as the registry serves it.

In:   a CustomKind and the version of the definition it came from.
Out:  a Resource: where objects are, how they read and look.
By:   custom.definitions.

Objects are stored in the storage version and shown in any: without a webhook, versions differ in
name only. What was stored under an earlier schema is pruned and filled in when it is read; that is
done once per object and kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from kybern.api import bounds, codec, errors
from kybern.api.custom import json_path, reading
from kybern.apiserver.custom.columns import CustomColumns
from kybern.apiserver.custom.scale import CustomScaleView
from kybern.apiserver.custom.strategy import (
    CustomScaleStrategy,
    CustomStatusStrategy,
    CustomStrategy,
)
from kybern.apiserver.registry.resource import Resource, Subresource
from kybern.apiserver.registry.selectable import Fields, Peek
from kybern.lib.clock import SYSTEM
from kybern.store import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kybern.api.apiextensions.v1 import (
        CustomResourceDefinition,
        CustomResourceDefinitionVersion,
    )
    from kybern.api.custom.kinds import CustomKind
    from kybern.store.interface import Entry, Event

KEPT = 20_000  # objects whose present form is kept


class CustomResource(Resource):
    """One version of a custom kind."""

    def __init__(
        self,
        kind: CustomKind,
        version: CustomResourceDefinitionVersion,
        storage_version: str,
        look: type[Peek],
        *,
        converts: bool = False,
    ) -> None:
        self.kind = kind
        self.custom = kind
        self.prefix = keys.collection(kind.group, kind.plural)
        self.rules = CustomStrategy(kind)
        self.strategy = self.rules
        self.subresources = _subresources(version, self.rules)
        self.verbs = frozenset(kind.verbs)
        self.namespaced = kind.namespaced
        self.struct = kind.struct
        self.fields = Fields(look, _getters(version))
        self.columns = CustomColumns(version.additionalPrinterColumns, SYSTEM)
        self.deprecated = _warning(kind, version)
        self.answer = None
        self.node = kind.node
        self.item_head = f'{{"kind":"{kind.kind}","apiVersion":"{kind.api_version}",'.encode()
        self._stored = f"{kind.group}/{storage_version}"
        self._converts = converts
        self._shown: dict[str, tuple[int, bytes]] = {}

    def decode(self, entry: Entry) -> Any:
        """Return the stored object as this version has it; it is yours."""
        return codec.decode(self.wire(entry), self.struct)

    def rebuilt(self, tree: Any, struct: type[Any]) -> Any:
        """Return the object of a tree that somebody changed, pruned and filled in."""
        if struct is not self.struct:  # its scale
            return super().rebuilt(tree, struct)
        return reading.from_tree(tree, self.custom)[0]

    def encode(self, obj: Any) -> bytes:
        """Return the bytes to store, in the storage version.

        Raises:
            BadRequest: nobody could read it again.
        """
        obj.metadata.resourceVersion = None
        if obj.apiVersion != self._stored:
            self._check_convertible()
        served, obj.apiVersion = obj.apiVersion, self._stored
        data = codec.encode(obj)
        obj.apiVersion = served
        if bounds.too_deep(data):
            raise errors.BadRequest(bounds.TOO_DEEP)
        return data

    def wire(self, entry: Entry) -> bytes:
        """Return the bytes a client gets."""
        structure = self.custom.structure
        assert structure is not None
        wire = entry.wire if entry.revision else entry.data
        if structure.keeps_all and not structure.fills and wire.startswith(self.item_head):
            return wire
        kept = self._shown.get(entry.key)
        if kept is not None and kept[0] == entry.revision and entry.revision:
            return kept[1]
        if not wire.startswith(self.item_head):
            self._check_convertible()
        obj, _ = reading.from_tree(codec.decode_tree(wire), self.custom)
        shown = codec.encode(obj)
        if entry.revision:
            if len(self._shown) >= KEPT:
                self._shown.clear()
            self._shown[entry.key] = (entry.revision, shown)
        return shown

    def _check_convertible(self) -> None:
        """See that an object of another version may just be called one of this.

        Raises:
            InternalError: only its webhook could tell.
        """
        if self._converts:
            raise errors.InternalError.of(
                f"conversion webhook for {self._stored}, Kind={self.kind.kind} failed: conversion "
                "webhooks are not supported yet"
            )

    def frame(self, event: Event) -> bytes:
        """Return the line a watcher gets."""
        return b'{"type":"%b","object":%b}\n' % (event.type.encode(), self.wire(event.entry))


def looks(definition: CustomResourceDefinition) -> type[Peek]:
    """Return the type of what selectors see of objects, in all versions of a definition."""
    names = {
        path.lstrip(".").partition(".")[0]
        for version in definition.spec.versions
        for path in (field.jsonPath for field in version.selectableFields or ())
    }
    fields: Sequence[tuple[str, Any, Any]] = [(name, Any, None) for name in sorted(names)]
    if not fields:
        return Peek
    return cast("type[Peek]", msgspec.defstruct("CustomPeek", fields, bases=(Peek,), gc=False))


def _getters(version: CustomResourceDefinitionVersion) -> dict[str, Callable[[Any], str]]:
    return {
        field.jsonPath.lstrip("."): _getter(field.jsonPath)
        for field in version.selectableFields or ()
    }


def _getter(path: str) -> Callable[[Any], str]:
    top, _, rest = path.lstrip(".").partition(".")

    def get(peek: Any) -> str:
        value = getattr(peek, top)
        found = json_path.find(f".{rest}", value) if rest else [value]
        if not found or found[0] is None:
            return ""
        return found[0] if isinstance(found[0], str) else codec.encode(found[0]).decode()

    return get


def _subresources(
    version: CustomResourceDefinitionVersion, strategy: CustomStrategy
) -> dict[str, Subresource]:
    below, found = version.subresources, {}
    if below is not None and below.status is not None:
        found["status"] = Subresource("status", strategy=CustomStatusStrategy(strategy))
    if below is not None and below.scale is not None:
        view = CustomScaleView(below.scale)
        found["scale"] = Subresource("scale", strategy=CustomScaleStrategy(strategy), view=view)
    return found


def _warning(kind: CustomKind, version: CustomResourceDefinitionVersion) -> str:
    if not version.deprecated:
        return ""
    return version.deprecationWarning or f"{kind.api_version} {kind.kind} is deprecated"
