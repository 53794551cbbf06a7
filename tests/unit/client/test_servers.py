"""One API server dies; whoever asked it asks the next, and never does a thing twice."""

import asyncio
import socket

import pytest

from kybern.client import tls
from kybern.client.config import ClientConfig
from kybern.client.servers import Servers
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.lib.http.messages import Response
from kybern.lib.http.server import serve


class Replica:
    """One of several servers; says who it is, and counts what it is asked."""

    def __init__(self, name):
        self.name = name
        self.asked = []
        self.hold = asyncio.Event()
        self.holding = asyncio.Event()

    async def start(self):
        self.server = await serve(self.app, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.port}"
        return self

    async def app(self, request):
        self.asked.append(request.method)
        if request.path == "/hold":
            self.holding.set()
            await self.hold.wait()
        return Response(200, self.name.encode())

    async def die(self):
        await self.server.close(0)


async def replicas():
    return [await Replica(name).start() for name in ("a", "b", "c")]


def ring(found):
    servers = Servers(replica.url for replica in found)
    return servers, TlsTransport(ClientConfig(found[0].url), servers=servers)


async def ask(transport, method="GET", path="/"):
    return (await (await transport.request(method, path)).read()).decode()


def test_requests_go_on_at_the_next_server(live):
    async def story():
        found = await replicas()
        servers, transport = ring(found)
        assert await ask(transport) == "a"
        await found[0].die()
        assert await ask(transport) == "b"
        _, fresh = ring(found)
        assert await ask(fresh, "POST") == "b"  # there was no connection to the first
        await fresh.close()
        await found[1].die()
        assert await ask(transport) == "c"
        assert servers.current == found[2].url
        await found[2].die()
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
            await ask(transport)
        await transport.close()

    live(story())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_may_have_been_done_is_only_repeated_when_it_reads(live, method):
    async def story():
        found = await replicas()
        _, transport = ring(found)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(_outcome(ask(transport, method, "/hold")))
            await found[0].holding.wait()
            for other in found[1:]:
                other.hold.set()
            await found[0].die()
        assert asking.result() == ("b" if method == "GET" else "unknown")
        assert len(found[1].asked) == (method == "GET")
        assert await ask(transport) == "b"
        for replica in found[1:]:
            await replica.die()
        await transport.close()

    live(story())


async def _outcome(asking):
    try:
        return await asking
    except Unreachable:
        return "unknown"


def test_servers_are_learned_and_the_first_ones_kept():
    servers = Servers(["https://lb:6443"])
    assert servers.learn(["https://b:6443", "https://a:6443"])
    assert servers.urls == ("https://lb:6443", "https://a:6443", "https://b:6443")
    assert not servers.learn(["https://a:6443", "https://b:6443"])
    servers.failed("https://lb:6443")
    servers.failed("https://lb:6443")  # somebody else noticed too
    assert servers.current == "https://a:6443"
    assert servers.learn(["https://0:6443", "https://a:6443"])
    assert servers.current == "https://a:6443"
    assert servers.learn(["https://c:6443"])
    assert servers.current == "https://lb:6443"


def test_one_server_is_enough():
    servers = Servers(["https://a:6443"])
    servers.failed("https://a:6443")
    assert servers.current == "https://a:6443"


def test_a_server_that_is_slow_to_connect_gets_more_time_in_the_second_round(live, monkeypatch):
    async def story():
        silent = socket.socket()  # takes connections into its backlog, but never speaks
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(tls, "SHORT_TIMEOUT", 0.05)
        monkeypatch.setattr(tls, "CONNECT_TIMEOUT", 0.15)
        servers = Servers([url, url.replace("127.0.0.1", "localhost")])
        transport = TlsTransport(ClientConfig(url, insecure=True), servers=servers)
        with pytest.raises(Unreachable, match=r"no connection within 0\.1 s"):
            await ask(transport)
        await transport.close()
        silent.close()

    live(story())
