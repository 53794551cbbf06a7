"""The loop of the ingress: changes in, a proxy that does what they say.

In:   Ingresses, IngressClasses and, while there is an Ingress of ours, Services, EndpointSlices,
      Nodes and the Secrets that are named.
Out:  haproxy as they ask; the node's address in their status; events where something is wrong.
By:   the node (`cmd/node.py`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core.v1 import Node, ObjectReference, Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.api.networking.v1 import Ingress, IngressClass
from kybern.client.events import Recorder, reference
from kybern.client.transport import Unreachable
from kybern.cluster import prerequisites
from kybern.ingress import classes, plan, status
from kybern.ingress.backends import Around, Key
from kybern.ingress.haproxy import Haproxy, ProxyError
from kybern.ingress.secrets import Secrets
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.client.informer import Informers, Registration
    from kybern.client.rest import Client
    from kybern.ingress.config import IngressConfig
    from kybern.ingress.plan import Plan

log = logs.get("ingress")

RETRY = Backoff(initial=0.5, factor=2.0, cap=30.0)
SERVICE_LABEL = "kubernetes.io/service-name"
BY_SERVICE = "ingress/service"
INSTALL = "haproxy is not installed on this node: install it with `apt-get install haproxy`"


class IngressProxy:
    """Keeps a node's haproxy as the Ingresses ask."""

    def __init__(self, config: IngressConfig, client: Client, informers: Informers) -> None:
        """Make it; `run` starts it.

        Args:
            config: how this node does it.
            client: where status and events go.
            informers: those shared with others in this process.
        """
        self.config = config
        self.synced = asyncio.Event()
        self._client = client
        self._informers = informers
        self._recorder = Recorder(client, "kybern-ingress", config.node_name)
        self._ingresses = informers.of(Ingress)
        self._classes = informers.of(IngressClass)
        self._changed = asyncio.Event()
        self._anew = True  # more than endpoints changed
        self._endpoints: set[Key] = set()  # Services whose endpoints changed
        self._plan: Plan | None = None
        self._told: set[tuple[Any, ...]] = set()
        self._following: _Following | None = None
        self._tasks: Tasks
        self._haproxy: Haproxy

    async def run(self) -> None:
        """Follow the cluster until cancelled; haproxy ends with it."""
        clock = self._client.clock
        async with Tasks("ingress", clock=clock) as tasks:
            self._tasks = tasks
            self._haproxy = Haproxy(self.config, clock, tasks, self._mark)
            tasks.spawn_forever(self._recorder.run, "ingress events")
            registrations = [
                self._ingresses.on_change(self._mark),
                self._classes.on_change(self._mark),
            ]
            try:
                await self._ingresses.wait_synced()
                await self._classes.wait_synced()
                await self._follow()
            finally:
                for registration in registrations:
                    registration.remove()
                self._let_go()
                await self._haproxy.stop()

    def statistics(self) -> dict[str, int]:
        """Return what is served."""
        now = self._plan
        return {
            "backends": len(now.backends) if now else 0,
            "routes": sum(map(len, now.routes)) if now else 0,
            "problems": len(now.problems) if now else 0,
            "reloads": self._haproxy.reloads,
        }

    @property
    def ports(self) -> dict[str, int]:
        """Where `http` and `https` are listened for."""
        return self._haproxy.ports.numbers

    # --- what changes --------------------------------------------------------------------------

    def _mark(self, _obj: Any = None) -> None:
        self._anew = True
        self._changed.set()

    def _service_changed(self, key: Key, only_endpoints: bool) -> None:
        if self._plan is not None and key in self._plan.services:
            self._endpoints.add(key)
            self._anew |= not only_endpoints
            self._changed.set()

    async def _follow(self) -> None:
        failures, delay = 0, None
        while True:
            self._changed.clear()
            anew, self._anew = self._anew, False
            endpoints, self._endpoints = self._endpoints, set()
            try:
                done = await self._sync(endpoints, anew=anew)
            except (ProxyError, Unreachable, errors.ApiError, OSError) as error:
                log.error("the proxy is not as the Ingresses ask", error=str(error))
                done = False
            if done:
                failures, delay = 0, None
                self.synced.set()
            else:
                delay, failures = RETRY.delay(failures), failures + 1
            await self._wait(delay)

    async def _wait(self, delay: float | None) -> None:
        """Wait for a change, or for the moment to try again."""
        try:
            async with asyncio.timeout(delay):
                await self._changed.wait()
        except TimeoutError:
            self._anew = True
        await asyncio.sleep(0)  # changes of one moment go together

    # --- one round -----------------------------------------------------------------------------

    async def _sync(self, endpoints: set[Key], *, anew: bool) -> bool:
        """Do what the cluster asks for; False to try again after a while."""
        names = classes.ours(self._classes.list())
        ours = [each for each in self._ingresses.list() if classes.claims(each, names)]
        if not ours:
            await self._rest()
            return True
        if prerequisites.find(self.config.program) is None:
            self._tell_all(ours, "NoProxy", INSTALL)
            return False
        following = await self._follow_more()
        following.secrets.follow(plan.secrets(ours))
        around = Around(following.services.get, following.slices_of)
        if anew or self._plan is None:
            self._plan = plan.make(ours, around, following.secrets.certificates)
            self._tell(self._plan, ours)
        else:
            self._plan = plan.with_endpoints(self._plan, endpoints, around)
        refused = self._haproxy.ports.open()
        for port, why in refused.items():
            self._tell_all(ours, "PortTaken", f"Port {port} of the node cannot be had: {why}")
        if self._haproxy.ports.numbers:
            await self._haproxy.apply(self._plan)
        if anew:
            await self._publish(ours, following, serving=bool(self._haproxy.ports.numbers))
        return not refused

    async def _rest(self) -> None:
        """There is nothing to do: have nothing."""
        self._let_go()
        self._plan = None
        self._told.clear()
        await self._haproxy.stop()

    async def _follow_more(self) -> _Following:
        if self._following is None:
            self._following = _Following(
                self._informers, self._tasks, self._mark, self._service_changed
            )
        await self._following.wait_synced()
        return self._following

    def _let_go(self) -> None:
        if self._following is not None:
            self._following.close()
            self._following = None

    async def _publish(
        self, ingresses: Iterable[Ingress], following: _Following, *, serving: bool
    ) -> None:
        alive = status.alive(following.nodes.list())
        for ingress in ingresses:
            now = status.current(ingress)
            wanted = status.wanted(now, self.config.address, alive, serving=serving)
            if now == wanted:
                continue
            namespace, name = plan.key_of(ingress)
            body = status.patch(ingress, wanted)
            try:
                await self._client.patch(Ingress, name, namespace, body, subresource="status")
            except (errors.Conflict, errors.NotFound) as error:
                # it changed or went just now; the informer will tell
                log.debug("status not written", ingress=name, why=error.message)

    # --- telling users ---------------------------------------------------------------------------

    def _tell(self, new: Plan, ingresses: Iterable[Ingress]) -> None:
        """Record what is wrong, once for as long as it stays so."""
        by_key = {plan.key_of(each): each for each in ingresses}
        now: set[tuple[Any, ...]] = set(new.problems)
        for problem in new.problems:
            if problem not in self._told:
                self._event(by_key[problem.ingress], problem.reason, problem.message)
        for_all = {told for told in self._told if told[1] in ("NoProxy", "PortTaken")}
        self._told = now | for_all

    def _tell_all(self, ingresses: Iterable[Ingress], reason: str, message: str) -> None:
        for ingress in ingresses:
            told = (plan.key_of(ingress), reason, message)
            if told not in self._told:
                self._told.add(told)
                self._event(ingress, reason, message)

    def _event(self, ingress: Ingress, reason: str, message: str) -> None:
        about: ObjectReference = reference(ingress)
        name = f"{about.namespace}/{about.name}"
        log.warning("something is wrong with an Ingress", ingress=name, reason=reason, why=message)
        self._recorder.event(about, "Warning", reason, message)


class _Following:
    """What is followed only while there is an Ingress."""

    def __init__(
        self,
        informers: Informers,
        tasks: Tasks,
        changed: Callable[..., None],
        service_changed: Callable[[Key, bool], None],
    ) -> None:
        self.services = informers.of(Service)
        self.slices = informers.of(EndpointSlice, indexers={BY_SERVICE: _service_of})
        self.nodes = informers.of(Node)
        self.secrets = Secrets(informers, tasks, changed)
        self._changed = changed
        self._service_changed = service_changed
        self._registrations: list[Registration] = [
            self.services.on_change(self._seen_service),
            self.slices.on_change(self._seen_slice),
            self.nodes.on(add=changed, update=self._seen_node, delete=changed),
        ]

    async def wait_synced(self) -> None:
        """Wait until all but the Secrets is there."""
        for informer in (self.services, self.slices, self.nodes):
            await informer.wait_synced()

    def slices_of(self, namespace: str, name: str) -> list[EndpointSlice]:
        """Return the slices of a Service."""
        return self.slices.by_index(BY_SERVICE, f"{namespace}/{name}")

    def close(self) -> None:
        """Follow no longer."""
        for registration in self._registrations:
            registration.remove()
        self.secrets.follow(())

    def _seen_service(self, service: Service) -> None:
        key = (service.metadata.namespace or "", service.metadata.name or "")
        self._service_changed(key, False)

    def _seen_slice(self, piece: EndpointSlice) -> None:
        name = (piece.metadata.labels or {}).get(SERVICE_LABEL)
        if name:
            self._service_changed((piece.metadata.namespace or "", name), True)

    def _seen_node(self, old: Node, new: Node) -> None:
        if status.alive([old]) != status.alive([new]):
            self._changed()


def _service_of(piece: Any) -> list[str]:
    name = (piece.metadata.labels or {}).get(SERVICE_LABEL)
    return [f"{piece.metadata.namespace}/{name}"] if name else []
