"""The steps every request passes."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tests.unit.apiserver.harness import ADMIN, DEFAULT, PODS, Identity, Server, config_map

from kybern.apiserver import app, go_duration
from kybern.apiserver.context import RequestContext, User
from kybern.apiserver.filters.flow_control import FlowControl
from kybern.apiserver.filters.request_info import RequestInfo
from kybern.lib.http.messages import Request
from kybern.store.interface import StoreFull
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

MAPS = f"{DEFAULT}/configmaps"


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/v1/pods", "list  v1 pods   "),
        ("GET", "/api/v1/namespaces/ns/pods", "list  v1 pods ns  "),
        ("GET", "/api/v1/namespaces/ns/pods/p", "get  v1 pods ns p "),
        ("HEAD", "/api/v1/namespaces/ns/pods/p", "get  v1 pods ns p "),
        ("GET", "/api/v1/namespaces/ns/pods?watch=true", "watch  v1 pods ns  "),
        ("GET", "/api/v1/namespaces/ns/pods?watch=0", "list  v1 pods ns  "),
        ("GET", "/api/v1/watch/namespaces/ns/pods/p", "watch  v1 pods ns p "),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dx", "list  v1 pods  x "),
        ("POST", "/apis/apps/v1/namespaces/ns/deployments", "create apps v1 deployments ns  "),
        ("PUT", "/apis/apps/v1/namespaces/ns/deployments/d/scale",
         "update apps v1 deployments ns d scale"),
        ("PATCH", "/api/v1/nodes/n/status", "patch  v1 nodes  n status"),
        ("DELETE", "/api/v1/nodes", "deletecollection  v1 nodes   "),
        ("DELETE", "/api/v1/nodes/n", "delete  v1 nodes  n "),
        ("GET", "/api/v1/namespaces/ns", "get  v1 namespaces ns ns "),
        ("PUT", "/api/v1/namespaces/ns/finalize", "update  v1 namespaces ns ns finalize"),
        ("PUT", "/api/v1/namespaces/ns/status", "update  v1 namespaces ns ns status"),
        ("GET", "/api/v1/namespaces/ns/status/x", "get  v1 status ns x "),
        ("GET", "/api/v1/namespaces/ns/services/https:s:1/proxy/a/b",
         "get  v1 services ns https:s:1 proxy"),
        ("GET", "/api/v1/namespaces/ns/configmaps/a%20b", "get  v1 configmaps ns a b "),
        ("GET", "/api/v1/namespaces/ns/pods/", "list  v1 pods ns  "),
        ("GET", "/api/v1/namespaces//pods", "list  v1    "),
        ("GET", "/version", "get       "),
        ("GET", "/api", "get       "),
        ("GET", "/apis/apps/v1", "get       "),
    ],
)  # fmt: skip
def test_what_is_asked_for(method: str, target: str, expected: str) -> None:
    class Nothing:
        class resources:  # noqa: N801
            @staticmethod
            def find(*_: str) -> None:
                return None

    path, _, query = target.partition("?")
    ctx = RequestContext(Nothing, Request(method, path, query))  # type: ignore[arg-type]
    RequestInfo(Nothing).enter(ctx)  # type: ignore[arg-type]
    found = (ctx.verb, ctx.group, ctx.version, ctx.plural, ctx.namespace, ctx.name, ctx.subresource)
    if not ctx.is_resource:
        expected, found = expected.strip(), (ctx.verb,)
    assert " ".join(found) == expected


def test_every_filter_is_in_the_list() -> None:
    from pathlib import Path

    folder = Path(app.__file__).parent / "filters"
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert {make.__module__.rpartition(".")[2] for make in app.FILTERS} == files
    names = [make.__name__ for make in app.FILTERS]
    assert (
        names.index("Authentication") < names.index("Impersonation") < names.index("Authorization")
    )


def test_a_bug_becomes_a_500_and_is_logged(caplog, monkeypatch) -> None:
    async def story() -> None:
        async with Server() as server:
            monkeypatch.setattr(server.store, "get", lambda key: 1 / 0)
            with caplog.at_level(logging.ERROR):
                answer = await server.get(f"{MAPS}/a")
            assert (answer.status, answer.tree["reason"]) == (500, "InternalError")
            assert answer.message == "Internal error occurred: division by zero"
            assert "request failed" in caplog.text

    asyncio.run(story())


def test_a_full_disk_is_told_in_one_sentence(monkeypatch) -> None:
    async def story() -> None:
        async with Server() as server:

            async def full(*_: object) -> None:
                raise StoreFull("no space left on /data: make room")

            monkeypatch.setattr(server.store, "create", full)
            answer = await server.post(MAPS, config_map("a"))
            assert answer.status == 500
            assert answer.message == "Internal error occurred: no space left on /data: make room"

    asyncio.run(story())


@pytest.mark.parametrize("text", ["abc", "5", "-", "1x", "s"])
def test_timeouts_have_to_be_durations(text: str) -> None:
    async def story() -> None:
        async with Server() as server:
            answer = await server.get(f"{MAPS}?timeout={text}")
            assert answer.status == 400
            assert answer.message == "invalid timeout specified in the request URL"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1m30s", 90.0),
        ("100ms", 0.1),
        ("1.5h", 5400.0),
        ("0", 0.0),
        ("-2s", -2.0),
        ("1h2m3s", 3723),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert go_duration.parse(text) == pytest.approx(seconds)


def test_a_request_that_takes_too_long_gets_504(virtual, monkeypatch) -> None:
    async def story() -> None:
        async with Server(request_timeout=10) as server:

            async def slow(*_: object) -> None:
                await asyncio.sleep(3600)

            monkeypatch.setattr(server.store, "create", slow)
            loop = asyncio.get_running_loop()
            start = loop.time()
            answer = await server.post(MAPS, config_map("a"))
            assert (answer.status, answer.tree["reason"]) == (504, "Timeout")
            assert loop.time() - start == pytest.approx(10)
            await server.post(f"{MAPS}?timeout=2s", config_map("a"))
            assert loop.time() - start == pytest.approx(12)

    virtual(story())


class TestFlowControl:
    def test_over_the_limit_is_429(self) -> None:
        async def story() -> None:
            engine = SlowEngine()
            async with Server(
                store=Store(engine), max_mutating_requests=2, max_queued_requests=1
            ) as server:
                await server.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
                    "metadata": {"name": "b"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                                "name": "cluster-admin"},
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User",
                                  "name": "joe"}],
                })  # fmt: skip
                await server.settle()
                joe = Identity("joe")
                engine.gate.clear()
                tasks = [
                    asyncio.ensure_future(server.post(MAPS, config_map(f"m{n}"), user=joe))
                    for n in range(3)
                ]
                await server.settle()
                full = await server.post(MAPS, config_map("x"), user=joe)
                assert full.status == 429
                assert full.header("retry-after") == ["1"]
                reading = await server.get(MAPS, user=joe)
                assert reading.status == 200
                admin = asyncio.ensure_future(server.post(MAPS, config_map("y"), user=ADMIN))
                await server.settle()
                engine.gate.set()
                done = [(await task).status for task in [*tasks, admin]]
                assert done == [201] * 4
                assert _flow_control(server).statistics() == {"taken": 0, "waiting": 0}

        asyncio.run(story())

    def test_who_stops_waiting_takes_no_seat(self) -> None:
        async def story() -> None:
            engine = SlowEngine()
            async with Server(store=Store(engine), max_mutating_requests=1) as server:
                control = _flow_control(server)
                engine.gate.clear()
                first = asyncio.ensure_future(server.post(MAPS, config_map("a")))
                await server.settle()
                ctx = RequestContext(server.api.services, Request("POST", MAPS))
                ctx.verb, ctx.is_resource = "create", True
                ctx.user = User("joe")
                waiting = asyncio.ensure_future(control.enter(ctx))  # type: ignore[arg-type]
                await server.settle()
                waiting.cancel()
                await asyncio.wait([waiting])
                engine.gate.set()
                await first
                assert control.statistics()["taken"] == 0
                assert (await server.post(MAPS, config_map("b"))).status == 201

        asyncio.run(story())

    def test_whoever_is_called_and_leaves_lets_the_next_one_in(self) -> None:
        async def story() -> None:
            async with Server(max_mutating_requests=1) as server:
                control = _flow_control(server)
                asking = [_writing(server) for _ in range(3)]
                assert control.enter(asking[0]) is None
                first, second = (
                    asyncio.ensure_future(control.enter(ctx))  # type: ignore[arg-type]
                    for ctx in asking[1:]
                )
                await server.settle()
                control.leave(asking[0], None)  # calls the first …
                first.cancel()  # … which has left by the time it hears that
                await asyncio.wait([first, second], timeout=1)
                assert first.cancelled()
                assert second.done()
                assert control.statistics() == {"taken": 1, "waiting": 0}

        asyncio.run(story())

    def test_nobody_waits_for_ever(self, virtual) -> None:
        async def story() -> None:
            async with Server(max_mutating_requests=1) as server:
                control = _flow_control(server)
                assert control.enter(_writing(server)) is None
                with pytest.raises(TimeoutError):
                    await control.enter(_writing(server))  # type: ignore[misc]

        virtual(story())


def _writing(server: Server) -> RequestContext:
    ctx = RequestContext(server.api.services, Request("POST", MAPS))
    ctx.verb, ctx.is_resource, ctx.user = "create", True, User("joe")
    return ctx


def _flow_control(server: Server) -> FlowControl:
    return next(
        leave.__self__ for leave in server.api._leave if isinstance(leave.__self__, FlowControl)
    )


class SlowEngine(MemoryEngine):
    """Creates wait at a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def create(self, *args: object) -> object:  # type: ignore[override]
        await self.gate.wait()
        return await super().create(*args)  # type: ignore[arg-type]


def test_requests_are_counted() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(MAPS, config_map("counted"))
            await server.get(f"{MAPS}/none")
            await server.get("/no/such/path")
            page = (await server.get("/metrics")).body.decode()
            line = (
                'apiserver_request_total{verb="CREATE",group="",version="v1",resource="configmaps"'
            )
            assert line in page
            assert 'code="404"' in page
            assert "/no/such/path" not in page
            assert "apiserver_request_duration_seconds_bucket" in page

    asyncio.run(story())


def test_pretty_for_people() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(MAPS, config_map("a"))
            plain = await server.get(f"{MAPS}/a", user_agent="client/1")
            assert b"\n  " not in plain.body
            for more in ({"user_agent": "curl/8"}, {}):
                path = f"{MAPS}/a" if more else f"{MAPS}/a?pretty=true"
                assert b'\n  "kind": "ConfigMap"' in (await server.get(path, **more)).body
            off = await server.get(f"{MAPS}/a?pretty=false", user_agent="curl/8")
            assert off.body == plain.body

    asyncio.run(story())


def test_names_cannot_reach_into_other_keys() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(MAPS, config_map("a"))
            for path in (
                "/api/v1/namespaces/default%2Fconfigmaps/a",
                "/api/v1/namespaces/kube-system/configmaps/..%2Fdefault%2Fa",
                "/api/v1/nodes/..%2Fconfigmaps%2Fdefault%2Fa",
            ):
                assert (await server.get(path)).status in (404, 405), path
            assert (await server.get(f"{PODS}/a%2Fb")).status in (404, 405)

    asyncio.run(story())
