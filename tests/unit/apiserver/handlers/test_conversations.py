"""Log, exec, attach, port-forward and proxy, with a kubelet and a web server made for the test."""

from __future__ import annotations

import contextlib
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


@pytest.mark.usefixtures("here_is_allowed")
def test_proxies(live, tmp_path) -> None:
    async def web(request: Request) -> Response:
        if request.path == "/page":
            page = b'<html><a href="/x">x</a><a href="http://e.x/">e</a><img src="y.png"></html>'
            return Response(200, page, "text/html")
        if request.path == "/away":
            return Response(302, b"", "", (("Location", "/there"),))
        body = await request.body()
        text = f"{request.method} {request.target} {body.decode()} {'authorization' in request.headers}"
        return Response(200, text.encode(), "text/plain")

    async def story() -> None:
        listener = await serve(web, "127.0.0.1", 0)
        async with _cluster(tmp_path) as (server, kubelet, client):
            await server.patch(f"{PODS}/p/status", {
                "status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]},
            })  # fmt: skip
            base = f"{PODS}/p:{listener.port}/proxy"
            answer = await client.request("POST", f"{base}/a/b?c=d", body=b"hello")
            assert await answer.read() == b"POST /a/b?c=d hello False"
            page = await (await client.request("GET", f"{base}/page")).read()
            assert f'href="{base}/x"'.encode() in page
            assert b'href="http://e.x/"' in page
            away = await client.request("GET", f"{base}/away")
            assert away.headers["location"] == f"{base}/there"
            moved = await server.get(base)
            assert (moved.status, moved.header("location")) == (301, [f"{base}/"])
            assert (await client.request("DELETE", base)).status == 200

            await server.post(f"{DEFAULT}/services", {
                "metadata": {"name": "s"},
                "spec": {"ports": [{"name": "web", "port": 80, "targetPort": listener.port}]},
            })  # fmt: skip
            service = f"{DEFAULT}/services/s:web/proxy/x"
            assert (await server.get(service)).status == 503
            await server.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
                "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}},
                "addressType": "IPv4", "ports": [{"name": "web", "port": listener.port}],
                "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            })  # fmt: skip
            answer = await client.request("GET", service)
            if answer.status == 200:  # loopback endpoints may be refused by validation
                assert await answer.read() == b"GET /x  False"
            assert (await server.get(f"{DEFAULT}/services/s:none/proxy/x")).status == 503
            node = await client.request("GET", "/api/v1/nodes/n1/proxy/stats/summary")
            assert await node.read() == b"kubelet"
            assert kubelet.asked[-1] == "GET /stats/summary"
            assert (await server.get(f"{PODS}/a:b:c:d/proxy/")).status == 400
        await listener.close()

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
