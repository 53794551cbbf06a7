"""The EndpointSlice controller.

In:   Services with a selector, the pods they select, the zones of nodes, their slices.
Out:  EndpointSlices written; slices that somebody else changed or deleted put right.
By:   controllers.all.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core.v1 import Node, Pod, Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.client.metadata import Partial
from kybern.controllers.endpointslice.endpoints import facts
from kybern.controllers.endpointslice.plan import MANAGED_BY, MANAGER, SERVICE_NAME, plan
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.controllers.runtime.selections import Selections

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

ZONE = "topology.kubernetes.io/zone"
CAUGHT_UP = After(10.0)
BY_SERVICE = "service"
BY_NODE = "node"


class EndpointSliceController:
    """Keeps the slices of Services."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._recorder = ctx.recorder
        self._most = ctx.config.max_endpoints_per_slice
        self._services = ctx.informers.of(Service)
        self._pods = ctx.informers.of(Pod, indexers={BY_NODE: _node_of})
        self._nodes = ctx.informers.of(Node)
        self._slices = ctx.informers.of(EndpointSlice, indexers={BY_SERVICE: _service_of})
        self._selections = Selections()
        self._expected: Expectations[Key] = Expectations(self._slices)
        self._loop: Loop[Key] = Loop(
            "endpointslice",
            self.reconcile,
            after=(self._services, self._pods, self._nodes, self._slices),
            workers=ctx.config.workers,
        )
        self._services.on(add=self._service_seen, delete=self._service_gone)
        self._services.on(update=lambda _, service: self._service_seen(service))
        self._pods.on(add=self._pod_seen, update=self._pod_changed, delete=self._pod_gone)
        self._nodes.on(add=self._node_moved, update=self._node_changed)
        self._slices.on_change(self._slice_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Write the slices of one Service."""
        service = self._services.get(*key)
        if service is None:
            self._expected.forget(key)  # the garbage collector takes the slices
            return DONE
        if service.spec.type == "ExternalName" or not service.spec.selector:
            return DONE
        if service.metadata.deletionTimestamp is not None:
            return DONE
        if not self._expected.satisfied(key):
            return CAUGHT_UP
        members = (self._pods.get(*pod) for pod in self._selections.pods_of(key))
        pods = [pod for pod in members if pod is not None]
        existing = [one for one in self._slices.by_index(BY_SERVICE, str(key)) if _is_ours(one)]
        steps = plan(service, pods, existing, self._zone_of, self._most)
        try:
            await self._write(key, steps.create, steps.update, steps.delete)
        except ExceptionGroup as group:
            self._tell(service, group)
            raise
        self._loop.looked(key, len(pods))
        return DONE

    async def _write(
        self,
        key: Key,
        create: list[EndpointSlice],
        update: list[EndpointSlice],
        delete: list[EndpointSlice],
    ) -> None:
        async with asyncio.TaskGroup() as group:
            for one in create:
                group.create_task(self._create(key, one))
            for one in update:
                group.create_task(self._update(key, one))
            for one in delete:
                group.create_task(self._delete(key, one))

    async def _create(self, key: Key, one: EndpointSlice) -> None:
        try:
            self._expected.wrote(key, await self._client.create(one, into=Partial))
        except errors.ApiError as error:
            if not any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes):
                raise

    async def _update(self, key: Key, one: EndpointSlice) -> None:
        self._expected.wrote(key, await self._client.update(one, into=Partial))

    async def _delete(self, key: Key, one: EndpointSlice) -> None:
        metadata = one.metadata
        name, namespace = metadata.name or "", metadata.namespace or ""
        try:
            await self._client.delete(EndpointSlice, name, namespace, uid=metadata.uid)
        except errors.NotFound:
            return
        self._expected.deleted(key, one)

    def _tell(self, service: Service, group: ExceptionGroup[Exception]) -> None:
        others = group.split((errors.Conflict, errors.NotFound))[1]
        if others is not None:
            message = (
                f"Error updating Endpoint Slices for Service "
                f"{service.metadata.namespace}/{service.metadata.name}: {others.exceptions[0]}"
            )
            self._recorder.event(service, "Warning", "FailedToUpdateEndpointSlices", message)

    def _zone_of(self, node: str) -> str | None:
        found = self._nodes.get("", node)
        return (found.metadata.labels or {}).get(ZONE) if found is not None else None

    # --- from events to keys -----------------------------------------------------------------

    def _service_seen(self, service: Service) -> None:
        self._selections.put_service(service, self._pods.list(service.metadata.namespace or ""))
        self._loop.hurry(key_of(service))

    def _service_gone(self, service: Service) -> None:
        self._selections.drop_service(key_of(service))
        self._loop.hurry(key_of(service))

    def _pod_seen(self, pod: Pod) -> None:
        self._selections.put_pod(pod)
        self._add_all(self._selections.services_of(key_of(pod)))

    def _pod_changed(self, old: Pod, new: Pod) -> None:
        if old.metadata.labels != new.metadata.labels:
            self._add_all(self._selections.put_pod(new))
        if facts(old) != facts(new):
            self._add_all(self._selections.services_of(key_of(new)))

    def _pod_gone(self, pod: Pod) -> None:
        self._add_all(self._selections.drop_pod(key_of(pod)))

    def _node_moved(self, node: Node) -> None:
        for pod in self._pods.by_index(BY_NODE, node.metadata.name or ""):
            self._add_all(self._selections.services_of(key_of(pod)))

    def _node_changed(self, old: Node, new: Node) -> None:
        if (old.metadata.labels or {}).get(ZONE) != (new.metadata.labels or {}).get(ZONE):
            self._node_moved(new)

    def _slice_changed(self, one: EndpointSlice) -> None:
        name = (one.metadata.labels or {}).get(SERVICE_NAME)
        if name and _is_ours(one):
            self._loop.add(Key(one.metadata.namespace or "", name))

    def _add_all(self, keys: set[Key] | tuple[Key, ...]) -> None:
        for key in keys:
            self._loop.add(key)


def _is_ours(one: EndpointSlice) -> bool:
    return (one.metadata.labels or {}).get(MANAGED_BY) == MANAGER


def _service_of(one: EndpointSlice) -> list[str]:
    name = (one.metadata.labels or {}).get(SERVICE_NAME)
    return [f"{one.metadata.namespace}/{name}"] if name else []


def _node_of(pod: Pod) -> list[str]:
    return [pod.spec.nodeName] if pod.spec.nodeName else []
