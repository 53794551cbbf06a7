"""The whole server: sockets in front, the real API server behind."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager

import pytest

from kybern.api.core.v1 import ConfigMap, Namespace, Service, ServicePort, ServiceSpec
from kybern.api.discovery.v1 import Endpoint, EndpointPort, EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.apiserver.app import ApiServer
from kybern.apiserver.config import Config
from kybern.client.in_process import InProcessTransport
from kybern.client.rest import Client
from kybern.client.transport import MASTER
from kybern.dns import wire
from kybern.dns.config import DnsConfig
from kybern.dns.listen import Address
from kybern.dns.server import DnsServer
from kybern.dns.upstreams import Server
from kybern.lib.clock import SYSTEM
from kybern.lib.metrics import REGISTRY
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store


class Asker(asyncio.DatagramProtocol):
    def __init__(self):
        self.answers = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.answers.put_nowait(data)


def message(text, qtype=wire.A):
    question = wire.encode_name(text) + struct.pack("!HH", qtype, 1)
    return b"\x12\x34" + struct.pack("!HHHHH", wire.RD, 1, 0, 0, 0) + question


async def ask(address, text, qtype=wire.A):
    loop = asyncio.get_running_loop()
    transport, asker = await loop.create_datagram_endpoint(Asker, remote_addr=tuple(address))
    try:
        transport.sendto(message(text, qtype))
        return await asker.answers.get()
    finally:
        transport.close()


async def ask_tcp(address, *texts):
    reader, writer = await asyncio.open_connection(*address)
    packed = [message(text) for text in texts]
    data = b"".join(len(each).to_bytes(2, "big") + each for each in packed)
    writer.write(data[:5])
    await asyncio.sleep(0.01)
    writer.write(data[5:])
    answers = []
    for _ in texts:
        size = int.from_bytes(await reader.readexactly(2), "big")
        answers.append(await reader.readexactly(size))
    writer.close()
    await writer.wait_closed()
    return answers


def addresses(packed):
    """Return the code and the addresses answered."""
    count = int.from_bytes(packed[6:8], "big")
    at, found = wire.skip_plain_name(packed, 12) + 4, []
    for _ in range(count):
        at = wire.skip_name(packed, at) + 10
        found.append(socket.inet_ntoa(packed[at : at + 4]))
        at += 4
    return packed[3] & 15, sorted(found)


def service(name, **spec):
    ports = [ServicePort(name="http", port=80, protocol="TCP")]
    meta = ObjectMeta(name=name, namespace="default")
    return Service(metadata=meta, spec=ServiceSpec(ports=ports, selector={"app": name}, **spec))


def slice_of(name, *ips):
    labels = {"kubernetes.io/service-name": name}
    return EndpointSlice(
        metadata=ObjectMeta(name=f"{name}-1", namespace="default", labels=labels),
        addressType="IPv4",
        endpoints=[Endpoint(addresses=[ip]) for ip in ips],
        ports=[EndpointPort(name="http", port=8080, protocol="TCP")],
    )


@asynccontextmanager
async def a_server(**more):
    api = ApiServer(Config(), Store(MemoryEngine(), SYSTEM), SYSTEM)
    client = Client(InProcessTransport(api.app, MASTER), SYSTEM)
    await client.create(Namespace(metadata=ObjectMeta(name="default")))
    more.setdefault("listen", (Address("127.0.0.1", 0), Address("127.0.0.2", 0)))
    more.setdefault("resolv_conf", "/nowhere")
    config = DnsConfig(**more)
    assert not config.check()
    server = DnsServer(config, client)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        await server.ready.wait()
        yield server, client
        task.cancel()


async def eventually(question, expected):
    while (found := await question()) != expected:
        await asyncio.sleep(0.01)
    return found


def test_services_come_and_go(live):
    async def story():
        async with a_server() as (server, client):
            for address in server.addresses:
                missing = await ask(address, "web.default.svc.cluster.local")
                assert addresses(missing) == (wire.NXDOMAIN, [])
            made = await client.create(service("web"))

            async def look():
                return addresses(await ask(server.addresses[1], "web.default.svc.cluster.local"))

            await eventually(look, (0, [made.spec.clusterIP]))
            await client.delete(Service, "web", "default")
            await eventually(look, (wire.NXDOMAIN, []))
            assert server.statistics()["services"] == 0
            assert "kybern_dns_names 3" in REGISTRY.expose().decode()

    live(story())


def test_headless_services_follow_their_endpoints(live):
    async def story():
        async with a_server() as (server, client):
            await client.create(slice_of("db", "10.1.0.1"))
            await client.create(service("db", clusterIP="None"))

            async def look():
                return addresses(await ask(server.addresses[0], "db.default.svc.cluster.local"))

            await eventually(look, (0, ["10.1.0.1"]))
            patch = {"endpoints": [{"addresses": ["10.1.0.1"]}, {"addresses": ["10.1.0.2"]}]}
            await client.patch(EndpointSlice, "db-1", "default", patch)
            await eventually(look, (0, ["10.1.0.1", "10.1.0.2"]))
            await client.delete(EndpointSlice, "db-1", "default")
            await eventually(look, (wire.NXDOMAIN, []))

    live(story())


def test_over_tcp_too_and_several_at_a_time(live):
    async def story():
        async with a_server() as (server, client):
            made = await client.create(service("web"))
            await asyncio.sleep(0.05)
            names = ("web.default.svc.cluster.local", "no.default.svc.cluster.local", "example.org")
            answers = await ask_tcp(server.addresses[0], *names)
            assert [addresses(each) for each in answers] == [
                (wire.NOERROR, [made.spec.clusterIP]),
                (wire.NXDOMAIN, []),
                (wire.REFUSED, []),
            ]

    live(story())


def test_nonsense_over_tcp_ends_the_connection(live):
    async def story():
        async with a_server() as (server, _):
            reader, writer = await asyncio.open_connection(*server.addresses[0])
            writer.write(b"\0\3abc")
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    live(story())


def test_too_many_waiting_are_refused(live):
    async def story():
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        silent.bind(("127.0.0.1", 0))
        upstreams = (Server(*silent.getsockname()),)
        async with a_server(upstreams=upstreams, max_waiting=1) as (server, _):
            loop = asyncio.get_running_loop()
            address = tuple(server.addresses[0])
            transport, asker = await loop.create_datagram_endpoint(Asker, remote_addr=address)
            transport.sendto(message("a.example"))
            transport.sendto(message("b.example"))
            assert addresses(await asker.answers.get())[0] == wire.REFUSED
            transport.close()
        silent.close()

    live(story())


class Fixed(asyncio.DatagramProtocol):
    """An upstream server that has one answer to everything."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        end = wire.skip_plain_name(data, 12) + 4
        found = wire.record(wire.POINTER_TO_QUESTION, wire.A, 60, bytes((192, 0, 2, 9)))
        header = data[:2] + struct.pack("!HHHHH", wire.QR, 1, 1, 0, 0)
        self.transport.sendto(header + data[12:end] + found, addr)


def test_upstream_servers_of_the_config_map(live):
    async def story():
        loop = asyncio.get_running_loop()
        played, _ = await loop.create_datagram_endpoint(Fixed, local_addr=("127.0.0.1", 0))
        there = "{}:{}".format(*played.get_extra_info("sockname"))
        async with a_server() as (server, client):

            async def look():
                return addresses(await ask(server.addresses[0], "www.acme.local"))

            assert (await look())[0] == wire.REFUSED
            await client.create(Namespace(metadata=ObjectMeta(name="kube-system")))
            where = ("kybern-dns", "kube-system")
            meta = ObjectMeta(name=where[0], namespace=where[1])
            stubs = {"stubDomains": json.dumps({"acme.local": [there]})}
            await client.create(ConfigMap(metadata=meta, data=stubs))
            await eventually(look, (0, ["192.0.2.9"]))
            # what cannot be followed changes nothing
            await client.patch(ConfigMap, *where, {"data": {"stubDomains": "{"}})
            await client.patch(ConfigMap, *where, {"data": {"upstreamNameservers": "[1]"}})
            assert await look() == (0, ["192.0.2.9"])
            await client.delete(ConfigMap, *where)
            await eventually(look, (wire.REFUSED, []))
        played.close()

    live(story())


def test_a_port_that_is_taken(live):
    async def story():
        async with a_server(listen=(Address(*taken.getsockname()),)):
            pass

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ExceptionGroup) as caught:
            live(story())
    (error,) = caught.value.exceptions
    assert str(error).startswith("[Errno 98] cannot listen on UDP 127.0.0.1:")
    assert str(error).endswith(": Address already in use")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"domain": "a..b"}, "domain is not a DNS name: 'a..b'"),
        ({"listen": ()}, "listen names no address"),
        ({"listen": (Address("localhost", 53),)}, "not an IP address: 'localhost'"),
        ({"listen": (Address("127.0.0.1", 99999),)}, "not a port: 99999"),
        ({"ttl": -1}, "ttl and keep cannot be negative"),
        ({"max_waiting": 0}, "max_waiting must be at least 1"),
    ],
)
def test_configuration_is_checked(config, problem):
    assert DnsConfig(**config).check() == [problem]
