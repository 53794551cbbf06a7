"""Log, exec, attach, port-forward and proxy, with a kubelet and a web server made for the test."""

from __future__ import annotations

import contextlib
import gzip
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.apiserver.harness import DEFAULT, PODS, Identity, Server, pod

from kybern.api.errors import BadRequest
from kybern.apiserver.handlers import proxy
from kybern.lib import pki, tls
from kybern.lib.clock import SYSTEM
from kybern.lib.http.client import HttpClient, UpgradeRefused
from kybern.lib.http.messages import Request, Response, StreamResponse, UpgradeResponse
from kybern.lib.http.server import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kybern.lib.http.stream import Stream


class Kubelet:
    """Answers what kubelets answer, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.certificates: list[bytes | None] = []

    async def app(self, request: Request) -> Any:
        self.asked.append(f"{request.method} {request.target}")
        self.certificates.append(request.peer_certificate)
        if request.path.startswith("/containerLogs/"):
            if request.path.endswith("/broken"):
                return Response(400, b"container is waiting to start\n", "text/plain")
            return StreamResponse(200, _lines(), "text/plain")
        if "upgrade" in request.headers:
            return UpgradeResponse(_echo, (("Connection", "Upgrade"), ("Upgrade", "test/1")))
        return Response(200, b"kubelet", "text/plain")


async def _lines() -> AsyncIterator[bytes]:
    yield b"one\n"
    yield b"two\n"


async def _echo(stream: Stream) -> None:
    while data := await stream.read():
        stream.write(data.upper())
        await stream.drain()


@contextlib.asynccontextmanager
async def _cluster(tmp_path: Any) -> AsyncIterator[tuple[Server, Kubelet, Any]]:
    """A server over sockets, a kubelet, and a node object that leads to it."""
    now = SYSTEM.now()
    ca = pki.make_ca("test", now=now)
    serving = pki.issue(ca, pki.Subject("node", (), (), ("127.0.0.1",)), now=now, server=True)
    client = pki.issue(ca, pki.Subject("kube-apiserver", ("system:masters",)), now=now, client=True)
    client.save(tmp_path / "c.crt", tmp_path / "c.key")
    (tmp_path / "ca.crt").write_bytes(ca.certificate)
    kubelet = Kubelet()
    context = tls.server_context(serving.certificate, serving.key, ca.certificate)
    listener = await serve(kubelet.app, "127.0.0.1", 0, ssl=context)
    settings = {
        "kubelet_certificate": tmp_path / "c.crt", "kubelet_key": tmp_path / "c.key",
        "kubelet_ca": tmp_path / "ca.crt", "token": "t",
    }  # fmt: skip
    async with Server(**settings) as server:
        await server.post("/api/v1/nodes", {
            "metadata": {"name": "n1"},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": listener.port}},
            },
        })  # fmt: skip
        await server.post(PODS, pod("p", nodeName="n1"))
        front = await serve(server.api.app, "127.0.0.1", 0)
        client_of_us = HttpClient(
            f"http://127.0.0.1:{front.port}", headers={"Authorization": "Bearer t"}
        )
        try:
            yield server, kubelet, client_of_us
        finally:
            await client_of_us.close()
            await front.close()
            await server.api.close()
            await listener.close()


def test_logs(live, tmp_path) -> None:
    async def story() -> None:
        async with _cluster(tmp_path) as (server, kubelet, client):
            answer = await client.request(
                "GET", f"{PODS}/p/log?follow=true&tailLines=5&container=c"
            )
            assert answer.status == 200
            assert answer.headers["content-type"] == "text/plain"
            assert await answer.read() == b"one\ntwo\n"
            assert kubelet.asked == ["GET /containerLogs/default/p/c?follow=true&tailLines=5"]
            assert kubelet.certificates[0] is not None
            for query, status, text in (
                ("container=x", 400, "container x is not valid for pod p"),
                ("tailLines=-1", 422, "tailLines: Invalid value: -1"),
                ("tailLines=x", 400, "unable to parse"),
                ("sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z", 422, "at most one of"),
            ):
                refused = await server.get(f"{PODS}/p/log?{query}")
                assert refused.status == status
                assert text in refused.message
            assert (await server.get(f"{PODS}/none/log")).status == 404
            assert (await server.post(f"{PODS}/p/log", {})).status == 405
            two = [{"name": "a", "image": "i"}, {"name": "broken", "image": "i"}]
            await server.post(PODS, pod("two", nodeName="n1", containers=two))
            unclear = await server.get(f"{PODS}/two/log")
            assert unclear.message == (
                "a container name must be specified for pod two, choose one of: [a broken]"
            )
            waiting = await server.get(f"{PODS}/two/log?container=broken")
            assert (waiting.status, waiting.message) == (400, "container is waiting to start")
            await server.post(PODS, pod("nowhere"))
            assert (await server.get(f"{PODS}/nowhere/log")).body == b""

    live(story())


def test_a_log_over_a_websocket(live, tmp_path) -> None:
    async def story() -> None:
        from kybern.lib.http import websocket

        async with _cluster(tmp_path) as (_, _kubelet, client):
            socket = await websocket.connect(client, f"{PODS}/p/log", protocols=("binary.k8s.io",))
            received = [message async for message in socket]
            assert b"".join(received) == b"one\ntwo\n"

    live(story())


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("exec?command=ls&command=-l&stdout=true&stdin=1&tty=true",
         "/exec/default/p/c?input=1&output=1&tty=1&command=ls&command=-l"),
        ("attach?stdout=1", "/attach/default/p/c?output=1"),
        ("portforward?ports=80", "/portForward/default/p?port=80"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_streams(live, tmp_path, path: str, asked: str, method: str) -> None:
    async def story() -> None:
        async with _cluster(tmp_path) as (_, kubelet, client):
            stream = await client.upgrade(f"{PODS}/p/{path}", "test/1", method=method)
            stream.write(b"hello")
            assert await stream.read() == b"HELLO"
            stream.close()
            assert kubelet.asked == [f"{method} {asked}"]

    live(story())


def test_streams_that_make_no_sense(live, tmp_path) -> None:
    async def story() -> None:
        async with _cluster(tmp_path) as (server, kubelet, client):
            for path, text in (
                ("exec?stdout=1", "at least 1 command"),
                ("exec?command=ls", "at least 1 of stdin, stdout, stderr"),
                ("exec?command=ls&stdout=1", "Upgrade request required"),
                ("exec?command=ls&stdout=1&container=x", "container x is not valid"),
            ):
                refused = await server.post(f"{PODS}/p/{path}", None)
                assert refused.status == 400
                assert text in refused.message
            await server.post(PODS, pod("nowhere"))
            with pytest.raises(UpgradeRefused) as error:
                await client.upgrade(f"{PODS}/nowhere/exec?command=a&stdout=1", "test/1")
            assert error.value.status == 400
            assert kubelet.asked == []

    live(story())


def test_a_get_that_becomes_a_stream_needs_create(live, tmp_path) -> None:
    async def story() -> None:
        async with _cluster(tmp_path) as (server, _, _client):
            rbac = "/apis/rbac.authorization.k8s.io/v1"
            rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods/exec"]}
            await server.post(f"{rbac}/clusterroles", {"metadata": {"name": "r"}, "rules": [rule]})
            await server.post(f"{rbac}/clusterrolebindings", {
                "metadata": {"name": "r"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "joe"}],
            })  # fmt: skip
            await server.settle()
            answer = await server.get(
                f"{PODS}/p/exec?command=ls&stdout=1", user=Identity("joe"), upgrade="websocket",
                connection="Upgrade",
            )  # fmt: skip
            assert answer.status == 403
            assert 'cannot create resource "pods/exec"' in answer.message

    live(story())


def test_a_kubelet_that_is_not_there(live, tmp_path) -> None:
    async def story() -> None:
        async with _cluster(tmp_path) as (server, _, _client):
            node = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}}
            await server.patch("/api/v1/nodes/n1/status", node)
            answer = await server.get(f"{PODS}/p/log")
            assert answer.status == 503
            assert "error trying to reach service: dial tcp 127.0.0.1:1" in answer.message
            await server.delete("/api/v1/nodes/n1")
            answer = await server.get(f"{PODS}/p/log")
            assert answer.message == 'nodes "n1" not found'

    live(story())


@pytest.fixture
def here_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let proxies reach the web server of a test, which is on this machine."""
    monkeypatch.setattr(proxy, "check_address", lambda host: None)


PAGE = b'<html><a href="/x">x</a><a href="http://e.x/">e</a><img src="y.png"></html>'


async def _web(request: Request) -> Any:
    """A web server in the cluster."""
    if "upgrade" in request.headers:
        if request.path == "/stubborn":
            return Response(200, b"no", "text/plain")
        return UpgradeResponse(_echo, (("Connection", "Upgrade"), ("Upgrade", "test/1")))
    if request.path == "/page":
        return Response(200, PAGE, "text/html; charset=utf-8")
    if request.path == "/packed":
        packed = gzip.compress(PAGE)
        return Response(200, packed, "text/html", (("Content-Encoding", "gzip"),))
    if request.path == "/away":
        where = request.query or "/there"
        return Response(302, PAGE, "text/html", (("Location", where.replace("HERE", _here)),))
    if request.path == "/told":
        names = ("host", "x-forwarded-uri", "x-forwarded-for", "authorization")
        told = [f"{name}={request.headers.get(name, '')}" for name in names]
        allowed = (("Access-Control-Allow-Origin", "*"), ("X-Kept", "1"))
        return Response(200, "\n".join(told).encode(), "text/plain", allowed)
    text = f"{request.method} {request.target} {(await request.body()).decode()}"
    return Response(200, text.encode(), "text/plain")


_here = ""


@contextlib.asynccontextmanager
async def _proxied(tmp_path: Any) -> AsyncIterator[tuple[Server, Kubelet, Any, Any]]:
    """A cluster whose pod `p` is the web server."""
    global _here
    listener = await serve(_web, "127.0.0.1", 0)
    _here = f"http://127.0.0.1:{listener.port}"
    async with _cluster(tmp_path) as (server, kubelet, client):
        status = {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
        await server.patch(f"{PODS}/p/status", {"status": status})
        yield server, kubelet, client, listener
    await listener.close()


@pytest.mark.usefixtures("here_is_allowed")
def test_a_proxy_to_a_pod(live, tmp_path) -> None:
    async def story() -> None:
        async with _proxied(tmp_path) as (server, _, client, listener):
            base = f"{PODS}/p:{listener.port}/proxy"
            answer = await client.request("POST", f"{base}/a/b?c=d", body=b"hello")
            assert await answer.read() == b"POST /a/b?c=d hello"
            for page in ("page", "packed"):
                answer = await client.request("GET", f"{base}/{page}")
                body = await answer.read()
                body = gzip.decompress(body) if page == "packed" else body
                assert f'href="{base}/x"'.encode() in body
                assert b'href="http://e.x/"' in body
            for asked, location in (
                ("", f"{base}/there"), ("?/a/?b=c", f"{base}/a/?b=c"), ("?HERE/a", f"{base}/a"),
                ("?http://else.where/a", "http://else.where/a"), ("?b", "b"),
            ):  # fmt: skip
                away = await client.request("GET", f"{base}/away{asked}")
                assert away.headers["location"] == location
                assert await away.read() == PAGE
            told = await client.request("GET", f"{base}/told")
            lines = dict(line.split("=") for line in (await told.read()).decode().splitlines())
            assert lines == {
                "host": f"127.0.0.1:{client.port}", "x-forwarded-uri": f"{base}/told",
                "x-forwarded-for": "127.0.0.1", "authorization": "",
            }  # fmt: skip
            assert "access-control-allow-origin" not in told.headers
            assert told.headers["x-kept"] == "1"
            moved = await server.get(base)
            assert (moved.status, moved.header("location")) == (301, [f"{base}/"])
            assert (await client.request("DELETE", base)).status == 200

    live(story())


@pytest.mark.usefixtures("here_is_allowed")
@pytest.mark.parametrize("end", ["", "/", "/some/path"])
def test_upgrades_pass_through_a_proxy(live, tmp_path, end: str) -> None:
    async def story() -> None:
        async with _proxied(tmp_path) as (_, _kubelet, client, listener):
            base = f"{PODS}/p:{listener.port}/proxy"
            stream = await client.upgrade(f"{base}{end}", "test/1")
            stream.write(b"hello")
            assert await stream.read() == b"HELLO"
            stream.close()
            with pytest.raises(UpgradeRefused) as refused:
                await client.upgrade(f"{base}/stubborn", "test/1")
            assert refused.value.status == 500
            assert b"invalid upgrade response: status code 200" in refused.value.body

    live(story())


@pytest.mark.usefixtures("here_is_allowed")
def test_a_proxy_to_a_service(live, tmp_path) -> None:
    async def story() -> None:
        async with _proxied(tmp_path) as (server, _, client, listener):
            await server.post(f"{DEFAULT}/services", {
                "metadata": {"name": "s"},
                "spec": {"ports": [{"name": "web", "port": 80, "targetPort": listener.port}]},
            })  # fmt: skip
            slice_ = {
                "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
                "addressType": "IPv4", "ports": [{"name": "web", "port": listener.port}],
                "endpoints": [],
            }  # fmt: skip
            write_slice = slice_writer(server, slice_)
            services = f"{DEFAULT}/services"
            none = 'no endpoints available for service "s"'
            for endpoints in (
                [], [{"addresses": ["127.0.0.1"]}],
                [{"addresses": ["127.0.0.1"], "targetRef": {"kind": "Pod", "name": "gone"}}],
                [{"addresses": ["127.0.0.2"], "targetRef": {"kind": "Pod", "name": "p"}}],
                [{"addresses": ["127.0.0.1"], "targetRef": {"kind": "Pod", "name": "p"},
                  "conditions": {"ready": False}}],
            ):  # fmt: skip
                await write_slice(endpoints)
                answer = await server.get(f"{services}/s:web/proxy/x")
                assert (answer.status, answer.message) == (503, none), endpoints
            pod = {"kind": "Pod", "name": "p", "namespace": "default"}
            await write_slice([{"addresses": ["127.0.0.1"], "targetRef": pod}])
            for name in ("s:web", "s:80", "http:s:web", ":s:80"):
                answer = await client.request("GET", f"{services}/{name}/proxy/x")
                assert await answer.read() == b"GET /x ", name
            for name, status, message in (
                ("s", 503, none), ("s:none", 503, none),
                ("s:81", 503, 'no service port 81 found for service "s"'),
                ("a:b:c:d", 400, 'invalid service request "a:b:c:d"'),
                ("ftp:s:web", 400, 'invalid service request "ftp:s:web"'),
                ("gone", 404, 'services "gone" not found'),
            ):  # fmt: skip
                answer = await server.get(f"{services}/{name}/proxy/x")
                assert (answer.status, answer.message) == (status, message)
            assert (await server.get(f"{PODS}/a:b:c:d/proxy/")).status == 400

    live(story())


def slice_writer(server: Server, slice_: dict[str, Any]) -> Any:
    """Return what writes a slice as validation would not let anybody: loopback is this machine."""
    from kybern.api import codec
    from kybern.api.discovery.v1 import EndpointSlice

    slice_["metadata"] = {**slice_["metadata"], "namespace": "default"}
    store = server.api.services.store
    key = "/registry/endpointslices/default/s-1"

    async def write(endpoints: list[Any]) -> None:
        obj = codec.from_tree({**slice_, "endpoints": endpoints}, EndpointSlice)
        if (entry := store.get(key)) is not None:
            await store.delete(key, entry)
        await store.create(key, codec.encode(obj))

    return write


def test_a_proxy_to_a_node(live, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with _proxied(tmp_path) as (server, kubelet, client, listener):
            nodes = "/api/v1/nodes"
            tree = (await server.get(f"{nodes}/n1")).tree
            own = tree["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
            for name in ("n1", f"n1:{own}", f"https:n1:{own}"):
                answer = await client.request("GET", f"{nodes}/{name}/proxy/stats/summary")
                assert await answer.read() == b"kubelet"
            assert kubelet.asked == ["GET /stats/summary"] * 3
            # any other port is somebody else's, who must not see our certificate
            elsewhere = f"{nodes}/n1:{listener.port}/proxy/x"
            assert (await server.get(elsewhere)).message == "address not allowed"
            monkeypatch.setattr(proxy, "check_address", lambda host: None)
            answer = await client.request("GET", elsewhere)
            assert await answer.read() == b"GET /x "
            assert (await server.get(f"{nodes}/a:b:c:d/proxy/")).status == 400

    live(story())


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0"]
)
def test_proxies_do_not_lead_to_where_the_server_itself_is(address: str) -> None:
    with pytest.raises(BadRequest, match="address not allowed"):
        proxy.check_address(address)
    proxy.check_address("10.1.2.3")
    proxy.check_address("web.example.com")


@pytest.mark.usefixtures("here_is_allowed")
@pytest.mark.parametrize("name", ["proxy", "proxy-x", "x-proxy"])
def test_a_service_that_is_called_like_the_subresource(
    live, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def web(request: Request) -> Response:
        return Response(200, request.target.encode(), "text/plain")

    async def story() -> None:
        listener = await serve(web, "127.0.0.1", 0)
        async with Server() as server:
            body = {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}
            assert (await server.post(f"{DEFAULT}/services", body)).status == 201
            where = ("127.0.0.1", listener.port)
            monkeypatch.setattr(proxy, "_endpoint", lambda *_: where)
            for path, target in (
                ("/foo?a=b", "/foo?a=b"), ("/", "/"), ("/proxy/a%2Fb", "/proxy/a%2Fb"),
            ):  # fmt: skip
                answer = await server.raw("GET", f"{DEFAULT}/services/{name}/proxy{path}")
                assert b"".join([chunk async for chunk in answer.chunks]) == target.encode()
        await listener.close()

    live(story())
