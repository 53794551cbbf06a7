"""Which group versions other servers answer for.

In:   APIServices, and the Services and EndpointSlices that they lead to.
Out:  `services.aggregated`: a Backend for each such group version; the condition Available.
By:   app. Every API server asks for itself, for it may reach what another does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.apiregistration.v1 import APIService, APIServiceCondition
from kybern.apiserver.addresses import SERVICE_NAME, SERVICES, SLICES
from kybern.apiserver.aggregator.backend import FAILED, Backend, Verdict
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.clock import rfc3339
from kybern.lib.tasks import Tasks
from kybern.store.interface import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.apiserver.bootstrap.loopback import Loopback
    from kybern.apiserver.context import Services

log = logs.get("apiserver.aggregator")

PREFIX = "/registry/apiregistration.k8s.io/apiservices/"
AGAIN = 30.0  # seconds after which a server is asked again though nothing has changed
RETRY = Backoff(initial=0.1, factor=2.0, cap=AGAIN)
ATTEMPTS = 3


class Aggregator:
    """Follows the APIServices that name a Service."""

    def __init__(self, services: Services, loopback: Loopback, changed: Callable[[], None]) -> None:
        """Know of none yet.

        Args:
            services: where the backends are put.
            loopback: writes conditions.
            changed: called when other things are served than before.
        """
        self._services = services
        self._loopback = loopback
        self._changed = changed
        self._keepers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._backends: dict[tuple[str, str], Backend] = {}
        services.aggregated = self._backends

    def load(self) -> None:
        """Read what there is, so that the first request finds it."""
        for entry in self._services.store.list(PREFIX).entries:
            obj = codec.decode(entry.held, APIService)
            if obj.spec.service is not None:
                self._set(obj)

    async def run(self) -> None:
        """Keep up until cancelled."""
        listing, watcher = self._services.store.snapshot_and_watch(PREFIX)
        try:
            async with Tasks("aggregator", clock=self._services.clock) as tasks:
                there = [codec.decode(entry.held, APIService) for entry in listing.entries]
                await self._forget_but({_key(obj) for obj in there})
                for obj in there:
                    await self._follow(tasks, obj)
                async for batch in watcher:
                    for event in batch:
                        obj = codec.decode(event.entry.held, APIService)
                        if event.type == "DELETED":
                            await self._remove(_key(obj))
                        else:
                            await self._follow(tasks, obj)
        finally:
            watcher.close()
            for backend in self._backends.values():
                await backend.close()

    async def _follow(self, tasks: Tasks, obj: APIService) -> None:
        key = _key(obj)
        if obj.spec.service is None:
            await self._remove(key)
            return
        earlier = self._backends.get(key)
        backend = self._set(obj)
        if key in self._keepers and backend is not earlier:
            self._keepers.pop(key).cancel()
        if key not in self._keepers:
            keeper = tasks.spawn_forever(lambda: self._keep(backend), f"aggregator {backend.name}")
            self._keepers[key] = keeper
        if earlier is not None and backend is not earlier:
            await earlier.close()

    def _set(self, obj: APIService) -> Backend:
        """Have a backend as its APIService says; one that leads elsewhere is another one."""
        key = _key(obj)
        known = self._backends.get(key)
        if known is None or not known.is_for(obj.spec):
            known = self._backends[key] = Backend(self._services, obj)
            self._changed()
        elif known.spec != obj.spec:
            known.spec = obj.spec
            self._changed()
        return known

    async def _forget_but(self, keys: set[tuple[str, str]]) -> None:
        for key in set(self._backends) - keys:
            await self._remove(key)

    async def _remove(self, key: tuple[str, str]) -> None:
        keeper = self._keepers.pop(key, None)
        if keeper is not None:
            keeper.cancel()
        backend = self._backends.pop(key, None)
        if backend is not None:
            await backend.close()
            self._changed()

    async def _keep(self, backend: Backend) -> None:
        """Ask a server whenever something about it changes, and every now and then."""
        moved, failures = asyncio.Event(), 0
        async with asyncio.TaskGroup() as group:
            for prefix in (f"{SERVICES}{backend.namespace}/", f"{SLICES}{backend.namespace}/"):
                group.create_task(self._notice(prefix, backend, moved), name=f"notice {prefix}")
            while True:
                moved.clear()
                before = (backend.resources, backend.v3_url)
                verdict = await backend.probe()
                await self._say(backend, verdict)
                if before != (backend.resources, backend.v3_url):
                    self._changed()
                failures = failures + 1 if verdict.reason == FAILED else 0
                wait = RETRY.delay(failures - 1) if failures else AGAIN
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await moved.wait()

    async def _notice(self, prefix: str, backend: Backend, moved: asyncio.Event) -> None:
        _, watcher = self._services.store.snapshot_and_watch(prefix)
        try:
            async for batch in watcher:
                if any(_concerns(event.entry, backend) for event in batch):
                    moved.set()
        finally:
            watcher.close()

    async def _say(self, backend: Backend, verdict: Verdict) -> None:
        """Write the condition, unless it says so already."""
        backend.available = verdict.available
        for _ in range(ATTEMPTS):
            obj = self._loopback.get(APIService, backend.name)
            if obj is None or not _mark(obj, verdict, self._services.clock.now()):
                return
            try:
                await self._loopback.update(obj, subresource="status")
            except errors.Conflict:
                continue
            except (errors.ApiError, StoreError) as error:
                log.warning("a condition was not written", name=backend.name, why=str(error))
            else:
                log.info("changed", name=backend.name, reason=verdict.reason, why=verdict.message)
            return


def _key(obj: APIService) -> tuple[str, str]:
    return obj.spec.group or "", obj.spec.version or ""


def _concerns(entry: Any, backend: Backend) -> bool:
    """Say whether a Service or EndpointSlice is the backend's."""
    if entry.key.startswith(SERVICES):
        return bool(entry.key.endswith(f"/{backend.service}"))
    labels = entry.attributes.metadata.labels or {}
    return bool(labels.get(SERVICE_NAME) == backend.service)


def _mark(obj: APIService, verdict: Verdict, now: float) -> bool:
    """Set the condition Available; return whether that changed anything."""
    conditions = obj.status.conditions or []
    old = next((each for each in conditions if each.type == "Available"), None)
    status = "True" if verdict.available else "False"
    if old is not None:
        if (old.status, old.reason, old.message) == (status, verdict.reason, verdict.message):
            return False
        since = old.lastTransitionTime if old.status == status else rfc3339(now)
    else:
        since = rfc3339(now)
    made = APIServiceCondition(
        type="Available", status=status, lastTransitionTime=since, reason=verdict.reason,
        message=verdict.message,
    )  # fmt: skip
    obj.status.conditions = [*(c for c in conditions if c.type != "Available"), made]
    return True
