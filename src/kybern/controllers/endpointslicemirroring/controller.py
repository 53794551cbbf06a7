"""The EndpointSlice mirroring controller.

In:   Endpoints, Services, the slices mirrored so far.
Out:  EndpointSlices written and deleted.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core.v1 import Endpoints, Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.controllers.endpointslicemirroring.plan import (
    MANAGED_BY,
    MANAGER,
    SERVICE_NAME,
    Plan,
    mirrors,
    plan,
)
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(10.0)
BY_MIRRORED = "mirrored"


class EndpointSliceMirroringController:
    """Keeps slices of Endpoints that no selector made."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._most = ctx.config.max_endpoints_per_slice
        self._endpoints = ctx.informers.of(Endpoints)
        self._services = ctx.informers.of(Service)
        self._slices = ctx.informers.of(EndpointSlice, indexers={BY_MIRRORED: _mirrored_from})
        self._expected: Expectations[Key] = Expectations(self._slices)
        self._loop: Loop[Key] = Loop(
            "endpointslicemirroring",
            self.reconcile,
            after=(self._endpoints, self._services, self._slices),
        )
        self._endpoints.on_change(lambda one: self._loop.add(key_of(one)))
        self._services.on_change(lambda one: self._loop.add(key_of(one)))
        self._slices.on_change(self._slice_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Write the slices of one Endpoints object."""
        endpoints = self._endpoints.get(*key)
        existing = self._slices.by_index(BY_MIRRORED, str(key))
        if endpoints is None and not existing:
            self._expected.forget(key)
            return DONE
        if not self._expected.satisfied(key):
            return CAUGHT_UP
        steps = Plan(delete=existing)
        if endpoints is not None and mirrors(endpoints, self._services.get(*key)):
            steps = plan(endpoints, existing, self._most)
        await self._write(key, steps)
        return DONE

    async def _write(self, key: Key, steps: Plan) -> None:
        for one in steps.create:
            try:
                self._expected.wrote(key, await self._client.create(one))
            except errors.ApiError as error:
                if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes):
                    return
                raise
        for one in steps.update:
            self._expected.wrote(key, await self._client.update(one))
        for one in steps.delete:
            name, namespace = one.metadata.name or "", one.metadata.namespace or ""
            try:
                await self._client.delete(EndpointSlice, name, namespace, uid=one.metadata.uid)
            except errors.NotFound:
                continue
            self._expected.deleted(key, one)

    def _slice_changed(self, one: EndpointSlice) -> None:
        for _ in _mirrored_from(one):
            name = (one.metadata.labels or {})[SERVICE_NAME]
            self._loop.add(Key(one.metadata.namespace or "", name))


def _mirrored_from(one: EndpointSlice) -> list[str]:
    labels = one.metadata.labels or {}
    if labels.get(MANAGED_BY) != MANAGER or not labels.get(SERVICE_NAME):
        return []
    return [str(Key(one.metadata.namespace or "", labels[SERVICE_NAME]))]
