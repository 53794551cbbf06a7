"""Counting answers, and asking for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.kubelet.making import pod

from kybern.api import codec
from kybern.api.core.v1 import HTTPHeader, Probe
from kybern.kubelet.probes import ask as asking
from kybern.kubelet.probes import http
from kybern.kubelet.probes.ask import Target, ask, port_number
from kybern.kubelet.probes.plan import ProbeKind, assumed, count, next_time
from kybern.kubelet.runtime.fake import FakeRuntime
from kybern.lib.clock import SYSTEM


def probe(**fields: Any) -> Probe:
    return codec.from_tree(fields, Probe)


@pytest.mark.parametrize(
    ("kind", "answers", "passing"),
    [
        (ProbeKind.LIVENESS, "", "+"),
        (ProbeKind.READINESS, "", "-"),
        (ProbeKind.STARTUP, "", "-"),
        (ProbeKind.LIVENESS, "---", "++-"),
        (ProbeKind.LIVENESS, "--+--", "+++++"),
        (ProbeKind.READINESS, "++---+", "-+++--"),
        (ProbeKind.READINESS, "++---++", "-+++--+"),
    ],
)
def test_enough_answers_in_a_row_decide(kind: ProbeKind, answers: str, passing: str) -> None:
    the_probe = probe(failureThreshold=3, successThreshold=2)
    tally = assumed(kind)
    seen = [] if answers else [tally.passing]
    for answer in answers:
        tally = count(tally, answer == "+", the_probe)
        seen.append(tally.passing)
    assert "".join("-+"[passed] for passed in seen) == passing


def test_questions_keep_their_rhythm() -> None:
    the_probe = probe(periodSeconds=3)
    assert next_time(100.0, the_probe, 100.5) == 103.0
    assert next_time(100.0, the_probe, 103.0) == 106.0
    assert next_time(100.0, the_probe, 110.0) == 112.0


def target(ip: str = "127.0.0.1", port: int = 0) -> Target:
    spec = pod([{"name": "m", "ports": [{"name": "web", "containerPort": port or 1}]}]).spec
    return Target(spec.containers[0], "c1", ip)


def test_ports_by_name() -> None:
    spec = target(port=8080).spec
    assert [port_number(p, spec) for p in (80, "81", "web")] == [80, 81, 8080]
    with pytest.raises(LookupError, match="couldn't find port"):
        port_number("none", spec)


async def serve(answer: bytes) -> tuple[asyncio.Server, int, list[bytes]]:
    heard: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1], heard


@pytest.mark.parametrize(
    ("answer", "healthy", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nhi", True, ""),
        (b"HTTP/1.1 399 Odd\r\n\r\n", True, ""),
        (b"HTTP/1.1 500 No\r\n\r\n", False, "HTTP probe failed with statuscode: 500"),
        (b"HTTP/1.1 302 x\r\nLocation: http://other.test/\r\n\r\n", True, ""),
        (b"", False, "EOF"),
        (b"nonsense\r\n\r\n", False, "malformed HTTP response"),
    ],
)
def test_http(live: Any, answer: bytes, healthy: bool, said: str) -> None:
    async def main() -> None:
        server, port, heard = await serve(answer)
        the_probe = probe(
            httpGet={"port": port, "path": "/x", "httpHeaders": [{"name": "A", "value": "b"}]}
        )
        found = await ask(the_probe, target(), FakeRuntime(SYSTEM))
        assert found.healthy is healthy
        assert said in found.said
        request = heard[0].decode()
        assert request.startswith("GET /x HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{port}\r\n" in request
        assert "User-Agent: kube-probe/1.36\r\n" in request
        assert "A: b\r\n" in request
        server.close()

    live(main())


def test_http_follows_redirects_on_the_same_host(live: Any) -> None:
    async def main() -> None:
        second, port, heard = await serve(b"HTTP/1.1 404 No\r\n\r\n")
        first, entry, _ = await serve(
            f"HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:{port}/new?a=b\r\n\r\n".encode()
        )
        address = http.Address("http", "127.0.0.1", entry, "/")
        assert await http.get(address, (), "test", 5) == 404
        assert heard[0].startswith(b"GET /new?a=b ")
        first.close()
        second.close()

    live(main())


def test_headers_can_be_replaced(live: Any) -> None:
    async def main() -> None:
        server, port, heard = await serve(b"HTTP/1.1 200 OK\r\n\r\n")
        headers = [
            HTTPHeader(name="host", value="example.test"),
            HTTPHeader(name="Accept", value=""),
        ]
        await http.get(http.Address("http", "127.0.0.1", port, "/"), headers, "test", 5)
        assert b"Host: example.test\r\n" in heard[0]
        assert b"Accept" not in heard[0]
        server.close()

    live(main())


def test_nobody_there(live: Any) -> None:
    async def main() -> None:
        found = await ask(probe(httpGet={"port": 1}), target(), FakeRuntime(SYSTEM))
        assert found.said == (
            'Get "http://127.0.0.1:1/": dial tcp 127.0.0.1:1: connect: connection refused'
        )
        found = await ask(probe(tcpSocket={"port": "web"}), target(port=1), FakeRuntime(SYSTEM))
        assert found.said == "dial tcp 127.0.0.1:1: connect: connection refused"
        found = await ask(probe(tcpSocket={"port": "none"}), target(), FakeRuntime(SYSTEM))
        assert found.error

    live(main())


def test_no_answer_in_time(live: Any) -> None:
    async def main() -> None:
        async def silent(_: Any, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(1)
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(http.Unanswered) as why:
            await http.get(http.Address("http", "127.0.0.1", port, "/"), (), "test", 0.1)
        assert str(why.value).endswith(
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )
        found = await ask(probe(tcpSocket={"port": port}), target(), FakeRuntime(SYSTEM))
        assert found.healthy
        await asyncio.sleep(1.2)
        server.close()

    live(main())


@pytest.mark.parametrize(
    ("state", "said"),
    [(1, None), (2, 'service unhealthy (responded with "NOT_SERVING")'), (None, "within 1s")],
)
def test_grpc(state: int | None, said: str | None) -> None:
    import grpc

    async def main() -> None:
        asked: list[bytes] = []

        async def check(request: bytes, _: Any) -> bytes:
            asked.append(request)
            return bytes((8, state or 0))

        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(check)
        method = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})
        server.add_generic_rpc_handlers((method,))
        port = server.add_insecure_port("127.0.0.1:0")
        if state is not None:
            await server.start()
        the_probe = probe(grpc={"port": port if state else 1, "service": "s" * 200})
        found = await ask(the_probe, target(), FakeRuntime(SYSTEM))
        assert found.healthy is (said is None)
        assert (said or "") in found.said
        if asked:
            assert asked[0] == b"\x0a\xc8\x01" + b"s" * 200
        await server.stop(None)

    asyncio.run(main())


def test_answers_of_grpc_are_read() -> None:
    assert asking._serving_state(b"\x08\x01") == 1
    assert asking._serving_state(b"") == 0
