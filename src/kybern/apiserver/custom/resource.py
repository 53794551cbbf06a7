"""A custom kind, as the registry serves it.

In:   a CustomKind and the version of the definition it came from.
Out:  a Resource: where objects are, how they read and look.
By:   custom.definitions.

Objects are stored in the storage version and shown in any: without a webhook, versions differ in
name only; with one, it is asked first (`ready`, `encoded`). What was stored under an earlier schema
is pruned and filled in when it is read; that is done once per object and kept.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

import msgspec

from kybern.api import bounds, codec, errors
from kybern.api.custom import json_path, reading
from kybern.apiserver.custom.columns import CustomColumns
from kybern.apiserver.custom.scale import CustomScaleView
from kybern.apiserver.custom.strategy import (
    CustomStatusStrategy,
    CustomStrategy,
)
from kybern.apiserver.registry.resource import Resource, Subresource
from kybern.apiserver.registry.selectable import Fields, Peek
from kybern.lib.clock import SYSTEM
from kybern.store import keys
from kybern.store.wire import with_revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kybern.api.apiextensions.v1 import (
        CustomResourceDefinition,
        CustomResourceDefinitionVersion,
    )
    from kybern.api.custom.kinds import CustomKind
    from kybern.apiserver.custom.conversion import Conversion
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
        conversion: Conversion | None = None,
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
        self._conversion = conversion
        self.converts = conversion is not None
        self.chosen_as_shown = bool(version.selectableFields)
        self._shown: dict[bytes, bytes] = {}

    def decode(self, entry: Entry) -> Any:
        """Return the stored object as this version has it; it is yours."""
        return codec.decode(self.wire(entry), self.struct)

    def rebuilt(self, tree: Any, struct: type[Any]) -> Any:
        """Return the object of a tree that somebody changed, pruned and filled in."""
        if struct is not self.struct:  # its scale
            return super().rebuilt(tree, struct)
        return reading.from_tree(tree, self.custom)[0]

    def encode(self, obj: Any) -> bytes:
        """Return the bytes to store: in the storage version, where that differs in name only.

        Raises:
            BadRequest: nobody could read it again.
        """
        obj.metadata.resourceVersion = None
        served, obj.apiVersion = obj.apiVersion, self._stored
        data = codec.encode(obj)
        obj.apiVersion = served
        if bounds.too_deep(data):
            raise errors.BadRequest(bounds.TOO_DEEP)
        return data

    async def encoded(self, obj: Any) -> bytes:
        """Return the bytes to store, in the storage version."""
        if self._conversion is None or obj.apiVersion == self._stored:
            return self.encode(obj)
        obj.metadata.resourceVersion = None
        (tree,) = await self._conversion.convert([codec.to_tree(obj)], self._stored)
        return codec.encode(in_order(tree))

    async def ready(self, entries: Iterable[Entry]) -> None:
        """Have the webhook convert what is stored in another version.

        Raises:
            InternalError: it did not.
        """
        if self._conversion is None:
            return
        while len(self._shown) > KEPT:
            del self._shown[next(iter(self._shown))]
        missing = {
            digest: data
            for entry in entries
            if not (data := entry.data).startswith(self.item_head)
            and (digest := _digest(data)) not in self._shown
        }
        if not missing:
            return
        trees = [codec.decode_tree(data) for data in missing.values()]
        converted = await self._conversion.convert(trees, self.kind.api_version)
        for digest, tree in zip(missing, converted, strict=True):
            self._shown[digest] = self._presented(tree)

    def wire(self, entry: Entry) -> bytes:
        """Return the bytes a client gets; of a dry run, without a resourceVersion."""
        structure = self.custom.structure
        assert structure is not None
        if structure.keeps_all and not structure.fills:
            given = super().wire(entry)
            if given.startswith(self.item_head):
                return given
        shown = self._present(entry.data)
        return with_revision(shown, entry.revision)[0] if entry.revision else shown

    def _present(self, data: bytes) -> bytes:
        """Return the served form of what is stored; made once, and kept for a while."""
        digest = _digest(data)
        shown = self._shown.get(digest)
        if shown is None:
            if len(self._shown) > KEPT:
                del self._shown[next(iter(self._shown))]
            shown = self._shown[digest] = self._presented(codec.decode_tree(data))
        return shown

    def _presented(self, tree: Any) -> bytes:
        return codec.encode(reading.from_tree(tree, self.custom)[0])

    def frame(self, event: Event) -> bytes:
        """Return the line a watcher gets."""
        return b'{"type":"%b","object":%b}\n' % (event.type.encode(), self.wire(event.entry))


def in_order(tree: dict[str, Any]) -> dict[str, Any]:
    """Return an object with kind and metadata first, as the store expects it."""
    head = {name: tree[name] for name in ("kind", "apiVersion", "metadata")}
    return {**head, **tree}


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


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
        found["scale"] = Subresource("scale", strategy=strategy, view=view)
    return found


def _warning(kind: CustomKind, version: CustomResourceDefinitionVersion) -> str:
    if not version.deprecated:
        return ""
    return version.deprecationWarning or f"{kind.api_version} {kind.kind} is deprecated"
