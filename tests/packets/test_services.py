"""Every packet ends where the API says, for Services of all kinds that come, change and go."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.packets import worlds
from tests.packets.kernel import Kernel
from tests.packets.node import Machinery, node
from tests.packets.oracle import World, endpoints_of, expected, keeper

from kybern.lib.clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.packets.walk import Packet

many = settings(
    max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
histories = st.lists(worlds.worlds(), min_size=1, max_size=3)


def differences(machinery, world):
    """Return the first packet that ends elsewhere than the API says, with both ends."""
    for packet in worlds.packets(world):
        is_, should = machinery.fates(packet), expected(world, packet)
        if is_ != should:
            return {packet: (is_, should)}
    return {}


def state(kernel):
    """Return what is in the kernel, but for what is left for whom it may serve again."""
    (table,) = kernel.tables.values()
    chains = {
        name: [rule.words for rule in chain.rules]
        for name, chain in table.chains.items()
        if "pick-" not in name and "marked-" not in name
    }
    return chains, {name: kept.elements for name, kept in table.sets.items()}


@many
@given(history=histories, over_ipv6=st.booleans())
def test_every_packet_ends_where_the_api_says(history: list[World], over_ipv6: bool) -> None:
    async def story() -> None:
        async with node(history[0], over_ipv6=over_ipv6) as machinery:
            for world in history:
                await machinery.tell(world)
                assert differences(machinery, world) == {}
        async with node(world, over_ipv6=over_ipv6) as fresh:
            assert state(machinery.kernel) == state(fresh.kernel)

    run_virtual(story())


@many
@given(history=histories, seed=st.integers(0, 1000), restarts=st.booleans())
def test_a_client_keeps_its_endpoint(history: list[World], seed: int, restarts: bool) -> None:
    """Whatever else changes, and also when the proxy is killed and starts again."""
    history = [*history, history[-1]]
    clients, kernel = Clients(Random(seed)), Kernel()

    async def story() -> None:
        for lived in [[world] for world in history] if restarts else [history]:
            async with node(lived[0], kernel) as machinery:
                for world in lived:
                    await machinery.tell(world)
                    clients.forget(world)
                    for packet in clients.some(worlds.packets(world)):
                        clients.send(machinery, world, packet)
        kernel.pass_time(worlds.AFFINITY + 1)
        assert differences(machinery, world) == {}  # they are free again

    run_virtual(story())


class Clients:
    """Those who come back, and where they were."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.kept: dict[object, set[tuple[str, int]]] = {}

    def forget(self, world: World) -> None:
        """Free those whose endpoint is gone."""
        still = {who: at & endpoints_of(world, who) for who, at in self.kept.items()}
        self.kept = {who: at for who, at in still.items() if at}

    def some(self, packets: Iterable[Packet]) -> list[Packet]:
        """Return some packets."""
        every = list(packets)
        return self.rng.choices(every, k=40) if every else []

    def send(self, machinery: Machinery, world: World, packet: Packet) -> None:
        """Send one, look where it may end, and let it end somewhere."""
        who, ends, should = keeper(world, packet), machinery.fates(packet), expected(world, packet)
        stays = self.kept.get(who, set()) & {(fate.address, fate.port) for fate in should}
        if stays:
            assert len(ends) == 1, (packet, ends, stays)
            assert {(fate.address, fate.port) for fate in ends} <= stays
        else:
            assert ends == should, packet
        way = self.rng.choice(machinery.ways(packet))
        way.arrive()
        if who and way.fate.end == "delivered":
            self.kept.setdefault(who, set()).add((way.fate.address, way.fate.port))
