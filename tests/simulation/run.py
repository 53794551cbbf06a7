"""One seed: a simulated hour of a cluster, and what was wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import signal
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

from kybern.api.scheme import SCHEME
from kybern.apiserver.handlers import watch
from kybern.client import informer
from kybern.controllers.garbagecollector import monitors
from kybern.lib.clock import run_virtual
from tests.simulation.chance import seeded
from tests.simulation.faults import Misfortune
from tests.simulation.profiles import HOUR, TROUBLE, Profile, draw
from tests.simulation.settled import Settled
from tests.simulation.workload import Users
from tests.simulation.world import Ears, World

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from tests.simulation.engine import Base


FOLLOWED = ("", "apps", "discovery.k8s.io", "coordination.k8s.io")  # groups of what comes and goes

LIMIT = 30.0  # seconds of processor for one seed, which should take a tenth of one


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed.

    Attributes:
        seed: which one.
        profile: what it brought.
        violations: what was wrong; the run ended with the first.
        digest: of everything that happened: the same seed must have the same.
        writes: how many there were.
        checked: how often an invariant was at stake, by name.
        lines: what happened, when asked for.
    """

    seed: int
    profile: Profile
    violations: tuple[str, ...]
    digest: str
    writes: int
    checked: Counter[str]
    lines: tuple[str, ...]


class FirstComes(random.Random):
    """Draws the first, always."""

    def random(self) -> float:
        """Return 0."""
        return 0.0


class Busy(KeyboardInterrupt):
    """A seed takes too long: somebody never waits, so virtual time stands still."""


_left_standing: list[Busy] = []
"""Holds worlds that never wait: taken apart, their tasks would go on in the middle of another."""


def simulate(
    seed: int,
    *,
    profile: Profile | None = None,
    trace: bool = False,
    users: type[Users] = Users,
    settled: type[Settled] = Settled,
) -> Outcome:
    """Run a seed, with these users and what is to hold in the end."""
    base = fresh()
    worlds: list[World] = []
    busy: tuple[str, ...] = ()
    with seeded(seed) as rng, contextlib.ExitStack() as stack:
        profile = profile or draw(seed, rng)
        stack.enter_context(rare(profile))
        # Out here, as a world that never waits is left where it stands.
        stack.enter_context(listening(worlds))
        if profile.real_nodes:
            from tests.simulation.real_nodes import played_machine

            stack.enter_context(played_machine())

        async def main() -> None:
            world = World(profile, rng, base)
            world.lines = [] if trace else None
            worlds.append(world)
            await _hour(world, users(world), settled)

        loop_rng = type(rng)(f"loop {seed}") if profile.shuffled else FirstComes()
        try:
            with limited():
                run_virtual(main(), rng=loop_rng)
        except Busy as error:
            busy = ("busy: " + "".join(traceback.format_tb(error.__traceback__)[-3:]),)
            _left_standing.append(error)
    [world] = worlds
    return Outcome(
        seed,
        profile,
        (*world.violations, *busy),
        world.digest.hexdigest(),
        world.engine.revision - base.revision,
        world.invariants.checked,
        tuple(world.lines or ()),
    )


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise Busy after so many seconds of processor time, and again until it is heard."""

    def give_up(*_: object) -> None:
        raise Busy

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


async def _hour(world: World, users: Users, settled: type[Settled]) -> None:
    misfortune = Misfortune(world)
    async with world.tasks as tasks:
        await world.start()
        tasks.spawn(users.run(), name="users")
        tasks.spawn(misfortune.run(), name="misfortune")
        if not await _ended(world, TROUBLE):
            world.calm = True
            world.note("calm", "")
            await misfortune.heal()
            if not await _ended(world, HOUR):
                known = world.engine.revision
                await world.clock.sleep(5)
                for problem in settled(world, users, known).problems():
                    world.violate(problem)
        for component in world.components:
            await component.kill()


async def _ended(world: World, at: float) -> bool:
    """Let time pass; say whether the run ended early."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(at):
            await world.ended.wait()
    return bool(world.violations)


@functools.cache
def fresh() -> Base:
    """Return what a fresh cluster holds; made once."""
    import numpy  # noqa: F401 - draws chance of its own when it is loaded

    import tests.simulation.real_nodes  # noqa: F401 - so do parts of the kubelet

    with seeded("fresh") as rng:

        async def main() -> Base:
            world = World(Profile(nodes=0), rng)
            async with world.tasks:
                await world.start()
                await world.clock.sleep(10)
                await world.controllers.kill()
                await world.scheduler.kill()
                return world.engine.base()

        return run_virtual(main())


@contextlib.contextmanager
def rare(profile: Profile) -> Iterator[None]:
    """Leave out what costs much and changes nothing, unless it is asked for.

    Nobody owns, or is owned by, anything of the kinds that are left out.
    """
    with contextlib.ExitStack() as stack:
        if not profile.busy:
            stack.enter_context(mock.patch.object(watch, "BOOKMARK_EVERY", 1200.0))
            stack.enter_context(mock.patch.multiple(informer, SHORTEST=1800, LONGEST=5400))
        if not profile.whole:
            ignored = {(k.group, k.plural) for k in SCHEME.kinds if k.group not in FOLLOWED}
            ignored |= monitors.IGNORED
            stack.enter_context(mock.patch.object(monitors, "IGNORED", frozenset(ignored)))
        yield


@contextlib.contextmanager
def listening(worlds: list[World]) -> Iterator[None]:
    """Take every error that is logged for a violation in the last of the worlds."""
    logger = logging.getLogger("kybern")
    ears = Ears(worlds)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(ears)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(ears)
        logger.setLevel(level)
        logger.propagate = propagate
