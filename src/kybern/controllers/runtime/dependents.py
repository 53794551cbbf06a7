"""From what happened to a dependent to who has to look.

In:   changes of pods, ReplicaSets, revisions.
Out:  keys of the owners, and of those who would adopt an orphan.
By:   controllers whose objects own others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kybern.controllers.runtime.ownership import controller_of
from kybern.controllers.runtime.reconcile import Key, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.selectors import Selector
    from kybern.client.informer import Informer

T = TypeVar("T")


class Dependents(Generic[T]):
    """Tells a queue of owners about their dependents."""

    def __init__(
        self, owners: Informer[T], add: Callable[[Key], None], selector: Callable[[T], Selector]
    ) -> None:
        """Take where owners are found, where their keys go, and what an owner selects."""
        self._owners = owners
        self._kind = owners.kind.kind
        self._add = add
        self._selector = selector

    def follow(self, dependents: Informer[Any]) -> None:
        """Look at everything that happens to these."""
        dependents.on(add=self.seen, update=self.changed, delete=self.seen)

    def seen(self, obj: Any) -> None:
        """An object came or went."""
        if controller_of(obj) is not None:
            self._add_owner(obj)
        elif obj.metadata.deletionTimestamp is None:
            self._add_selecting(obj)

    def changed(self, old: Any, new: Any) -> None:
        """An object changed: its owner has to know, or the one it had, or those it may get."""
        before, after = controller_of(old), controller_of(new)
        if before is not None and (after is None or after.uid != before.uid):
            self._add_owner(old)
        if after is not None:
            self._add_owner(new)
        elif before is not None or old.metadata.labels != new.metadata.labels:
            self._add_selecting(new)

    def owner(self, obj: Any) -> T | None:
        """Return the owner of an object, if it is of this kind and still there."""
        reference = controller_of(obj)
        if reference is None or reference.kind != self._kind:
            return None
        owner: Any = self._owners.get(obj.metadata.namespace or "", reference.name)
        return owner if owner is not None and owner.metadata.uid == reference.uid else None

    def _add_owner(self, obj: Any) -> None:
        owner = self.owner(obj)
        if owner is not None:
            self._add(key_of(owner))

    def _add_selecting(self, obj: Any) -> None:
        for owner in self._owners.list(obj.metadata.namespace or ""):
            selector = self._selector(owner)
            if not selector.everything and selector.matches(obj.metadata.labels):
                self._add(key_of(owner))
