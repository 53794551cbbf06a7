"""The garbage collector.

In:   the metadata of every object of every kind.
Out:  objects whose owners are all gone are deleted; owners that wait for their dependents, or want
      them released, are let go when that is done.
By:   controllers.all.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.client.metadata import Partial
from kybern.controllers.garbagecollector.graph import (
    FOREGROUND,
    ORPHAN,
    Graph,
    Node,
    Verb,
    Work,
    blocking,
)
from kybern.controllers.garbagecollector.monitors import Monitors
from kybern.controllers.garbagecollector.plan import OwnerState, judge, unblocked, without
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Outcome
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.scheme import Kind
    from kybern.client.metadata import Owner
    from kybern.controllers.runtime.host import Context

log = logs.get("controllers.garbagecollector")

WORKERS = 10
REMEMBERED = 2000  # uids known to be gone; a uid never comes back


class GarbageCollector:
    """Deletes what nobody owns any more."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._graph = Graph()
        self._absent: OrderedDict[str, None] = OrderedDict()
        self._unresolved: dict[Work, None] = {}
        self._monitors = Monitors(ctx.client, ctx.informers, self._seen, self._gone)
        self._loop: Loop[Work] = Loop("garbagecollector", self.reconcile, workers=WORKERS)

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._monitors.run(self._refreshed), name="gc monitors")
            group.create_task(self._loop.run(), name="gc loop")

    def statistics(self) -> dict[str, int]:
        """Return the size of the graph and the loop's counters."""
        counters = {"objects": len(self._graph), "unresolved": len(self._unresolved)}
        return {**counters, **self._monitors.statistics(), **self._loop.statistics()}

    # --- from events to work ------------------------------------------------------------------

    def _seen(self, kind: Kind, obj: Any) -> None:
        self._add(self._graph.observe(kind, obj.metadata))

    def _gone(self, kind: Kind, obj: Any) -> None:
        del kind
        self._is_gone(obj.metadata.uid or "")

    def _is_gone(self, uid: str) -> None:
        self._absent[uid] = None
        if len(self._absent) > REMEMBERED:
            self._absent.popitem(last=False)
        self._add(self._graph.vanish(uid))

    def _refreshed(self, gone: list[Kind]) -> None:
        for kind in gone:
            for node in list(self._graph.of_kind(kind)):
                self._is_gone(node.uid)
        unresolved, self._unresolved = self._unresolved, {}
        self._add(unresolved)

    def _add(self, work: Iterable[Work]) -> None:
        for item in work:
            self._loop.add(item)

    # --- working -------------------------------------------------------------------------------

    async def reconcile(self, work: Work) -> Outcome:
        """Look at one object."""
        if not self._monitors.synced:
            # What is not in the graph yet might be a dependent.
            await self._monitors.wait_synced()
        node = self._graph.get(work.uid)
        if node is None:
            return DONE
        if not node.observed:
            await self._verify(node)
        elif work.verb is Verb.ORPHAN:
            await self._release_dependents(node)
        elif work.verb is Verb.CONSIDER:
            await self._consider(node)
        return DONE

    async def _verify(self, node: Node) -> None:
        """Find out whether an owner that was never seen exists."""
        reference = node.reference
        if reference is None or node.uid in self._absent:
            self._add(self._graph.vanish(node.uid))
            return
        kind = self._monitors.resolve(reference.apiVersion, reference.kind)
        if kind is None:
            self._unresolved[Work(Verb.VERIFY, node.uid)] = None
            return
        if await self._get(kind, node.namespace, node.name, node.uid) is None:
            self._is_gone(node.uid)

    async def _consider(self, node: Node) -> None:
        """Delete an object, drop references of it, or let it go, as its owners call for."""
        if node.deleting and not node.foreground:
            return  # on its way already
        assert node.kind is not None
        latest = await self._get(node.kind, node.namespace, node.name, node.uid)
        if latest is None:
            self._is_gone(node.uid)
            return
        if node.foreground:
            await self._continue_foreground(node, latest)
            return
        owners = await self._states(node, latest)
        if owners is None:
            return
        dependents = self._graph.dependents(node)
        verdict = judge(
            latest.metadata,
            owners,
            has_dependents=bool(dependents),
            waiting_dependents=any(dependent.foreground for dependent in dependents),
        )
        if verdict.drop:
            references = without(latest.metadata.ownerReferences or (), verdict.drop)
            await self._patch(node.kind, latest, {"ownerReferences": references})
        if verdict.unblock:
            references = unblocked(latest.metadata.ownerReferences or ())
            latest = await self._patch(node.kind, latest, {"ownerReferences": references})
        if verdict.delete is not None:
            await self._delete(node.kind, latest, verdict.delete.value)

    async def _continue_foreground(self, node: Node, latest: Partial) -> None:
        """Let an object go whose last blocking dependent is gone; else see that those go."""
        waits_for = blocking(self._graph.dependents(node), node.uid)
        for dependent in waits_for:
            if not dependent.foreground:
                self._loop.add(Work(Verb.CONSIDER, dependent.uid))
        if not waits_for:
            await self._remove_finalizer(node, latest, FOREGROUND)

    async def _release_dependents(self, node: Node) -> None:
        """Take an owner out of its dependents, then let it go."""
        assert node.kind is not None
        latest = await self._get(node.kind, node.namespace, node.name, node.uid)
        if latest is None:
            self._is_gone(node.uid)
            return
        if ORPHAN not in (latest.metadata.finalizers or ()):
            return
        for dependent in self._graph.dependents(node):
            if dependent.kind is not None:
                await self._release(dependent, dependent.kind, node.uid)
        await self._remove_finalizer(node, latest, ORPHAN)

    async def _release(self, dependent: Node, kind: Kind, owner: str) -> None:
        latest = await self._get(kind, dependent.namespace, dependent.name, dependent.uid)
        if latest is None:
            return
        references = latest.metadata.ownerReferences or []
        if any(reference.uid == owner for reference in references):
            await self._patch(kind, latest, {"ownerReferences": without(references, {owner})})

    # --- looking up ----------------------------------------------------------------------------

    async def _states(self, node: Node, latest: Partial) -> dict[str, OwnerState] | None:
        """Return the state of every owner, or None when one of them cannot be found out."""
        states: dict[str, OwnerState] = {}
        for reference in latest.metadata.ownerReferences or ():
            state = await self._state(node, reference)
            if state is None:
                self._unresolved[Work(Verb.CONSIDER, node.uid)] = None
                return None
            states[reference.uid] = state
        return states

    async def _state(self, node: Node, reference: Owner) -> OwnerState | None:
        if reference.uid in self._absent:
            return OwnerState.ABSENT
        kind = self._monitors.resolve(reference.apiVersion, reference.kind)
        if kind is None:
            return None
        if kind.namespaced and not node.namespace:
            # A cluster-wide object cannot be owned by one in a namespace: nobody can say which.
            log.warning("owner cannot be found", object=node.name, owner=reference.name)
            return OwnerState.SOLID
        owner = await self._get(kind, node.namespace, reference.name, reference.uid)
        if owner is None:
            self._is_gone(reference.uid)
            return OwnerState.ABSENT
        waiting = FOREGROUND in (owner.metadata.finalizers or ())
        if owner.metadata.deletionTimestamp is not None and waiting:
            return OwnerState.WAITING
        return OwnerState.SOLID

    async def _get(self, kind: Kind, namespace: str, name: str, uid: str) -> Partial | None:
        """Return an object from the server itself, if it is there and this very one."""
        try:
            found = await self._client.get(
                kind, name, namespace if kind.namespaced else "", into=Partial
            )
        except errors.NotFound:
            return None
        return found if found.metadata.uid == uid else None

    # --- acting --------------------------------------------------------------------------------

    async def _delete(self, kind: Kind, latest: Partial, policy: str) -> None:
        metadata = latest.metadata
        try:
            await self._client.delete(
                kind,
                metadata.name,
                metadata.namespace,
                uid=metadata.uid,
                resource_version=metadata.resourceVersion,
                propagation=policy,
            )
        except errors.NotFound:
            self._is_gone(metadata.uid)

    async def _patch(self, kind: Kind, latest: Partial, change: dict[str, Any]) -> Partial:
        metadata = latest.metadata
        # With the version: a list is replaced as a whole, so it must be the list that was seen.
        body = {
            "metadata": {
                "uid": metadata.uid,
                "resourceVersion": metadata.resourceVersion,
                **change,
            }
        }
        return await self._client.patch(kind, metadata.name, metadata.namespace, body, into=Partial)

    async def _remove_finalizer(self, node: Node, latest: Partial, finalizer: str) -> None:
        finalizers = latest.metadata.finalizers or []
        if finalizer not in finalizers or node.kind is None:
            return
        rest = [name for name in finalizers if name != finalizer]
        try:
            await self._patch(node.kind, latest, {"finalizers": rest})
        except errors.NotFound:
            return
