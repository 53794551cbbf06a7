"""A cluster in one process and one thread, in virtual time: components that can die, and users.

`Component` is one program: it has wires of its own into the API server, and its own informers, so
that it can be killed between any two steps and started again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from kybern.apiserver.app import ApiServer
from kybern.apiserver.config import Config
from kybern.client.informer import Informers
from kybern.client.rest import Client
from kybern.client.transport import Identity, service_account
from kybern.controllers.all import ALL
from kybern.controllers.runtime.host import ControllersConfig, Host
from kybern.lib import pki
from kybern.lib.clock import VirtualClock
from kybern.lib.tasks import Tasks
from kybern.scheduler.config import SchedulerConfig
from kybern.scheduler.loop import Scheduler
from kybern.store.objects import Store
from tests.simulation import shapes
from tests.simulation.engine import ToldEngine
from tests.simulation.invariants import Invariants
from tests.simulation.nodes import PlayedNode
from tests.simulation.transport import WRITER, Wire

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from kybern.store.interface import Event
    from tests.simulation.engine import Base
    from tests.simulation.profiles import Profile
    from tests.simulation.real_nodes import RealNode

KEY = pki.make_key()  # signs tokens, which are stored nowhere
START = 1_767_225_600.0
AUTHENTICATED = "system:authenticated"
MANAGER = Identity("system:kube-controller-manager", (AUTHENTICATED,))
SCHEDULER = Identity("system:kube-scheduler", (AUTHENTICATED,))
ROOT_CA = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
# Heartbeats are rare here, so that an hour costs little; silence is judged accordingly.
WHOLE = ControllersConfig(
    root_ca=ROOT_CA,
    node_monitor_period=50.0,
    node_monitor_grace_period=700.0,
    node_startup_grace_period=700.0,
)
SOME = replace(
    WHOLE,
    controllers=(
        "serviceaccount", "namespace", "deployment", "replicaset", "endpointslice", "endpoint",
        "nodelifecycle", "taint-eviction", "podgc", "garbagecollector",
    ),
)  # fmt: skip


class Component:
    """One program of the cluster: it can be killed, and started again."""

    def __init__(
        self, world: World, name: str, body: Callable[[Component], Awaitable[None]]
    ) -> None:
        self.name = name
        self.world = world
        self.mirrors: Informers | None = None
        self._body = body
        self._wires: list[Wire] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._task is not None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._task is None:
            self.world.note("start", self.name)
            self._task = self.world.tasks.spawn(self._live(), name=self.name)

    async def kill(self) -> None:
        """End it at once: nothing it would still say is heard."""
        if self._task is None:
            return
        self.world.note("kill", self.name)
        for wire in self._wires:
            wire.cut = True
        self._wires.clear()
        task, self._task, self.mirrors = self._task, None, None
        task.cancel()
        await asyncio.wait([task])

    def client(self, identity: Identity) -> Client:
        """Return a client over a wire that is cut when the component dies."""
        wire = Wire(self.world, identity)
        self._wires.append(wire)
        return Client(wire, self.world.clock)

    def informers(self, client: Client, tasks: Tasks) -> Informers:
        """Return its informers."""
        self.mirrors = Informers(client, tasks)
        return self.mirrors

    async def _live(self) -> None:
        await self._body(self)
        self.world.violate(f"end: {self.name} ended by itself")


class World:
    """One simulated cluster.

    Attributes:
        profile: what goes wrong, and how often.
        rng: the chance of everything that is not the product's own.
        calm: whether nothing goes wrong any more.
        violations: what should not have been.
        room: thousandths of a processor, by node.
        digest: of everything that happened.
    """

    def __init__(self, profile: Profile, rng: random.Random, base: Base | None = None) -> None:
        self.profile = profile
        self.rng = rng
        self.calm = False
        self.violations: list[str] = []
        self.ended = asyncio.Event()
        self.lines: list[str] | None = None
        self.digest = hashlib.blake2b(digest_size=16)
        self.clock = VirtualClock(START)
        self.engine = ToldEngine(base)
        self.store = Store(self.engine, self.clock)
        config = Config(advertise_address="192.0.2.1", service_account_key=KEY)
        self.server = ApiServer(config, self.store, self.clock)
        self.tasks = Tasks("world", clock=self.clock)
        self.invariants = Invariants(self)
        self.engine.onlookers += [self._record, self.invariants.see]
        self.controllers = Component(self, "controllers", self._control)
        self.scheduler = Component(self, "scheduler", self._schedule)
        self.users = Component(self, "users", _forever)
        self.nodes = [self._node(number) for number in range(profile.nodes)]
        self.kubelets = {node.name: Component(self, node.name, node.run) for node in self.nodes}
        self.room = {node.name: profile.room for node in self.nodes}

    @property
    def writer(self) -> str:
        """Whose request is being carried out: the last part of the user's name."""
        return WRITER.get()

    @property
    def components(self) -> list[Component]:
        """Everything that can die."""
        return [self.controllers, self.scheduler, *self.kubelets.values()]

    async def start(self) -> None:
        """Start the API server, then everything else."""
        await self.server.start()
        self.tasks.spawn(self.server.run(), name="server")
        self.tasks.spawn(self.store.run(), name="store")
        for component in self.components:
            component.start()

    # --- what happens ------------------------------------------------------------------------

    def note(self, what: str, text: str) -> None:
        """Put something into the record of the run."""
        line = f"{self.clock.monotonic():.6f} {what} {text}"
        self.digest.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    def _record(self, event: Event) -> None:
        entry = event.entry
        self.note(event.type, f"{entry.revision} {entry.key} by {self.writer}")
        self.digest.update(entry.data)

    def lost(self, method: str, path: str, answer: bytes) -> None:
        """Note that a write was carried out and its author does not know."""
        self.note("lost", f"the answer to {method} {path}")
        if method == "POST" and path.endswith("/pods"):
            self.invariants.unseen(shapes.thing(answer).metadata.uid)
        elif method == "DELETE" and "/pods/" in path:
            self.invariants.unsure(path.rpartition("/")[2])

    def violate(self, text: str) -> None:
        """Say that something is wrong; the run ends."""
        self.violations.append(text)
        self.note("VIOLATION", text)
        self.ended.set()

    # --- components --------------------------------------------------------------------------

    def _node(self, number: int) -> PlayedNode | RealNode:
        if not self.profile.real_nodes:
            return PlayedNode(self, number)
        from tests.simulation.real_nodes import RealNode

        return RealNode(self, number)

    async def _control(self, component: Component) -> None:
        import random

        async with Tasks("controller manager", clock=self.clock) as tasks:
            informers = component.informers(component.client(MANAGER), tasks)

            def client_for(account: str) -> Client:
                return component.client(service_account("kube-system", account))

            rng = random.Random()
            config = WHOLE if self.profile.whole else SOME
            await Host(ALL, client_for, informers, self.clock, config, rng).run()

    async def _schedule(self, component: Component) -> None:
        async with Tasks("scheduler's informers", clock=self.clock) as tasks:
            client = component.client(SCHEDULER)
            informers = component.informers(client, tasks)
            await Scheduler(SchedulerConfig(), client, informers=informers).run()


class Ears(logging.Handler):
    """Hears of errors that were logged: a bug, or something that was given up."""

    def __init__(self, worlds: list[World]) -> None:
        super().__init__(logging.ERROR)
        self._worlds = worlds

    def emit(self, record: logging.LogRecord) -> None:
        """Take an error for a violation."""
        values = getattr(record, "values", {})
        error = repr(record.exc_info[1]) if record.exc_info else ""
        self._worlds[-1].violate(f"error logged: {record.getMessage()} {values} {error}")


async def _forever(_: Component) -> None:
    await asyncio.get_running_loop().create_future()
