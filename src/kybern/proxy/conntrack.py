"""UDP flows which lead to an endpoint that is gone.

In:   the kernel's table of connections, as conntrack(8) prints it; where each address leads now.
Out:  the flows to forget.
By:   sync.py.

TCP connections end by themselves. A UDP flow lives as long as its client goes on asking, and keeps
the endpoint it had: also when that is gone, and also when there was none at its first packet.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from kybern.proxy import nft

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.proxy.family import Family
    from kybern.proxy.model import Frontend

FLOW = re.compile(
    r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) (?:\[UNREPLIED\] )?src=(\S+)", re.ASCII
)

Ways = dict[tuple[str, int], frozenset[str]]


class Flow(NamedTuple):
    """Who speaks with whom, and who answers."""

    client: str
    address: str
    client_port: int
    port: int
    endpoint: str


def parse(text: str) -> list[Flow]:
    """Return the flows in a listing of UDP."""
    found = (FLOW.search(line) for line in text.splitlines())
    return [Flow(m[1], m[2], int(m[3]), int(m[4]), m[5]) for m in found if m]


def ways(fronts: Iterable[Frontend], node_addresses: Iterable[str]) -> Ways:
    """Return the UDP addresses of some Services, and the endpoints behind each."""
    led: Ways = {}
    for front in fronts:
        if front.protocol != "udp":
            continue
        everyone = frozenset(t.ip for t in (*front.targets, *front.local_targets))
        for ip in (*front.cluster_ips, *front.external_ips, *front.balancer_ips):
            led[ip, front.port] = everyone
        if front.node_port:
            led |= {(ip, front.node_port): everyone for ip in node_addresses}
    return led


def changed(old: Iterable[Frontend], new: Iterable[Frontend], addresses: Iterable[str]) -> Ways:
    """Return the addresses that lead elsewhere than before, or nowhere by now."""
    here = tuple(addresses)
    before, after = ways(old, here), ways(new, here)
    return {
        key: after.get(key, frozenset())
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key)
    }


def stale(flows: Iterable[Flow], led: Mapping[tuple[str, int], frozenset[str]]) -> list[Flow]:
    """Return the flows to those addresses that lead elsewhere than they do now."""
    return [
        flow
        for flow in flows
        if (endpoints := led.get((flow.address, flow.port))) is not None
        and flow.endpoint not in endpoints
    ]


async def forget(led: Ways, family: Family) -> None:
    """Make the kernel forget the flows that are stale."""
    if led:
        await nft.forget(stale(parse(await nft.flows(family)), led), family)
