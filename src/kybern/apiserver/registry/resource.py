"""One resource: a kind and everything the API server knows about serving it.

In:   a Kind, its strategy, its subresources.
Out:  where objects are stored and how their bytes are read and written.
By:   registry.all makes them; routes and handlers use them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import bounds, codec, errors
from kybern.apiserver.registry import facts, selectable
from kybern.apiserver.registry.columns import all as columns
from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from kybern.api.patch.schema import Node
    from kybern.api.scheme import Kind
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.strategy import Strategy
    from kybern.apiserver.registry.table import Columns
    from kybern.store.interface import Entry, Event

    Make = Callable[["RequestContext", Any], Awaitable[Any]]


class View:
    """Another shape in which a subresource shows and takes an object: Scale.

    Attributes:
        kind: the kind of that shape.
    """

    kind: Kind

    def read(self, obj: Any) -> Any:
        """Return the object in this shape."""
        raise NotImplementedError

    def write(self, obj: Any, shown: Any) -> None:
        """Put what was changed in this shape back into the object."""
        raise NotImplementedError


class Subresource:
    """One name below an object.

    Exactly one of these serves it: `strategy` (the same object, changed by other rules),
    `make` (a POST of another kind that does something), `connects` (a conversation, which
    handlers.connect leads).
    """

    __slots__ = ("connects", "kind", "make", "name", "strategy", "verbs", "view")

    def __init__(
        self,
        name: str,
        *,
        strategy: Strategy | None = None,
        view: View | None = None,
        make: Make | None = None,
        kind: Kind | None = None,
        connects: bool = False,
        verbs: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.strategy = strategy
        self.view = view
        self.make = make
        self.kind = kind
        self.connects = connects
        if not verbs:
            verbs = ("create",) if make else ("get", "update", "patch") if strategy else ()
        self.verbs = frozenset(verbs)

    def changed_by(self) -> Strategy:
        """Return the strategy; routes only ask where there is one."""
        assert self.strategy is not None
        return self.strategy


class Resource:
    """A resource whose stored form is the form it is served in."""

    converts = False
    """Whether somebody else has to be asked for the form an object is served or stored in.

    Then `ready` comes before `decode`, `wire`, `items` and `frame`, and `encoded` instead of
    `encode`.
    """
    chosen_as_shown = False
    """Whether field selectors look at objects as they are served, not as they are stored."""

    def __init__(
        self,
        kind: Kind,
        prefix: str,
        strategy: Strategy,
        subresources: dict[str, Subresource] | None = None,
    ) -> None:
        self.kind = kind
        self.prefix = prefix
        self.strategy = strategy
        self.subresources = subresources or {}
        self.verbs = frozenset(kind.verbs)
        self.namespaced = kind.namespaced
        self.struct = kind.struct
        self.fields = selectable.fields_of(kind)
        self.columns: Columns | None = columns.of(kind, SYSTEM)
        self.deprecated = facts.DEPRECATED.get((kind.api_version, kind.kind), "")
        self.node: Node | None = None
        """How fields of objects are owned, where their type does not say."""
        self.answer: Make | None = None
        """What answers a POST of a kind that is a question and is not stored."""
        self.item_head = f'{{"kind":"{kind.kind}","apiVersion":"{kind.api_version}",'.encode()

    def __repr__(self) -> str:
        return f"Resource({self.kind.group_resource})"

    def key(self, namespace: str, name: str) -> str:
        """Return where an object is stored."""
        return f"{self.prefix}{namespace}/{name}" if self.namespaced else self.prefix + name

    def scope(self, namespace: str, name: str = "") -> str:
        """Return the part of the store a list or watch covers."""
        if self.namespaced and not namespace:
            return self.prefix
        if name:
            return self.key(namespace, name)
        return f"{self.prefix}{namespace}/" if self.namespaced else self.prefix

    def decode(self, entry: Entry) -> Any:
        """Return the stored object, with its resourceVersion; it is yours."""
        return codec.decode(entry.wire, self.struct)

    def rebuilt(self, tree: Any, struct: type[Any]) -> Any:
        """Return the object of a tree that somebody changed; what it cannot hold is dropped.

        Raises:
            Mismatch, ValueError, BadRequest: it is none.
        """
        return codec.from_tree(tree, struct)

    def encode(self, obj: Any) -> bytes:
        """Return the bytes to store: everything but the resourceVersion.

        Raises:
            BadRequest: nobody could read it again.
        """
        obj.metadata.resourceVersion = None
        data = codec.encode(obj)
        if bounds.open_ended(self.struct) and bounds.too_deep(data):
            raise errors.BadRequest(bounds.TOO_DEEP)
        return data

    async def ready(self, entries: Iterable[Entry]) -> None:
        """Have the served form of objects at hand."""

    async def encoded(self, obj: Any) -> bytes:
        """Return the bytes to store, as `encode` does."""
        return self.encode(obj)

    def wire(self, entry: Entry) -> bytes:
        """Return the bytes a client gets; of a dry run, without a resourceVersion."""
        return entry.wire if entry.revision else entry.held

    def frame(self, event: Event) -> bytes:
        """Return the line a watcher gets."""
        return event.frame

    def items(self, entries: Sequence[Entry]) -> bytes:
        """Return the items of a list, joined: those say their kind once, on top."""
        head = self.item_head
        cut = len(head)
        wires = [self.wire(entry) for entry in entries]
        if not wires:
            return b""
        if all(wire.startswith(head) for wire in wires):
            return b"{" + b",{".join([wire[cut:] for wire in wires])
        return b",".join([b"{" + w[cut:] if w.startswith(head) else w for w in wires])


class ConvertedResource(Resource):
    """A resource that is stored as another kind; `convert_in` and `convert_out` translate.

    Two versions of one group (HorizontalPodAutoscaler) or two groups (Event) share one storage.
    """

    def __init__(
        self,
        kind: Kind,
        stored: Resource,
        strategy: Strategy,
        convert_in: Callable[[Any], Any],
        convert_out: Callable[[Any], Any],
        subresources: dict[str, Subresource] | None = None,
    ) -> None:
        super().__init__(kind, stored.prefix, strategy, subresources)
        self.stored = stored
        self._in = convert_in
        self._out = convert_out

    def to_stored(self, obj: Any) -> Any:
        """Return an object in the stored form."""
        return self._in(obj)

    def from_stored(self, obj: Any) -> Any:
        """Return a stored object in the served form."""
        return self._out(obj)

    def decode(self, entry: Entry) -> Any:
        """Return the stored object in the served form."""
        return self._out(self.stored.decode(entry))

    def encode(self, obj: Any) -> bytes:
        """Return the bytes to store, in the stored form."""
        return self.stored.encode(self._in(obj))

    def wire(self, entry: Entry) -> bytes:
        """Return the bytes a client gets, converted."""
        return codec.encode(self.decode(entry))

    def frame(self, event: Event) -> bytes:
        """Return the line a watcher gets, converted."""
        return b'{"type":"%b","object":%b}\n' % (event.type.encode(), self.wire(event.entry))
