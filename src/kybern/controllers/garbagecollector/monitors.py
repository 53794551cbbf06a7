"""Following every kind there is.

In:   discovery, asked again whenever a custom resource or an aggregated API comes or goes.
Out:  calls for each object that is seen, changes or goes away.
By:   garbagecollector.controller.

Kinds that somebody in this process follows anyway are not followed twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.scheme import SCHEME
from kybern.client.discovery import Served, discover
from kybern.client.metadata import Partial
from kybern.client.transport import Unreachable
from kybern.lib import logs
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.scheme import Kind
    from kybern.client.informer import Informer, Informers, Registration
    from kybern.client.rest import Client

log = logs.get("controllers.garbagecollector")

FOLLOWED = frozenset(("delete", "list", "watch"))
IGNORED = frozenset((("", "events"), ("events.k8s.io", "events")))
DEFINITIONS = (
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "v1", "apiservices"),
)
RETRY = Backoff(initial=0.5, factor=2.0, cap=30.0)
PATIENCE = 30.0  # seconds to wait for kinds that have not been seen
SETTLE = 0.2  # seconds; definitions change several times while they are established

Resource = tuple[str, str]


class Monitor:
    """One kind that is followed."""

    __slots__ = ("informer", "kind", "own", "registration")

    def __init__(
        self, kind: Kind, informer: Informer[Any], registration: Registration, *, own: bool
    ) -> None:
        self.kind = kind
        self.informer = informer
        self.registration = registration
        self.own = own


def _synced(monitor: Monitor) -> bool:
    return monitor.informer.synced


class Monitors:
    """The kinds that are followed, kept up to date with discovery."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        seen: Callable[[Kind, Any], None],
        gone: Callable[[Kind, Any], None],
    ) -> None:
        self._client = client
        self._informers = informers
        self._seen = seen
        self._gone = gone
        self._monitors: dict[Resource, Monitor] = {}
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._changed = asyncio.Event()
        self._definitions = [
            informers.of(kind, into=Partial)
            for each in DEFINITIONS
            if (kind := SCHEME.by_resource(*each)) is not None
        ]
        for informer in self._definitions:
            informer.on_change(lambda _: self._changed.set())

    def resolve(self, api_version: str, kind: str) -> Kind | None:
        """Return the resource of a reference, in whatever version the server prefers."""
        group = api_version.rpartition("/")[0]
        return self._kinds.get((group, kind))

    @property
    def synced(self) -> bool:
        """Whether everything that is followed has been seen once."""
        return bool(self._monitors) and all(_synced(each) for each in self._monitors.values())

    async def wait_synced(self) -> None:
        """Wait until everything that is followed has been seen once; not for ever.

        A kind whose server does not answer must not keep all others from being collected.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                for monitor in list(self._monitors.values()):
                    await monitor.informer.wait_synced()
        except TimeoutError:
            waiting = [m.kind.group_resource for m in self._monitors.values() if not _synced(m)]
            log.warning("collecting without having seen all", missing=",".join(waiting))

    def statistics(self) -> dict[str, int]:
        """Return how many kinds are followed, and how many of them only here."""
        own = sum(monitor.own for monitor in self._monitors.values())
        return {"kinds": len(self._monitors), "own": own}

    async def run(self, refreshed: Callable[[list[Kind]], None]) -> None:
        """Follow discovery for ever; `refreshed` is told which kinds are gone."""
        for informer in self._definitions:
            await informer.wait_synced()
        failures = 0
        while True:
            self._changed.clear()
            served = await self._discover()
            if served is None:
                await self._client.clock.sleep(RETRY.delay(failures))
                failures += 1
                continue
            refreshed(self._follow(served))
            if served.failed:
                # An aggregated API that does not answer now may do so without telling anybody.
                failures += 1
                await self._wait_changed(RETRY.delay(failures))
            else:
                failures = 0
                await self._changed.wait()
            await self._client.clock.sleep(SETTLE)

    async def _wait_changed(self, longest: float) -> None:
        try:
            async with asyncio.timeout(longest):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _discover(self) -> Served | None:
        try:
            return await discover(self._client)
        except (errors.ApiError, Unreachable) as error:
            log.warning("discovery failed", reason=str(error))
            return None

    def _follow(self, served: Served) -> list[Kind]:
        self._kinds.update({(kind.group, kind.kind): kind for kind in served.kinds})
        wanted = {
            (kind.group, kind.plural): kind
            for kind in served.kinds
            if {*kind.verbs} >= FOLLOWED and (kind.group, kind.plural) not in IGNORED
        }
        for resource, kind in wanted.items():
            current = self._monitors.get(resource)
            if current is not None and current.kind.version != kind.version:
                self._stop(resource)
                current = None
            if current is None:
                self._monitors[resource] = self._start(kind)
        silent = {name.partition("/")[0] for name, _ in served.failed}
        gone = [
            monitor.kind
            for resource, monitor in self._monitors.items()
            if resource not in wanted and resource[0] not in silent
        ]
        for kind in gone:
            self._stop((kind.group, kind.plural))
            self._kinds.pop((kind.group, kind.kind), None)
        return gone

    def _start(self, kind: Kind) -> Monitor:
        shared = self._informers.shared(kind)
        informer: Informer[Any] = shared or self._informers.of(kind, into=Partial)
        registration = informer.on(
            add=lambda obj: self._seen(kind, obj),
            update=lambda _, obj: self._seen(kind, obj),
            delete=lambda obj: self._gone(kind, obj),
        )
        return Monitor(kind, informer, registration, own=shared is None)

    def _stop(self, resource: Resource) -> None:
        monitor = self._monitors.pop(resource)
        monitor.registration.remove()
        if monitor.own:
            self._informers.drop(monitor.informer)
