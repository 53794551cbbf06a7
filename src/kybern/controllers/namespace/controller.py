"""The namespace controller: carries the deletion of namespaces through.

In:   Namespaces; the end of pods in those that are going away.
Out:  everything in a deleted namespace is deleted, then its `kubernetes` finalizer removed.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.api.core.v1 import Namespace, Pod
from kybern.client.discovery import discover
from kybern.client.metadata import Partial
from kybern.controllers.namespace.plan import (
    FINALIZER,
    TERMINATING,
    Findings,
    conditions,
    order,
    pause,
    remains,
)
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.api.scheme import Kind
    from kybern.controllers.runtime.host import Context


class NamespaceController:
    """Empties deleted namespaces."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._delay = ctx.config.namespace_deletion_delay
        self._namespaces = ctx.informers.of(Namespace)
        self._pods = ctx.informers.of(Pod)
        self._leaving: dict[str, int] = {}  # and how often each was looked at
        self._loop: Loop[Key] = Loop(
            "namespace", self.reconcile, after=(self._namespaces,), workers=ctx.config.workers
        )
        self._namespaces.on_change(self._changed)
        self._pods.on(delete=self._pod_gone)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return {"leaving": len(self._leaving), **self._loop.statistics()}

    def _changed(self, namespace: Namespace) -> None:
        if namespace.metadata.deletionTimestamp is None:
            return
        key = key_of(namespace)
        if key.name not in self._leaving:
            self._leaving[key.name] = 0
            self._loop.queue.add_after(key, self._delay)

    def _pod_gone(self, pod: Pod) -> None:
        name = pod.metadata.namespace or ""
        if name in self._leaving and not self._pods.list(name):
            self._loop.add(Key("", name))

    async def reconcile(self, key: Key) -> Outcome:
        """Take one namespace as far towards its end as it will go now."""
        try:
            namespace = await self._client.get(Namespace, key.name)
        except errors.NotFound:
            self._leaving.pop(key.name, None)
            return DONE
        if namespace.metadata.deletionTimestamp is None:
            self._leaving.pop(key.name, None)
            return DONE
        if namespace.status.phase != TERMINATING:
            namespace.status.phase = TERMINATING
            namespace = await self._client.update_status(namespace)
        if FINALIZER not in (namespace.spec.finalizers or ()):
            self._leaving.pop(key.name, None)
            return DONE
        found = await self._empty(key.name)
        if found.done:
            await self._let_go(namespace)
            self._leaving.pop(key.name, None)
            return DONE
        await self._report(namespace, found)
        if found.errors or found.undiscovered:
            raise errors.ServiceUnavailable("; ".join(found.errors) or "discovery is incomplete")
        looks = self._leaving.get(key.name, 0)
        self._leaving[key.name] = looks + 1
        return After(pause(found, looks))

    async def _empty(self, namespace: str) -> Findings:
        """Delete pods; when the last one is gone, everything else."""
        served = await discover(self._client)
        found = Findings(undiscovered=served.failed)
        first, others = order(served.kinds)
        for kinds in (first, others):
            for kind in kinds:
                await self._empty_of(namespace, kind, found)
            if found.remaining or found.errors:
                break
        return found

    async def _empty_of(self, namespace: str, kind: Kind, found: Findings) -> None:
        try:
            there = await self._listed(namespace, kind)
            if there:
                await self._delete(namespace, kind, there)
                there = await self._listed(namespace, kind)
        except (errors.MethodNotAllowed, errors.NotFound):
            return  # the kind went away, or cannot be listed after all
        except errors.ApiError as error:
            found.errors.append(error.message)
            return
        if rest := remains(kind, there):
            found.remaining.append(rest)

    async def _listed(self, namespace: str, kind: Kind) -> list[Partial]:
        return (await self._client.list(kind, namespace, into=Partial))[0]

    async def _delete(self, namespace: str, kind: Kind, there: list[Partial]) -> None:
        if "deletecollection" in kind.verbs:
            await self._client.delete_collection(kind, namespace, propagation="Background")
            return
        for obj in there:
            try:
                await self._client.delete(
                    kind, obj.metadata.name, namespace, propagation="Background"
                )
            except errors.NotFound:
                continue

    async def _report(self, namespace: Namespace, found: Findings) -> None:
        wanted = conditions(namespace, found, self._clock.now())
        if not codec.equal(namespace.status.conditions, wanted):
            namespace.status.conditions = wanted
            await self._client.update_status(namespace)

    async def _let_go(self, namespace: Namespace) -> None:
        finalizers = [name for name in namespace.spec.finalizers or () if name != FINALIZER]
        namespace.spec.finalizers = finalizers or None
        try:
            await self._client.update(namespace, subresource="finalize")
        except errors.NotFound:
            return
