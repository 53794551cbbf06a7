"""The loop: nothing that changes is missed, nothing unchanged is written."""

import asyncio

import pytest

from kybern.api.core.v1 import Node, NodeAddress, NodeStatus
from kybern.api.meta.v1 import ObjectMeta
from kybern.proxy import nft, sync
from kybern.proxy.sync import Proxy, ProxyConfig

from .test_model import endpoint, piece, service


class FakeInformer:
    def __init__(self):
        self.handlers = None

    def on(self, *, add, update, delete=None):
        self.handlers = (add, update, delete)
        return self

    def remove(self):
        self.handlers = None

    def get(self, _namespace, _name):
        return None

    async def wait_synced(self):
        return


class FakeInformers:
    def __init__(self):
        self.made = []

    def of(self, _kind):
        self.made.append(FakeInformer())
        return self.made[-1]


class Kernel:
    """Takes transactions; each lasts until `release`."""

    def __init__(self):
        self.transactions = []
        self.gate = asyncio.Event()
        self.refuse = False
        self.missing = ""
        self.announced = []

    async def apply(self, commands):
        if commands:
            self.transactions.append(commands)
        await self.gate.wait()
        if self.refuse:
            self.refuse = False
            raise nft.NftError("no")

    async def announce(self, network):
        self.announced.append(network)

    async def find(self, *_):
        return sync.takeover.Earlier()

    async def why_not(self, _family):
        return self.missing

    def text(self):
        return str(self.transactions[-1])


@pytest.fixture
def world(monkeypatch):
    kernel = Kernel()
    monkeypatch.setattr(nft, "apply", kernel.apply)
    monkeypatch.setattr(nft, "why_not", kernel.why_not)
    monkeypatch.setattr(sync.takeover, "find", kernel.find)
    monkeypatch.setattr(sync, "enable_forwarding", lambda _family: None)
    monkeypatch.setattr(sync, "announce", kernel.announce)
    informers = FakeInformers()
    proxy = Proxy(ProxyConfig(node_name="one"), informers)
    services, slices, nodes = informers.made
    return proxy, kernel, services, slices, nodes


async def turn():
    for _ in range(20):
        await asyncio.sleep(0)


def test_what_changes_during_a_transaction_is_in_the_next(world, virtual):
    proxy, kernel, services, slices, _nodes = world

    async def story():
        task = asyncio.get_running_loop().create_task(proxy.run())
        await turn()
        services.handlers[0](service())
        slices.handlers[0](piece(endpoint("10.0.0.1", ready=True)))
        kernel.gate.set()
        await turn()
        kernel.gate.clear()
        slices.handlers[1](None, piece(endpoint("10.0.0.2", ready=True)))
        await turn()
        assert "10.0.0.2" in kernel.text()
        slices.handlers[1](None, piece(endpoint("10.0.0.3", ready=True)))  # while it is applied
        kernel.gate.set()
        await turn()
        assert "10.0.0.3" in kernel.text()
        count = len(kernel.transactions)
        await turn()
        assert len(kernel.transactions) == count
        task.cancel()

    virtual(story())


def test_after_a_refusal_everything_is_written_anew(world, virtual):
    proxy, kernel, services, slices, _nodes = world

    async def story():
        task = asyncio.get_running_loop().create_task(proxy.run())
        kernel.gate.set()
        await turn()
        services.handlers[0](service())
        kernel.refuse = True
        slices.handlers[0](piece(endpoint("10.0.0.1", ready=True)))
        await turn()
        await asyncio.sleep(2)
        text = kernel.text()
        assert "10.0.0.1" in text
        assert "nat-prerouting" in text
        task.cancel()

    virtual(story())


def node(*addresses, zone=None):
    listed = [NodeAddress(type="InternalIP", address=a) for a in addresses]
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    return Node(metadata=ObjectMeta(name="one", labels=labels), status=NodeStatus(addresses=listed))


def test_node_ports_are_served_on_the_addresses_of_the_node(world, virtual):
    proxy, kernel, services, _slices, nodes = world

    async def story():
        task = asyncio.get_running_loop().create_task(proxy.run())
        kernel.gate.set()
        await turn()
        services.handlers[0](service())
        nodes.handlers[0](node("192.0.2.1"))
        await turn()
        assert "node_addresses { 192.0.2.1 }" in kernel.text()
        count = len(kernel.transactions)
        nodes.handlers[1](None, node("192.0.2.1"))
        await turn()
        assert len(kernel.transactions) == count
        nodes.handlers[1](None, node("192.0.2.2", zone="here"))
        await turn()
        assert "node_addresses { 192.0.2.2 }" in kernel.text()
        assert proxy.healthy()
        task.cancel()

    virtual(story())


def test_without_nftables_this_program_forwards(world, virtual, caplog):
    proxy, kernel, services, slices, _nodes = world
    kernel.missing = "nft is not installed: install the package nftables."

    async def story():
        task = asyncio.get_running_loop().create_task(proxy.run())
        await turn()
        services.handlers[0](service(clusterIP="127.0.0.1"))
        slices.handlers[0](piece(endpoint("10.0.0.1", ready=True)))
        await turn()
        assert kernel.transactions == []
        assert kernel.announced == ["10.96.0.0/16"]
        assert proxy.statistics() == {"services": 1, "waiting": 0}
        assert proxy.eligible()
        task.cancel()

    virtual(story())
    assert "forwarded by this program" in caplog.text
