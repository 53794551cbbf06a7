"""The API server: from a request to an answer.

In:   Requests, from the HTTP server or from a component in this process.
Out:  Responses.
By:   cmd, and tests: `ApiServer(config, store, clock).app(request)` needs no socket.

The way is the list FILTERS, read from top to bottom, and then `routes.dispatch`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.apiserver import routes
from kybern.apiserver.admission.chain import chain
from kybern.apiserver.aggregator.apiservices import Aggregator
from kybern.apiserver.authn.bootstrap_token import BootstrapTokens
from kybern.apiserver.authn.chain import Chain as Authenticators
from kybern.apiserver.authn.service_accounts import Tokens
from kybern.apiserver.authn.tokens import StaticTokens
from kybern.apiserver.authn.x509 import Certificates
from kybern.apiserver.authz.chain import Chain as Authorizers
from kybern.apiserver.authz.node import NodeAuthorizer
from kybern.apiserver.authz.rbac import PREFIXES, Rbac
from kybern.apiserver.bootstrap import start, token_tracking
from kybern.apiserver.bootstrap.kubernetes_service import KubernetesService
from kybern.apiserver.bootstrap.loopback import Loopback
from kybern.apiserver.bootstrap.server_leases import ServerIdentity
from kybern.apiserver.context import RequestContext, Services
from kybern.apiserver.custom.definitions import Definitions
from kybern.apiserver.documents import Documents, metrics
from kybern.apiserver.filters.audit import Audit
from kybern.apiserver.filters.authentication import Authentication
from kybern.apiserver.filters.authorization import Authorization
from kybern.apiserver.filters.deadline import Deadline
from kybern.apiserver.filters.flow_control import FlowControl
from kybern.apiserver.filters.freshness import Freshness
from kybern.apiserver.filters.impersonation import Impersonation
from kybern.apiserver.filters.panics import Panics
from kybern.apiserver.filters.request_info import RequestInfo
from kybern.apiserver.handlers.kubelets import Kubelets
from kybern.apiserver.health import Health
from kybern.apiserver.registry.all import registry
from kybern.apiserver.registry.core.allocation import Allocators
from kybern.apiserver.registry.core.neighbours import Neighbours
from kybern.apiserver.registry.identity import Identities, PooledRandom
from kybern.apiserver.usage.serve import UsageApi
from kybern.lib import logs
from kybern.store.interface import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.apiserver.config import Config
    from kybern.apiserver.context import Answer
    from kybern.lib.clock import Clock
    from kybern.lib.http.messages import Request, Response
    from kybern.store.objects import Store

log = logs.get("apiserver")

FAREWELL = 2.0  # seconds
FILTERS = (
    Panics,  # a bug becomes a 500 Status, never a dropped connection
    RequestInfo,  # verb, resource, namespace, name, subresource
    Deadline,  # short requests get a deadline, watches do not
    Freshness,  # see what other API servers have written
    Authentication,  # who                                            → ctx.user
    Audit,  # from here on, someone writes it down
    Impersonation,  # whom they ask to be                            → ctx.user
    FlowControl,  # wait for a seat, or 429
    Authorization,  # may they
)


class ApiServer:
    """One API server over one store.

    `app` answers requests as soon as the object exists; `start` lets it follow its own data
    (roles, pods of nodes), which only matters for users that are not masters.
    """

    def __init__(self, config: Config, store: Store, clock: Clock) -> None:
        self.config = config
        self.services = services = Services()
        services.store = store
        services.clock = clock
        services.config = config
        rng = PooledRandom()
        services.identities = Identities(rng)
        services.resources = registry()
        services.resources.register(store)
        for path in (("", "v1", "events"), ("events.k8s.io", "v1", "events")):
            services.resources.find(*path).strategy.ttl = config.event_ttl
        self.rbac = services.rbac = Rbac()
        self.node_authorizer = NodeAuthorizer(store)
        services.authorizer = Authorizers(self.node_authorizer, services.rbac)
        services.tokens = Tokens(config, store, clock)
        services.authenticator = Authenticators(
            Certificates(clock),
            self._static_tokens(),
            BootstrapTokens(store, clock) if config.bootstrap_tokens else None,
            services.tokens,
        )
        services.nodes = Kubelets(config, store)
        services.allocators = Allocators(config.service_cidrs, config.node_ports, rng)
        services.admission = chain(services)
        services.computed = UsageApi(services).computed()
        services.aggregated = {}
        self._started = False
        self.health = Health()
        self._add_checks()
        self.documents = Documents(services, f"{config.advertise_address}:{config.port}")
        services.paths = {**self.documents.paths(), **self.health.paths(), "/metrics": metrics}
        services.prefixes = [*self.health.prefixes(), *self.documents.prefixes()]
        self._aggregator = Aggregator(services, Loopback(services), self.documents.forget)
        self._definitions = Definitions(services, Loopback(services), self.documents.forget)
        filters: list[Any] = [make(services) for make in FILTERS]
        self._rescue: Callable[[RequestContext, Exception], Response] = filters[0].rescue
        self._enter = tuple(f.enter for f in filters if hasattr(f, "enter"))
        self._leave = tuple(f.leave for f in reversed(filters) if hasattr(f, "leave"))

    async def app(self, request: Request) -> Answer:
        """Answer one request; never raises."""
        ctx = RequestContext(self.services, request)
        answer: Answer | None = None
        try:
            try:
                for enter in self._enter:
                    waiting = enter(ctx)
                    if waiting is not None:
                        await waiting
                if ctx.timeout is None:
                    answer = await routes.dispatch(ctx)
                else:
                    async with asyncio.timeout(ctx.timeout):
                        answer = await routes.dispatch(ctx)
            except Exception as error:  # noqa: BLE001  # this is the one place that answers for bugs
                answer = self._rescue(ctx, error)
        finally:
            for leave in self._leave:
                leave(ctx, answer)
        return answer

    async def start(self) -> None:
        """Write what every cluster starts with; the server is ready afterwards."""
        services = self.services
        await services.store.fresh()
        start.load_allocations(services)
        if services.store.shared:
            prefix = services.resources.find("", "v1", "services").prefix
            self._neighbours = Neighbours(services.store, prefix, services.allocators)
            services.allocators.neighbours = self._neighbours
        loopback = Loopback(services)
        await start.namespaces(loopback)
        self._kubernetes = KubernetesService(services, loopback)
        self._identity = ServerIdentity(services, loopback)
        async with asyncio.TaskGroup() as group:
            group.create_task(start.objects(services, loopback), name="bootstrap objects")
            group.create_task(self._kubernetes.begin(), name="kubernetes service")
        self.rbac.load(services.store)
        self._aggregator.load()
        self._definitions.load()
        self._started = True

    async def run(self) -> None:
        """Follow the store until cancelled; call `start` before."""
        store = self.services.store
        async with asyncio.TaskGroup() as group:
            for prefix in PREFIXES:
                group.create_task(self.rbac.follow(store, prefix), name=f"follow {prefix}")
            group.create_task(self.node_authorizer.index.follow(store), name="follow pods")
            uses = token_tracking.follow(self.services.tokens.legacy, Loopback(self.services))
            group.create_task(uses, name="uses of tokens")
            group.create_task(self._kubernetes.keep(), name="kubernetes service")
            group.create_task(self._aggregator.run(), name="aggregator")
            group.create_task(self._definitions.run(), name="definitions")
            if store.shared:
                group.create_task(self._identity.keep(), name="identity")
                group.create_task(self._neighbours.run(), name="numbers of Services")

    async def leave(self) -> None:
        """Send nobody here any more: the first thing to do when this server is to end.

        Without an answer in time, the others find out by themselves.
        """
        try:
            async with asyncio.timeout(FAREWELL):
                await self._kubernetes.leave()
        except (TimeoutError, StoreError) as error:
            log.warning("could not tell the other servers", why=repr(error))

    async def close(self) -> None:
        """Break off the connections to kubelets."""
        await self.services.nodes.close()

    def _add_checks(self) -> None:
        self.health.add("ping", _nothing_wrong)
        self.health.add("log", _nothing_wrong)
        self.health.add("etcd", self._store_problem)
        self.health.add("poststarthook/bootstrap", self._start_problem, ("readyz", "healthz"))
        self.health.add("poststarthook/rbac/bootstrap-roles", self._start_problem, ("readyz",))

    def _store_problem(self) -> str:
        return str(self.services.store.problem())

    def _start_problem(self) -> str:
        return "" if self._started else "not finished"

    def _static_tokens(self) -> StaticTokens:
        tokens = StaticTokens()
        if self.config.token:
            tokens.add_admin(self.config.token)
        if self.config.token_file is not None:
            tokens.add_lines(self.config.token_file.read_text().splitlines())
        return tokens


def _nothing_wrong() -> str:
    return ""
