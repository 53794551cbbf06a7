"""Bytes handed on by this program."""

import asyncio
import random
import socket

from tests.ports import free_port

from kybern.lib.clock import SYSTEM
from kybern.proxy.endpoints import Target
from kybern.proxy.userspace import Choice, Forwarder

from .test_rules import front

HERE = "127.0.0.1"


def run(story):
    async def main():
        forwarder = Forwarder(SYSTEM, random.Random(1))
        try:
            await story(forwarder)
        finally:
            forwarder.close()

    asyncio.run(main())


async def echo(name):
    async def serve(reader, writer):
        writer.write(name + await reader.read())  # until the client's end, which is handed on
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HERE, 0)
    return server, Target(HERE, server.sockets[0].getsockname()[1])


async def ask(port, data=b"x"):
    try:
        reader, writer = await asyncio.open_connection(HERE, port)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
    except ConnectionError:
        return None
    writer.close()
    return answer


def service(port, *targets, **more):
    return front(cluster_ips=(HERE,), port=port, targets=targets, **more)


def test_connections():
    async def story(forwarder):
        (one, first), (two, second) = await echo(b"1"), await echo(b"2")
        port = free_port()
        async with one, two:
            await forwarder.update({"a/b": [service(port, first, second)]}, [])
            assert {await ask(port) for _ in range(20)} == {b"1x", b"2x"}
            big = b"y" * 3_000_000
            assert (await ask(port, big))[1:] == big
            await forwarder.update({"a/b": [service(port, first, second, affinity=60)]}, [])
            assert len({await ask(port) for _ in range(10)}) == 1
            # one that is gone is passed over
            dead = Target(HERE, free_port())
            await forwarder.update({"a/b": [service(port, first, dead)]}, [])
            assert {await ask(port) for _ in range(10)} == {b"1x"}
            await forwarder.update({"a/b": [service(port, dead)]}, [])
            assert await ask(port) is None
            # the last one goes: nobody listens
            await forwarder.update({"a/b": [service(port)]}, [])
            assert await ask(port) is None
            node_port = free_port()
            await forwarder.update({"a/b": [service(port, first, node_port=node_port)]}, [HERE])
            assert await ask(node_port) == b"1x"

    run(story)


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(b"u" + data, addr)


def test_datagrams():
    async def story(forwarder):
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Echo, (HERE, 0))
        target = Target(HERE, server.get_extra_info("sockname")[1])
        port = free_port(socket.SOCK_DGRAM)
        await forwarder.update({"a/b": [service(port, target, protocol="udp")]}, [])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect((HERE, port))
            for word in (b"a", b"b"):
                await loop.sock_sendall(client, word)
                async with asyncio.timeout(10):
                    assert await loop.sock_recv(client, 9) == b"u" + word
        server.close()

    run(story)


def test_who_is_tried_first():
    choice = Choice(SYSTEM, random.Random(1))
    choice.targets = tuple(Target(ip, 80) for ip in "abc")
    assert {choice.order("c")[0].ip for _ in range(30)} == set("abc")
    choice.affinity = 60
    choice.took("c", choice.targets[1])
    assert {choice.order("c")[0].ip for _ in range(9)} == {"b"}
    choice.targets = choice.targets[:1]
    assert choice.order("c") == [Target("a", 80)]
