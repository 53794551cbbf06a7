"""The Endpoints controller.

In:   Services with a selector, the pods they select, their Endpoints.
Out:  Endpoints written, and deleted with their Service.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Endpoints, Pod, Service
from kybern.client.metadata import Partial
from kybern.controllers.endpoints.plan import MANAGED_BY, MANAGER, plan
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.controllers.runtime.selections import Selections

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(10.0)


class EndpointsController:
    """Keeps the Endpoints of Services."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._recorder = ctx.recorder
        self._services = ctx.informers.of(Service)
        self._pods = ctx.informers.of(Pod)
        self._endpoints = ctx.informers.of(Endpoints)
        self._selections = Selections()
        self._expected: Expectations[Key] = Expectations(self._endpoints)
        self._loop: Loop[Key] = Loop(
            "endpoints",
            self.reconcile,
            after=(self._services, self._pods, self._endpoints),
            workers=ctx.config.workers,
        )
        self._services.on(add=self._service_seen, delete=self._service_gone)
        self._services.on(update=lambda _, service: self._service_seen(service))
        self._pods.on(add=self._pod_seen, update=self._pod_changed, delete=self._pod_gone)
        self._endpoints.on_change(lambda one: self._loop.add(key_of(one)))

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Write the Endpoints of one Service."""
        if not self._expected.satisfied(key):
            return CAUGHT_UP
        service = self._services.get(*key)
        existing = self._endpoints.get(*key)
        if service is None:
            await self._remove(key, existing)
            return DONE
        if service.spec.type == "ExternalName" or not service.spec.selector:
            return DONE
        if service.metadata.deletionTimestamp is not None:
            return DONE
        members = (self._pods.get(*pod) for pod in self._selections.pods_of(key))
        pods = [pod for pod in members if pod is not None]
        wanted = plan(service, pods, existing)
        if wanted is not None:
            await self._write(key, service, wanted, existing)
        self._loop.looked(key, len(pods))
        return DONE

    async def _write(
        self, key: Key, service: Service, wanted: Endpoints, existing: Endpoints | None
    ) -> None:
        try:
            if existing is None:
                self._expected.wrote(key, await self._client.create(wanted, into=Partial))
            else:
                self._expected.wrote(key, await self._client.update(wanted, into=Partial))
        except errors.Conflict:
            raise
        except errors.ApiError as error:
            if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes):
                return
            verb = "create" if existing is None else "update"
            message = f"Failed to {verb} endpoint {key}: {error.message}"
            reason = f"FailedTo{verb.title()}Endpoint"
            self._recorder.event(service, "Warning", reason, message)
            raise

    async def _remove(self, key: Key, existing: Endpoints | None) -> None:
        """Delete what belonged to a Service that is gone; Endpoints of others are theirs."""
        if existing is None or (existing.metadata.labels or {}).get(MANAGED_BY) != MANAGER:
            return
        try:
            await self._client.delete(Endpoints, key.name, key.namespace, uid=existing.metadata.uid)
        except errors.NotFound:
            return
        self._expected.deleted(key, existing)

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
        if _facts(old) != _facts(new):
            self._add_all(self._selections.services_of(key_of(new)))

    def _pod_gone(self, pod: Pod) -> None:
        self._add_all(self._selections.drop_pod(key_of(pod)))

    def _add_all(self, keys: set[Key] | tuple[Key, ...]) -> None:
        for key in keys:
            self._loop.add(key)


def _facts(pod: Pod) -> tuple[Any, ...]:
    """Everything about a pod that an address is made of."""
    addresses = tuple(one.ip for one in pod.status.podIPs or ())
    state = (ask.is_ready(pod), ask.is_terminal(pod), ask.is_terminating(pod))
    spec = pod.spec
    return (pod.status.podIP, addresses, state, spec.nodeName, spec.hostname, spec.subdomain)
