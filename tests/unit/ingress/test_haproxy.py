"""A real haproxy does what the plan says."""

import asyncio
import contextlib
import functools
import os
import select
import signal
import ssl
import subprocess
import sys
from concurrent import futures

import pytest

from kybern.cluster import prerequisites
from kybern.ingress import haproxy, plan
from kybern.ingress.certificates import Certificate
from kybern.ingress.config import IngressConfig
from kybern.lib import pki
from kybern.lib.clock import SYSTEM
from kybern.lib.tasks import Tasks

from .conftest import World, ingress, rule

pytestmark = pytest.mark.skipif(
    prerequisites.find("haproxy") is None, reason="haproxy is not installed"
)
SERVICES = ("web", "api", "other", "deep", "any")


class Site:
    """A proxy, and a server for each Service that says its name and the request's headers."""

    def __init__(self, proxy, world, ended, refused):
        self.refused = refused
        self.proxy = proxy
        self.ended = ended
        self.world = world

    async def apply(self, *ingresses, certificates=None):
        self.plan = self.world.plan(*ingresses, certificates=certificates)
        await self.proxy.apply(self.plan)

    async def get(self, host, path="/", tls=None):
        port = self.proxy.ports.numbers["https" if tls else "http"]
        names = {"ssl": tls, "server_hostname": host} if tls else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **names)
        words = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        writer.write(words.encode())
        answer = (await reader.read()).decode()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        head, _, body = answer.partition("\r\n\r\n")
        code = int(head.split()[1])
        return body if code == 200 else code


class Server(asyncio.Protocol):
    """Says its name, and what it was asked."""

    def __init__(self, name, open_):
        self.name = name
        self.open = open_

    def connection_made(self, transport):
        self.transport = transport
        self.open.add(transport)

    def connection_lost(self, _error):
        self.open.discard(self.transport)

    def data_received(self, asked):
        body = f"{self.name}\n{asked.decode()}".encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@contextlib.asynccontextmanager
async def site(directory, https_port=0):
    world, servers, connections = World(), [], set()
    loop = asyncio.get_running_loop()
    for name in SERVICES:
        make = functools.partial(Server, name, connections)
        servers.append(await loop.create_server(make, "127.0.0.1", 0))
        world.add(name, "127.0.0.1", port=servers[-1].sockets[0].getsockname()[1])
    config = IngressConfig(
        node_name="n", address="10.0.0.1", directory=directory, http_port=0, https_port=https_port
    )
    async with Tasks("site") as tasks:
        ended = asyncio.Event()
        proxy = haproxy.Haproxy(config, SYSTEM, tasks, ended.set)
        try:
            yield Site(proxy, world, ended, proxy.ports.open())
        finally:
            await proxy.stop()
            for each in (*servers, *connections):
                each.close()
            while connections:
                await asyncio.sleep(0)


def name_of(answer):
    return answer.split("\n")[0] if isinstance(answer, str) else answer


RULES = (
    rule(
        "shop.example",
        ("/", "Prefix", "web"), ("/api", "Prefix", "api"), ("/api/v1/", "Prefix", "deep"),
        ("/api", "Exact", "other"),
    ),
    rule("*.example", ("/", "Prefix", "other")),
    rule("only.example", ("/here", "Exact", "api")),
    rule(None, ("/all", "Prefix", "any")),
    rule("broken.test", ("/", "Prefix", "missing")),
)  # fmt: skip
ANSWERS = [
    ("shop.example", "/", "web"),
    ("SHOP.example:80", "/x?q=/api", "web"),
    ("shop.example.", "/", "web"),
    ("shop.example", "/api", "other"),  # exact before prefix
    ("shop.example", "/api/", "api"),
    ("shop.example", "/api/x", "api"),
    ("shop.example", "/apix", "web"),  # elements, not characters
    ("shop.example", "/api/v1", "deep"),  # the longest
    ("shop.example", "/api/v1/a/b", "deep"),
    ("shop.example", "/API", "web"),
    ("a.example", "/", "other"),
    ("a.b.example", "/", 404),  # one label
    ("example", "/", 404),
    ("only.example", "/here", "api"),
    ("only.example", "/here/", "other"),  # no rule of its own fits, the wildcard's does
    ("who.test", "/all/x", "any"),
    ("who.test", "/", 404),
    ("broken.test", "/", 503),
]


def test_hosts_and_paths(live, tmp_path):
    async def story():
        async with site(tmp_path) as it:
            await it.apply(ingress(*RULES))
            found = [(h, p, name_of(await it.get(h, p))) for h, p, _ in ANSWERS]
            assert found == ANSWERS
            # what answers when nothing fits: for the host, then for everybody
            mine = ingress(rule("mine.test", ("/x", "Exact", "web")), default="api", name="mine")
            await it.apply(ingress(*RULES), mine, ingress(default="deep", name="all"))
            assert name_of(await it.get("mine.test", "/y")) == "api"
            assert name_of(await it.get("who.test", "/y")) == "deep"

    live(story())


def test_headers_tell_of_the_client(live, tmp_path):
    async def story():
        async with site(tmp_path) as it:
            await it.apply(ingress(rule("a.test", ("/", "Prefix", "web"))))
            answer = (await it.get("a.test")).lower()
            port = it.proxy.ports.numbers["http"]
            for line in (
                "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http",
                "x-forwarded-host: a.test", f"x-forwarded-port: {port}",
            ):  # fmt: skip
                assert f"{line}\r\n" in answer

    live(story())


def test_certificates_by_name(live, tmp_path):
    now = SYSTEM.now()
    authority = pki.make_ca("ca", now=now)
    trust = ssl.create_default_context(cadata=authority.certificate.decode())

    def made(*names):
        pair = pki.issue(authority, pki.Subject(names[0], dns_names=names), now=now, server=True)
        return Certificate(pem=pair.certificate + pair.key)

    certificates = {("shop", "a"): made("a.test"), ("shop", "b"): made("*.b.test")}
    one = ingress(
        rule("a.test", ("/", "Prefix", "web")),
        rule("*.b.test", ("/", "Prefix", "api")),
        rule("c.test", ("/", "Prefix", "other")),
        tls=[("a", "a.test"), ("b", "*.b.test")],
    )

    async def story():
        async with site(tmp_path) as it:
            await it.apply(one, certificates=certificates)
            assert name_of(await it.get("a.test", tls=trust)) == "web"
            assert "x-forwarded-proto: https" in await it.get("x.b.test", tls=trust)
            with pytest.raises(ssl.SSLCertVerificationError):
                await it.get("c.test", tls=trust)
            certificates["shop", "a"] = made("c.test")  # a new one is shown at once
            one.spec.tls[0].hosts = ["c.test"]
            await it.apply(one, certificates=certificates)
            assert name_of(await it.get("c.test", tls=trust)) == "other"
            with pytest.raises(ssl.SSLCertVerificationError):
                await it.get("a.test", tls=trust)

    live(story())


def test_endpoints_change_without_a_reload(live, tmp_path):
    async def story():
        async with site(tmp_path) as it:
            await it.apply(ingress(rule("a.test", ("/", "Prefix", "web"))))
            there = it.world.slices["shop", "web"]
            for slices, expected in (
                (it.world.slices["shop", "api"], "api"), ([], 503), (there, "web"),
            ):  # fmt: skip
                it.world.slices["shop", "web"] = slices
                later = plan.with_endpoints(it.plan, {("shop", "web")}, it.world.around)
                await it.proxy.apply(later)
                assert name_of(await it.get("a.test")) == expected
            assert it.proxy.reloads == 0

    live(story())


def test_a_connection_outlives_reloads(live, tmp_path):
    async def story():
        async with site(tmp_path) as it:
            one = ingress(rule("a.test", ("/", "Prefix", "web")))
            await it.apply(one)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", it.proxy.ports.numbers["http"]
            )
            for number in range(2):
                if number:
                    await it.apply(one, ingress(default="api", name="more"))
                writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                assert b" 200 " in await reader.readuntil(b"\r\n")
                for _ in ("its head", "its body"):
                    await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()
            assert it.proxy.reloads == 1

    live(story())


def test_a_proxy_that_is_killed_starts_again(live, tmp_path):
    async def story():
        async with site(tmp_path) as it:
            one = ingress(rule("a.test", ("/", "Prefix", "web")))
            await it.apply(one)
            os.kill(int((tmp_path / "haproxy.pid").read_text()), signal.SIGKILL)
            await it.ended.wait()
            waiting = asyncio.ensure_future(it.get("a.test"))  # nobody answers, nobody refuses
            await it.apply(one)
            assert name_of(await waiting) == "web"

    live(story())


def test_nothing_is_left(live, tmp_path):
    async def story():
        async with site(tmp_path) as it:
            await it.apply(ingress(default="web"))
            pid = int((tmp_path / "haproxy.pid").read_text())
            assert os.path.exists(f"/proc/{pid}")
        assert not os.path.exists(f"/proc/{pid}")
        assert not (tmp_path / "haproxy.pid").exists()

    live(story())


def test_it_ends_with_its_parent(tmp_path):
    program = """
import asyncio, sys
from pathlib import Path
from kybern.ingress.config import IngressConfig
from kybern.ingress.haproxy import Haproxy
from kybern.ingress.plan import make
from kybern.ingress.backends import Around
from kybern.lib.clock import SYSTEM
from kybern.lib.tasks import Tasks

async def main():
    config = IngressConfig(
        node_name="n", address="", directory=Path(sys.argv[1]), http_port=0, https_port=0
    )
    async with Tasks() as tasks:
        proxy = Haproxy(config, SYSTEM, tasks, lambda: None)
        proxy.ports.open()
        await proxy.apply(make([], Around(None, None), {}))
        print("serving", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout.readline() == b"serving\n"
        pid = os.pidfd_open(int((tmp_path / "haproxy.pid").read_text()))
        parent.kill()
        try:
            assert select.select([pid], [], [], 20)[0]
        finally:
            os.close(pid)


def test_a_port_that_is_taken(live, tmp_path):
    async def story():
        taken = await asyncio.start_server(lambda *_: None, "", 0)
        port = taken.sockets[0].getsockname()[1]
        async with taken, site(tmp_path, https_port=port) as it:
            assert it.refused == {port: "Address already in use"}
            assert set(it.proxy.ports.numbers) == {"http"}
            one = ingress(rule("a.test", ("/", "Prefix", "web")))
            await it.apply(one)
            assert name_of(await it.get("a.test")) == "web"
            taken.close()
            await taken.wait_closed()
            assert it.proxy.ports.open() == {}  # it is free now
            await it.apply(one)
            trusting = ssl._create_unverified_context()
            assert name_of(await it.get("a.test", tls=trusting)) == "web"
            assert name_of(await it.get("a.test")) == "web"

    live(story())


def test_a_websocket_passes(live, tmp_path):
    async def echo(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
        writer.write(b"Connection: Upgrade\r\n")
        writer.write(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        while data := await reader.read(99):
            writer.write(data)
        writer.close()

    async def story():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with site(tmp_path) as it, server:
            it.world.add("ws", "127.0.0.1", port=server.sockets[0].getsockname()[1])
            await it.apply(ingress(rule("a.test", ("/", "Prefix", "ws"))))
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", it.proxy.ports.numbers["http"]
            )
            writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n")
            writer.write(b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
            writer.write(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            for _ in range(2):
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                await it.apply(ingress(default="ws"))  # a reload does not end it
            writer.close()
            await writer.wait_closed()

    live(story())


def test_grpc_passes(live, tmp_path):
    import grpc

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_stream_rpc_method_handler(lambda asked, _: iter((asked, asked)))

    def ask(port):
        with grpc.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.default_authority", "a.test")]
        ) as channel:
            return list(channel.unary_stream("/x.Y/Z")(b"hello", timeout=10))

    async def story():
        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            async with site(tmp_path) as it:
                it.world.add("grpc", "127.0.0.1", port=port, protocol="kubernetes.io/h2c")
                await it.apply(ingress(rule("a.test", ("/x.Y", "Prefix", "grpc"))))
                found = await asyncio.to_thread(ask, it.proxy.ports.numbers["http"])
                assert found == [b"hello", b"hello"]
        finally:
            server.stop(0)

    live(story())
