"""Writing ControllerRevisions.

In:   a workload whose template may be new.
Out:  revisions created, numbered and deleted.
By:   statefulset.controller, daemonset.controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.apps.v1 import ControllerRevision
from kybern.controllers.history.plan import History, arrange, holds, make
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.ownership import INDEXERS, claim

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.selectors import Selector
    from kybern.controllers.runtime.host import Context
    from kybern.controllers.runtime.reconcile import Key


class NameTaken(Exception):
    """A revision of another template has the name of the new one: count a collision."""


class Keeper:
    """The revisions of one kind of workload.

    Attributes:
        informer: all revisions.
    """

    def __init__(self, ctx: Context, label: str) -> None:
        """Take where revisions are, and the label that carries their hashes."""
        self.informer = ctx.informers.of(ControllerRevision, indexers=INDEXERS)
        self._client = ctx.client
        self._label = label
        self._expected: Expectations[Key] = Expectations(self.informer)

    def forget(self, key: Key) -> None:
        """Expect nothing of a workload that is gone."""
        self._expected.forget(key)

    def satisfied(self, key: Key) -> bool:
        """Whether the cache shows what was written for a workload."""
        return self._expected.satisfied(key)

    async def establish(self, key: Key, owner: Any, selector: Selector) -> History:
        """Return the history of a workload; its `current` is there and has the right number.

        Raises:
            NameTaken: by a revision with another template.
        """
        revisions, written = await claim(self._client, owner, selector, self.informer)
        for one in written:
            self._expected.wrote(key, one)
        found = arrange(owner.spec.template, revisions)
        current = found.current
        if current is None:
            current = await self._create(owner, found.number)
        elif current.revision != found.number:
            current = await self._renumber(current, found.number)
        if current is not found.current:
            self._expected.wrote(key, current)
        return History(current, found.number, found.duplicates, found.old)

    async def delete(self, key: Key, revisions: Iterable[ControllerRevision]) -> None:
        """Delete revisions."""
        for one in revisions:
            name, namespace = one.metadata.name or "", one.metadata.namespace or ""
            try:
                await self._client.delete(ControllerRevision, name, namespace, uid=one.metadata.uid)
            except errors.NotFound:
                continue
            self._expected.deleted(key, one)

    async def _create(self, owner: Any, number: int) -> ControllerRevision:
        template, collisions = owner.spec.template, owner.status.collisionCount or 0
        new = make(owner, template, number, collisions, self._label)
        try:
            return await self._client.create(new)
        except errors.AlreadyExists:
            name, namespace = new.metadata.name or "", new.metadata.namespace or ""
            existing = await self._client.get(ControllerRevision, name, namespace)
            if holds(existing, template):
                return existing
            raise NameTaken(name) from None

    async def _renumber(self, revision: ControllerRevision, number: int) -> ControllerRevision:
        metadata = revision.metadata
        patch = {"metadata": {"uid": metadata.uid}, "revision": number}
        return await self._client.patch(
            ControllerRevision, metadata.name or "", metadata.namespace or "", patch
        )
