"""A cluster in this process: API server over memory, every controller, virtual time.

`@world()` gives a test one of its own; `nodes=2` lets kubelets be played, `scheduler=True` starts
the scheduler. Simulated time makes every wait free.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import random
import signal
from typing import TYPE_CHECKING, Any

from kybern.apiserver.app import ApiServer
from kybern.apiserver.config import Config
from kybern.client.in_process import InProcessTransport
from kybern.client.informer import Informers
from kybern.client.rest import Client
from kybern.client.transport import MASTER, Identity, service_account
from kybern.controllers.all import ALL
from kybern.controllers.runtime.host import ControllersConfig, Host
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.tasks import Tasks
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store
from tests.conformance.wire import Caller, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from tests.conformance.kubelets import Kubelets

MANAGER = Identity("system:kube-controller-manager", ("system:authenticated",))
REAL_SECONDS = 60
ROOT_CA = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"


class World(Caller):
    """The cluster; requests are those of an administrator."""

    def __init__(self, lease_seconds: int = 40, start: float = 0.0) -> None:
        self.clock = VirtualClock(start) if start else VirtualClock()
        self.lease_seconds = lease_seconds
        self.kubelets: Kubelets | None = None
        self.store = Store(MemoryEngine(), self.clock)
        config = Config(advertise_address="192.0.2.1")
        self.server = ApiServer(config, self.store, self.clock)
        self.tasks = Tasks("conformance")
        self.client = self.client_of(MASTER)
        self.informers = Informers(self.client_of(MANAGER), self.tasks)
        self._numbers = itertools.count(1)
        super().__init__(self._transport(MASTER))

    def _transport(self, identity: Identity) -> InProcessTransport:
        return InProcessTransport(self.server.app, identity)

    def client_of(self, identity: Identity) -> Client:
        """Return our own typed client, for what the test does not judge."""
        return Client(self._transport(identity), self.clock)

    def as_(self, name: str, *groups: str) -> Caller:
        """Return somebody else."""
        return Caller(self._transport(Identity(name, (*groups, "system:authenticated"))))

    def as_account(self, namespace: str, name: str) -> Caller:
        """Return a service account."""
        return Caller(self._transport(service_account(namespace, name)))

    async def namespace(self, **labels: str) -> str:
        """Make a namespace of its own for a test, and wait until pods may be created in it."""
        name = f"conformance-{next(self._numbers)}"
        body = {"metadata": {"name": name, "labels": labels}}
        await self.resource("v1", "namespaces").create(body)
        accounts = self.resource("v1", "serviceaccounts", name)
        maps = self.resource("v1", "configmaps", name)
        await self.wait(lambda: _has(accounts, "default"))
        await self.wait(lambda: _has(maps, "kube-root-ca.crt"))
        return name

    async def wait(
        self, condition: Callable[[], Awaitable[Any]], seconds: float = 60.0, interval: float = 0.2
    ) -> Any:
        """Ask again and again until something true comes back; return it."""
        for _ in range(int(seconds / interval)):
            if answer := await condition():
                return answer
            await asyncio.sleep(interval)
        raise AssertionError(f"not within {seconds} s")

    async def settle(self, seconds: float = 10.0) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


async def _has(resource: Any, name: str) -> bool:
    return not await resource.missing(name)


@contextlib.asynccontextmanager
async def running(
    *,
    nodes: int,
    scheduler: bool,
    controllers: bool,
    lease_seconds: int,
    start: float,
    options: dict[str, Any],
) -> AsyncIterator[World]:
    """Run a world."""
    it = World(lease_seconds, start)
    async with it.tasks as tasks:
        await it.server.start()
        started = [tasks.spawn(it.server.run(), name="server")]
        started.append(tasks.spawn(it.store.run(), name="store"))
        if controllers:
            host = Host(
                ALL,
                lambda account: it.client_of(service_account("kube-system", account)),
                it.informers,
                it.clock,
                ControllersConfig(root_ca=ROOT_CA, **options),
                random.Random(1),
            )
            started.append(tasks.spawn(host.run(), name="controllers"))
        if nodes:
            from tests.conformance.kubelets import Kubelets

            it.kubelets = Kubelets(it)
            await it.kubelets.join(nodes)
        if scheduler:
            from tests.conformance.kubelets import schedule

            started.append(tasks.spawn(schedule(it), name="scheduler"))
        await it.settle(1)
        yield it
        for task in started:
            task.cancel()
        await asyncio.wait(started)
        assert tasks.failures == 0


def world(
    *,
    nodes: int = 0,
    scheduler: bool = False,
    controllers: bool = True,
    lease_seconds: int = 40,
    start: float = 0.0,
    **options: Any,
) -> Callable[[Callable[[World], Awaitable[None]]], Callable[[], None]]:
    """Run a test in a world of its own; `options` are those of `ControllersConfig`."""

    def wrap(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
        async def main() -> None:
            async with running(
                nodes=nodes, scheduler=scheduler, controllers=controllers,
                lease_seconds=lease_seconds, start=start, options=options,
            ) as it:  # fmt: skip
                await test(it)

        @functools.wraps(test)
        def run() -> None:
            with limited(REAL_SECONDS):
                run_virtual(main())

        del run.__wrapped__  # pytest would take the test's argument for a fixture
        return run

    return wrap


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Fail after so many seconds of real time: a busy loop never lets simulated time pass."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def refused(code: int, reason: str = "", containing: str = "") -> Any:
    """Expect a request to be refused."""
    caught: list[Refused] = []
    try:
        yield caught
    except Refused as error:
        caught.append(error)
    assert caught, f"the server should have answered {code} {reason}"
    found = caught[0]
    assert (found.code, found.reason) == (code, reason or found.reason), found
    assert containing in found.message, found
