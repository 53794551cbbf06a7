"""Misfortune: programs that die, machines that go silent or for good, a store that forgets.

Everything is drawn beforehand, so that what happens does not change what is drawn. `heal` ends it:
whatever is down comes back.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core.v1 import Node
from kybern.client.transport import MASTER, Unreachable
from tests.simulation.profiles import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.simulation.nodes import PlayedNode
    from tests.simulation.real_nodes import RealNode
    from tests.simulation.world import Component, World

SETTLED = 30.0  # nothing happens before


class Misfortune:
    """What goes wrong in a world besides its network."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lost: set[str] = set()
        profile, rng = world.profile, world.rng
        plan: list[tuple[float, Callable[[], Awaitable[None]]]] = []

        def at(what: Callable[[], Awaitable[None]]) -> None:
            plan.append((rng.uniform(SETTLED, TROUBLE), what))

        for _ in range(profile.crashes):
            victim = rng.choice(world.components)
            down = rng.choice((0.0, rng.uniform(0, 5), rng.uniform(0, 120)))
            at(functools.partial(self._crash, victim, down))
        for _ in range(profile.deaths):
            node = rng.choice(world.nodes)
            down = rng.uniform(30, 1500)
            at(functools.partial(self._death, node, down))
        for _ in range(profile.losses):
            node = rng.choice(world.nodes)
            at(functools.partial(self._loss, node))
        for _ in range(profile.compactions):
            at(self._forget)
        self._plan = sorted(plan, key=lambda item: item[0])

    async def run(self) -> None:
        """Let it happen; ends when everything has begun."""
        clock = self._world.clock
        for moment, what in self._plan:
            await clock.sleep(max(0.0, moment - clock.monotonic()))
            self._world.tasks.spawn(what(), name="misfortune")

    async def heal(self) -> None:
        """Bring back what is down, but for machines that are gone for good."""
        for component in self._world.components:
            if component.name not in self._lost:
                component.start()

    async def _crash(self, victim: Component, down: float) -> None:
        await victim.kill()
        await self._world.clock.sleep(down)
        if victim.name not in self._lost:
            victim.start()

    async def _death(self, node: PlayedNode | RealNode, down: float) -> None:
        kubelet = self._world.kubelets[node.name]
        await kubelet.kill()
        node.reboot()
        await self._world.clock.sleep(down)
        if node.name not in self._lost:
            kubelet.start()

    async def _loss(self, node: PlayedNode | RealNode) -> None:
        """A machine is gone, and an administrator says so; at least one stays."""
        world = self._world
        if len(self._lost) + 1 >= len(world.nodes) or node.name in self._lost:
            return
        self._lost.add(node.name)
        await world.kubelets[node.name].kill()
        client = world.users.client(MASTER)
        await world.clock.sleep(60)
        while True:
            with contextlib.suppress(errors.NotFound):
                try:
                    await client.delete(Node, node.name)
                except (errors.ApiError, Unreachable):
                    if world.engine.entries.get(f"/registry/minions/{node.name}") is not None:
                        await world.clock.sleep(5)
                        continue
            return

    async def _forget(self) -> None:
        engine = self._world.engine
        self._world.note("compact", str(engine.revision))
        await engine.compact(engine.revision)
