"""An indexed table of objects.

In:   objects by ``(namespace, name)``.
Out:  the same objects, by key, by namespace, by any named index.
By:   client.informer; also handy as a plain table in tests and in the scheduler's cache.

Pure: no I/O, no locks (one event loop), no copies. Objects are borrowed by whoever reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import builtins

T = TypeVar("T")

ObjectKey = tuple[str, str]
IndexFunction = Callable[[T], Iterable[str]]


def key_of(obj: Any) -> ObjectKey:
    """Return ``(namespace, name)`` of an API object; the namespace is '' for cluster-wide kinds."""
    metadata = obj.metadata
    return (metadata.namespace or "", metadata.name or "")


class Indexer(Generic[T]):
    """Objects by key, with secondary indexes kept up to date on every change."""

    def __init__(self, indexers: Mapping[str, IndexFunction[T]] | None = None) -> None:
        self._objects: dict[ObjectKey, T] = {}
        self._by_namespace: dict[str, dict[ObjectKey, T]] = {}
        self._functions: dict[str, IndexFunction[T]] = dict(indexers or {})
        self._indexes: dict[str, dict[str, dict[ObjectKey, T]]] = {n: {} for n in self._functions}
        # What an object was filed under, remembered so that an update can unfile it without
        # asking the index functions about the old state again.
        self._filed: dict[str, dict[ObjectKey, tuple[str, ...]]] = {n: {} for n in self._functions}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    def __iter__(self) -> Iterator[T]:
        return iter(self._objects.values())

    def keys(self) -> Iterable[ObjectKey]:
        """Return a live view of all keys."""
        return self._objects.keys()

    def get(self, key: ObjectKey) -> T | None:
        """Return the object with this key, or None."""
        return self._objects.get(key)

    def list(self, namespace: str | None = None) -> builtins.list[T]:
        """Return all objects, or those of one namespace; the list is the caller's."""
        if namespace is None:
            return [*self._objects.values()]
        return [*self._by_namespace.get(namespace, {}).values()]

    def by_index(self, name: str, value: str) -> builtins.list[T]:
        """Return the objects filed under a value of a named index; KeyError for an unknown name."""
        return [*self._indexes[name].get(value, {}).values()]

    def index_values(self, name: str) -> Iterable[str]:
        """Return the values under which a named index has at least one object."""
        return self._indexes[name].keys()

    def has_index(self, name: str) -> bool:
        """Return whether an index of this name exists."""
        return name in self._functions

    def put(self, obj: T, key: ObjectKey | None = None) -> T | None:
        """Add or replace an object and return the one it replaced."""
        key = key or key_of(obj)
        old = self._objects.get(key)
        self._objects[key] = obj
        self._by_namespace.setdefault(key[0], {})[key] = obj
        for name in self._functions:
            self._file(name, key, obj)
        return old

    def remove(self, key: ObjectKey) -> T | None:
        """Remove and return the object with this key, if there is one."""
        old = self._objects.pop(key, None)
        if old is None:
            return None
        self._drop(self._by_namespace, key[0], key)
        for name, filed in self._filed.items():
            for value in filed.pop(key, ()):
                self._drop(self._indexes[name], value, key)
        return old

    def add_index(self, name: str, function: IndexFunction[T]) -> None:
        """Add an index, filling it from what is there; a name already taken must mean the same."""
        if name in self._functions:
            return
        self._functions[name] = function
        self._indexes[name] = {}
        self._filed[name] = {}
        for key, obj in self._objects.items():
            self._file(name, key, obj)

    def _file(self, name: str, key: ObjectKey, obj: T) -> None:
        values = tuple(dict.fromkeys(self._functions[name](obj)))
        filed, index = self._filed[name], self._indexes[name]
        before = filed.get(key, ())
        if values != before:
            for value in before:
                if value not in values:
                    self._drop(index, value, key)
            if values:
                filed[key] = values
            else:
                filed.pop(key, None)
        for value in values:
            index.setdefault(value, {})[key] = obj

    @staticmethod
    def _drop(index: dict[str, dict[ObjectKey, T]], value: str, key: ObjectKey) -> None:
        bucket = index.get(value)
        if bucket is not None:
            bucket.pop(key, None)
            if not bucket:
                del index[value]
