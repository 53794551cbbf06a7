"""Looking at other objects while one is under review.

In:   the store; a kind and a name, or a namespace.
Out:  decoded objects, borrowed: each is decoded once as long as it stays what it is.
By:   the plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kybern.api import codec
from kybern.api.scheme import SCHEME
from kybern.store import keys

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.store.interface import Entry

T = TypeVar("T")

KEPT = 10_000


class Lookup(Generic[T]):
    """Objects of one kind, decoded."""

    def __init__(self, services: Services, struct: type[T]) -> None:
        kind = SCHEME.of(struct)
        self._store = services.store
        self._struct = struct
        self._prefix = keys.collection(kind.group, kind.plural)
        self._decoded: dict[str, tuple[Entry, T]] = {}
        self._all: dict[str, tuple[int, list[T]]] = {}

    def get(self, name: str, namespace: str = "") -> T | None:
        """Return an object, or None."""
        entry = self._store.get(self.key(name, namespace))
        return None if entry is None else self._decode(entry)

    def key(self, name: str, namespace: str = "") -> str:
        """Return where an object is stored."""
        return f"{self._prefix}{namespace}/{name}" if namespace else self._prefix + name

    def all(self, namespace: str = "") -> list[T]:
        """Return all objects, or those of a namespace, in order of names; the list is borrowed."""
        known = self._all.get(namespace)
        changed = self._store.changed(self._prefix)
        if known is not None and known[0] == changed:
            return known[1]
        scope = f"{self._prefix}{namespace}/" if namespace else self._prefix
        found = [self._decode(entry) for entry in self._store.list(scope).entries]
        if len(self._all) >= KEPT:
            self._all.clear()
        self._all[namespace] = (changed, found)
        return found

    def _decode(self, entry: Entry) -> T:
        known = self._decoded.get(entry.key)
        if known is not None and known[0] is entry:
            return known[1]
        obj: T = codec.decode(entry.held, self._struct)
        if len(self._decoded) >= KEPT:
            self._decoded.clear()
        self._decoded[entry.key] = (entry, obj)
        return obj


def pod_is_created(group: str, plural: str, subresource: str, operation: str) -> bool:
    """Say whether this is the creation of a pod: what most plugins care for."""
    return (group, plural, subresource, operation) == ("", "pods", "", "CREATE")


def named(review: Any) -> str:
    """Return what messages call the object: its name, or what its name will begin with."""
    obj = review.old if review.obj is None else review.obj
    if obj is None:  # of a conversation
        return str(review.ctx.name)
    name: str = obj.metadata.name or review.ctx.name or obj.metadata.generateName or ""
    return name
