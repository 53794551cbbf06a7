"""Every packet ends where the API says, for Services of all kinds that come, change and go."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.packets import worlds
from tests.packets.node import node
from tests.packets.oracle import World, endpoints_of, expected, keeper

from kybern.lib.clock import run_virtual

many = settings(
    max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
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
        async with node(over_ipv6=over_ipv6) as machinery:
            for world in history:
                await machinery.tell(world.services, world.slices)
                assert differences(machinery, world) == {}
        async with node(over_ipv6=over_ipv6) as fresh:
            await fresh.tell(world.services, world.slices)
            assert state(machinery.kernel) == state(fresh.kernel)

    run_virtual(story())


@many
@given(history=histories, seed=st.integers(0, 1000))
def test_a_client_keeps_its_endpoint(history: list[World], seed: int) -> None:
    rng = Random(seed)

    async def story() -> None:
        kept: dict[object, set[tuple[str, int]]] = {}
        async with node() as machinery:
            for world in (*history, history[-1]):
                await machinery.tell(world.services, world.slices)
                still = {who: at & endpoints_of(world, who) for who, at in kept.items()}
                kept = {who: at for who, at in still.items() if at}
                sent = list(worlds.packets(world))
                for packet in rng.choices(sent, k=40) if sent else ():
                    who, found = keeper(world, packet), machinery.ways(packet)
                    ends, should = machinery.fates(packet), expected(world, packet)
                    reached = {(fate.address, fate.port) for fate in should}
                    if stays := kept.get(who, set()) & reached:
                        assert len(ends) == 1, (packet, ends, stays)
                        assert {(fate.address, fate.port) for fate in ends} <= stays
                    else:
                        assert ends == should, packet
                    way = rng.choice(found)
                    way.arrive()
                    if who and way.fate.end == "delivered":
                        kept.setdefault(who, set()).add((way.fate.address, way.fate.port))
            machinery.kernel.pass_time(worlds.AFFINITY + 1)
            assert differences(machinery, world) == {}  # they are free again

    run_virtual(story())
