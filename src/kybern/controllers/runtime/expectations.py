"""What a controller wrote and its cache does not show yet.

In:   the objects that creates and patches returned, and those that were deleted.
Out:  whether the cache has caught up.
By:   controllers that count: a ReplicaSet that has not seen the pods it just made would make more.

One counter of revisions orders all writes to a kind, so for creates and changes it is enough to
wait until the informer has come as far as the last write. For deletions it is the object that is
watched: it is gone, replaced, or marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kybern.client.indexer import ObjectKey, key_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from kybern.client.informer import Informer

K = TypeVar("K", bound="Hashable")


class Expectations(Generic[K]):
    """Pending writes, by the key of who wrote."""

    def __init__(self, informer: Informer[Any]) -> None:
        self._informer = informer
        self._written: dict[K, int] = {}
        self._deleted: dict[K, dict[ObjectKey, str]] = {}

    def wrote(self, key: K, obj: Any) -> None:
        """Note an object as a create, update or patch returned it."""
        revision = _number(obj.metadata.resourceVersion)
        if revision > self._written.get(key, 0):
            self._written[key] = revision

    def deleted(self, key: K, obj: Any) -> None:
        """Note an object that the server agreed to delete."""
        self._deleted.setdefault(key, {})[key_of(obj)] = obj.metadata.uid

    def forget(self, key: K) -> None:
        """Expect nothing for this key any more, because it is gone."""
        self._written.pop(key, None)
        self._deleted.pop(key, None)

    def satisfied(self, key: K) -> bool:
        """Say whether the cache shows everything that was written for this key."""
        wanted = self._written.get(key)
        if wanted is not None:
            if _number(self._informer.revision) < wanted:
                return False
            del self._written[key]
        pending = self._deleted.get(key)
        if pending:
            for where, uid in list(pending.items()):
                if self._still_there(where, uid):
                    return False
                del pending[where]
            del self._deleted[key]
        return True

    def _still_there(self, where: ObjectKey, uid: str) -> bool:
        obj = self._informer.get(*where)
        if obj is None or obj.metadata.uid != uid:
            return False
        return obj.metadata.deletionTimestamp is None


def _number(revision: str | None) -> int:
    return int(revision) if revision and revision.isdecimal() else 0
