"""That the check can fail: every rule and every kind of element matters to some packet.

One World that needs all rules. Each of them is taken away, or changed, in what was handed to nft;
then some packet has to end elsewhere than the API says. A rule that nothing misses would be one
that nobody needs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.packets import worlds
from tests.packets.kernel import Kernel, Refused
from tests.packets.node import ADDRESS, MACHINE, NAME, instead, lines, node
from tests.packets.oracle import World, expected, keeper
from tests.packets.walk import Endless, fates, ways

from kybern.lib.clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Iterator

AFFINITY = 10800  # seconds, by default
EVERY = ("TCP", "UDP", "SCTP")
# The second choice is for packets on their way while a transaction comes into force; see base.py.
SPARE = re.compile(r"dnat to .* mod 1 map @\S+")
# A node reaches itself whoever it is seen as; rules are made without knowing who the node is.
ITSELF = f"{ADDRESS} . {ADDRESS}"


def service(number, kind="ClusterIP", protocols=("TCP",), **spec):
    ports = [
        {"name": p.lower(), "port": 80, "protocol": p,
         **({} if kind == "ClusterIP" else {"nodePort": 30000 + number * 10 + at})}
        for at, p in enumerate(protocols)
    ]  # fmt: skip
    made = {"metadata": {"name": f"s{number}", "namespace": "n"},
            "spec": {"type": kind, "clusterIP": f"10.96.0.{number}", "ports": ports, **spec}}  # fmt: skip
    if kind == "LoadBalancer":
        made["status"] = {"loadBalancer": {"ingress": [{"ip": f"10.176.1.{number}"}]}}
    return made


def piece(number, *endpoints, protocols=("TCP",)):
    labels = {"kubernetes.io/service-name": f"s{number}"}
    return {
        "metadata": {"name": f"s{number}-0", "namespace": "n", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [ip], "nodeName": where, "conditions": {"ready": True}}
            for ip, where in endpoints
        ],
        "ports": [
            {"name": p.lower(), "port": 8000 + at, "protocol": p} for at, p in enumerate(protocols)
        ],
    }


MINE, HIS, OTHERS = (worlds.SERVER, NAME), (worlds.FAR_POD, "two"), (worlds.FAR_SERVER, "two")
MADE = [
    (service(1, protocols=EVERY), piece(1, MINE, HIS, protocols=EVERY)),
    (service(2, "NodePort", EVERY), piece(2, MINE, HIS, protocols=EVERY)),
    (service(3, "NodePort", EVERY), None),
    (service(4, "LoadBalancer", loadBalancerSourceRanges=[f"{worlds.FRIEND}/32"]), piece(4, MINE)),
    (service(5, "LoadBalancer", externalTrafficPolicy="Local"), piece(5, MINE, HIS)),
    (service(6, "LoadBalancer", externalTrafficPolicy="Local"), piece(6, HIS)),
    (service(7, internalTrafficPolicy="Local", externalIPs=["203.0.113.107"]), piece(7, OTHERS)),
    (service(8, "LoadBalancer", sessionAffinity="ClientIP", externalTrafficPolicy="Local"),
     piece(8, MINE, (worlds.LOCAL_POD, NAME), HIS)),
    (service(9, "LoadBalancer", sessionAffinity="ClientIP"), piece(9, (ADDRESS, NAME), OTHERS)),
    (service(10, externalIPs=["203.0.113.110"]), piece(10, MINE, OTHERS)),
]  # fmt: skip
WORLD = World(
    {s["metadata"]["name"]: s for s, _ in MADE},
    {p["metadata"]["name"]: p for _, p in MADE if p},
)
ENDS = {packet: expected(WORLD, packet) for packet in worlds.packets(WORLD)}


@pytest.fixture(scope="module")
def script():
    """What was handed to nft to make the World, as one script."""

    async def story():
        async with node(WORLD) as machinery:
            return "".join(machinery.kernel.scripts)

    return run_virtual(story())


def passes(text):
    """Whether the kernel takes a script, and every packet ends where it should."""
    kernel = Kernel()
    try:
        kernel.apply(text)
        return all(fates(kernel, MACHINE, p) == ends for p, ends in ENDS.items()) and stays(kernel)
    except (Refused, Endless, ValueError):
        return False


def stays(kernel):
    """Whether clients who may stay with their endpoint do, whichever it is, and not for ever."""
    for packet, free in ENDS.items():
        if not keeper(WORLD, packet) or len(free) < 2:
            continue
        for first in ways(kernel, MACHINE, packet):
            first.arrive()
            kernel.pass_time(AFFINITY - 1)
            kept = fates(kernel, MACHINE, packet)
            kernel.pass_time(2)
            if kept != {first.fate} or fates(kernel, MACHINE, packet) != free:
                return False
    return True


def rules_of(text) -> Iterator[tuple[int, str]]:
    """Yield the rules."""
    kinds = ("table", "map", "set", "chain", "type", "add table", "delete", "flush", "add chain")
    for number, line in lines(text):
        if line.startswith("add rule"):
            yield number, line.split(" ", 5)[5]
        elif not line.startswith((*kinds, "add set", "add element")):
            yield number, line


def test_nothing_is_wrong_with_what_was_not_changed(script):
    assert passes(script)


def test_every_rule_is_needed(script):
    survivors = [
        rule
        for number, rule in rules_of(script)
        if not SPARE.fullmatch(rule) and passes(instead(script, number, ""))
    ]
    assert survivors == []


CHANGES = (
    (r"\bdrop\b", "accept"), (r"goto refuse", "drop"), (r"!= ", ""), (r"jump to-masq", "goto to-masq"),
    (r"mod (\d+) (map|vmap) \{ 0", r"mod 1 \2 { 0"), (r"goto marked-", "goto pick-"),
    (r"goto pick-", "goto marked-"), (r"goto (ep|loc|svc)-\S+$", "accept"), (r"(?<!fib )saddr", "daddr"),
    (r"timeout 10800s", "timeout 10700s"), (r"timeout 10800s", "timeout 10802s"),
    (r"ip saddr . ip daddr @hairpin", "ip saddr @cluster_addresses"), (r"mod 2 map", "mod 1 map"),
    (r"mod 3 vmap", "mod 2 vmap"), (r"hook prerouting", "hook forward"), (r"policy accept", "policy drop"),
    (r": 10\.244\.1\.1 ", ": 10.244.1.3 "), (r"\. 8000\b", ". 8001"),
)  # fmt: skip


@pytest.mark.parametrize(("what", "by"), CHANGES, ids=[what for what, _ in CHANGES])
def test_what_is_wrong_is_seen(script, what, by):
    tried, survivors = 0, []
    for number, line in lines(script):
        if (changed := re.sub(what, by, line)) != line and not SPARE.fullmatch(line):
            tried += 1
            if passes(instead(script, number, changed)):
                survivors.append((line, changed))
    assert tried
    assert survivors == [], f"{len(survivors)} of {tried}"


def test_every_element_is_needed(script):
    """One by one: the first and the last of each map and set, and one in ten between them."""
    survivors, tried = [], 0
    for number, line in lines(script):
        if not line.startswith("add element"):
            continue
        head, _, inside = line.partition("{ ")
        items = inside.removesuffix(" }").split(", ")
        for at in sorted({0, len(items) - 1, *range(0, len(items), 10)}):
            left = [item for index, item in enumerate(items) if index != at]
            changed = f"{head}{{ {', '.join(left)} }}"
            tried += 1
            text = instead(script, number, changed) if left else instead(script, number, "")
            if ITSELF not in items[at] and passes(text):
                survivors.append((head, items[at]))
    assert tried > 20
    assert survivors == []
