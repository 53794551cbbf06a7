"""A node whose kernel is not there: the proxy as it is, told of objects, and what it hands to nft.

In:   Services, EndpointSlices and Nodes as trees of JSON; NetworkPolicies and Pods.
Out:  a Kernel that packets can be sent through.
By:   the tests beside this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any
from unittest import mock

from tests.packets import ipv6
from tests.packets.kernel import Kernel, Refused
from tests.packets.walk import Machine, Packet, ways

from kybern.api import codec
from kybern.api.core.v1 import Node, Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.network.policy.plan import Ruleset, peers_of, plan
from kybern.network.policy.script import changes, empty_table
from kybern.proxy import nft, sync
from kybern.proxy.sync import Proxy, ProxyConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from tests.packets.oracle import World
    from tests.packets.walk import Fate, Way

    from kybern.api.networking.v1 import NetworkPolicy
    from kybern.network.policy.peers import Peers

NAME = "one"
ADDRESS = "192.0.2.1"
PODS, MY_PODS, SERVICES = "10.244.0.0/16", "10.244.1.0/24", "10.96.0.0/16"
BALANCERS = "10.176.1.0/24"
MACHINE = Machine((ADDRESS, BALANCERS), MY_PODS)
SOON = 0.05  # of virtual time: the loop of the proxy has come round


class Feed:
    """Plays an informer: hands objects to whoever listens."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        self.objects: dict[str, Any] = {}
        self._listeners: list[tuple[Any, Any, Any]] = []

    def on(self, *, add: Any, update: Any, delete: Any = None) -> Feed:
        self._listeners.append((add, update, delete))
        for each in self.objects.values():
            add(each)
        return self

    def remove(self) -> None:
        self._listeners.clear()

    async def wait_synced(self) -> None:
        return

    def get(self, _namespace: str, name: str) -> Any:
        return self.objects.get(name)

    def be(self, trees: Mapping[str, Any]) -> None:
        """Let these objects, by name, be all there are."""
        for name in self.objects.keys() - trees.keys():
            self.take(name)
        for name, tree in trees.items():
            self.put(name, tree)

    def put(self, name: str, tree: Any) -> None:
        """Let an object be so."""
        old, new = self.objects.get(name), codec.from_tree(tree, self.kind)
        if old is not None and codec.equal(old, new):
            return
        self.objects[name] = new
        for add, update, _ in self._listeners:
            add(new) if old is None else update(old, new)

    def take(self, name: str) -> None:
        """Let an object go."""
        gone = self.objects.pop(name)
        for _, _, delete in self._listeners:
            delete(gone)


class Machinery:
    """The proxy and its kernel."""

    def __init__(self, kernel: Kernel, *, over_ipv6: bool) -> None:
        self.kernel = kernel
        self.feeds: dict[type[Any], Feed] = {}
        self.proxy: Proxy
        self.refused: list[str] = []
        self._over_ipv6 = over_ipv6

    def of(self, kind: type[Any], **_: Any) -> Feed:
        """Return the informer of a kind."""
        return self.feeds.setdefault(kind, Feed(kind))

    async def tell(self, world: World) -> None:
        """Let a World be what the API holds, and wait until the kernel has it."""
        self.show(world)
        await asyncio.sleep(SOON)

    def show(self, world: World) -> None:
        """Let a World be what the API holds."""
        self.of(Service).be(self.spoken(world.services))
        self.of(EndpointSlice).be(self.spoken(world.slices))

    def fates(self, packet: Packet) -> set[Fate]:
        """Return every end a packet may come to; addresses are of IPv4, whatever was spoken."""
        return {ipv6.understood(way.fate) for way in self.ways(packet)}

    def ways(self, packet: Packet) -> list[Way]:
        """Return every way a packet may take."""
        machine = Machine(*self.spoken(tuple(MACHINE)))
        return ways(self.kernel, machine, Packet(*self.spoken(tuple(packet))))

    def spoken(self, value: Any) -> Any:
        """Return the same with the addresses of the family that is spoken."""
        return ipv6.spoken(value) if self._over_ipv6 else value

    async def run(self, argv: list[str], text: bytes = b"") -> tuple[int, str]:
        """Stand in for programs: nft, ip and conntrack."""
        await asyncio.sleep(0)
        if argv[1:] == ["-f", "-"]:
            try:
                self.kernel.apply(text.decode())
            except Refused as error:
                self.refused.append(str(error))
                return 1, str(error)
        if argv[1:5] == ["-j", "-t", "list", "table"]:
            listed = self.kernel.listed(*argv[5:])
            return int(not listed), json.dumps({"nftables": listed})
        return 0, ""


def node_tree(labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the Node the proxy is on."""
    addresses = [{"type": "InternalIP", "address": ADDRESS}]
    return {"metadata": {"name": NAME, "labels": dict(labels or {})},
            "status": {"addresses": addresses}}  # fmt: skip


@contextlib.asynccontextmanager
async def node(
    world: World, kernel: Kernel | None = None, *, zone: str = "here", over_ipv6: bool = False
) -> AsyncIterator[Machinery]:
    """Run a proxy in virtual time, over what an earlier one left in a kernel."""
    machinery = Machinery(kernel or Kernel(), over_ipv6=over_ipv6)
    mine = node_tree({sync.ZONE_LABEL: zone})
    machinery.show(world)
    machinery.of(Node).be(machinery.spoken({NAME: mine}))
    networks = {"cluster_cidr": PODS, "service_cidr": SERVICES, "balancer_cidr": BALANCERS}
    config = ProxyConfig(node_name=NAME, **machinery.spoken(networks))
    with contextlib.ExitStack() as patches:
        for module, name, value in (
            (nft, "run", machinery.run), (nft, "program", lambda name="nft": name),
            (sync, "enable_forwarding", lambda *_: None),
        ):  # fmt: skip
            patches.enter_context(mock.patch.object(module, name, value))
        machinery.proxy = Proxy(config, machinery)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(machinery.proxy.run())
            await asyncio.sleep(SOON)
            yield machinery
            running.cancel()
    assert machinery.refused == []


def enforce(kernel: Kernel, policies: Mapping[Any, NetworkPolicy], pods: Peers) -> None:
    """Let these be all NetworkPolicies."""
    pods.keep(peers_of(policies.values()))
    ruleset = plan(policies, pods, NAME)
    kernel.apply(empty_table("policy") + changes("policy", Ruleset(), ruleset))


def lines(script: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a script that say something, with their numbers."""
    for number, line in enumerate(script.splitlines()):
        if line.strip(" }"):
            yield number, line.strip()


def instead(script: str, number: int, line: str) -> str:
    """Return a script with another line; "" for one that is missing."""
    return "\n".join(line if at == number else old for at, old in enumerate(script.splitlines()))
