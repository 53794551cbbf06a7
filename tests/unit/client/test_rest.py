"""Calls become requests, answers become objects, failures become errors."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.unit.client.scripted import status

from kybern.api import errors
from kybern.api.core.v1 import Binding, ConfigMap, Namespace, ObjectReference, Pod
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.scheme import Kind
from kybern.client.in_process import InProcessTransport
from kybern.client.metadata import Partial
from kybern.client.rest import Client, query_string
from kybern.client.transport import MASTER
from kybern.client.watch import Lines
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.http.messages import Request, Response, StreamResponse

WIDGETS = Kind("example.com", "v1", "Widget", "widgets", "widget", namespaced=True)


class Recording:
    """Answers from a list and keeps the requests."""

    def __init__(self, *answers: Response | StreamResponse) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, dict, object]] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, request: Request):
        body = await request.body()
        tree = json.loads(body) if body else None
        self.requests.append((request.method, request.path, request.params, tree))
        self.headers.append(dict(request.headers))
        return self.answers.pop(0) if self.answers else Response(200, body or b"{}")


def run(main, *answers):
    async def wrapped():
        app = Recording(*answers)
        clock = VirtualClock()
        await main(Client(InProcessTransport(app, MASTER), clock), app)

    run_virtual(wrapped())


def pod(name="a", namespace="default"):
    return Pod(metadata=ObjectMeta(name=name, namespace=namespace))


def answer(tree, code=200):
    return Response(code, json.dumps(tree).encode())


def test_the_verbs():
    async def main(client: Client, app: Recording):
        created = await client.create(pod())
        assert isinstance(created, Pod)
        await client.update(pod())
        await client.update_status(pod())
        await client.get(Pod, "a", "default")
        await client.get(Namespace, "default")
        await client.delete(Pod, "a", "default")
        await client.delete_collection(Pod, "default", label_selector="a=b")
        assert [(method, path) for method, path, _, _ in app.requests] == [
            ("POST", "/api/v1/namespaces/default/pods"),
            ("PUT", "/api/v1/namespaces/default/pods/a"),
            ("PUT", "/api/v1/namespaces/default/pods/a/status"),
            ("GET", "/api/v1/namespaces/default/pods/a"),
            ("GET", "/api/v1/namespaces/default"),
            ("DELETE", "/api/v1/namespaces/default/pods/a"),
            ("DELETE", "/api/v1/namespaces/default/pods"),
        ]
        assert app.requests[-1][2] == {"labelSelector": ["a=b"]}
        assert app.headers[0]["content-type"] == "application/json"

    run(main)


def test_less_of_an_answer_can_be_wanted():
    async def main(client: Client, app: Recording):
        written = [
            await client.create(pod(), into=Partial),
            await client.update(pod(), into=Partial),
            await client.update_status(pod(), into=Partial),
        ]
        assert [(type(each), each.metadata.name) for each in written] == [(Partial, "a")] * 3
        assert {tuple(tree["metadata"]) for *_, tree in app.requests} == {("name", "namespace")}

    run(main)


@pytest.mark.parametrize(
    ("type_", "content_type"),
    [
        ("merge", "application/merge-patch+json"),
        ("strategic", "application/strategic-merge-patch+json"),
        ("json", "application/json-patch+json"),
        ("apply", "application/apply-patch+yaml"),
    ],
)
def test_patches(type_, content_type):
    async def main(client: Client, app: Recording):
        app.answers.append(answer({"metadata": {"name": "a"}}))
        await client.patch(
            Pod,
            "a",
            "ns",
            {"x": 1},
            type=type_,
            subresource="status",
            field_manager="me",
            force=True,
        )
        method, path, params, body = app.requests[0]
        assert (method, path, body) == ("PATCH", "/api/v1/namespaces/ns/pods/a/status", {"x": 1})
        assert params == {"fieldManager": ["me"], "force": ["true"]}
        assert app.headers[0]["content-type"] == content_type

    run(main)


def test_delete_options():
    async def main(client: Client, app: Recording):
        await client.delete(
            Pod, "a", "ns", uid="u", resource_version="7", propagation="Foreground", grace=0
        )
        assert app.requests[0][3] == {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": "u", "resourceVersion": "7"},
            "propagationPolicy": "Foreground",
            "gracePeriodSeconds": 0,
        }

    run(main)


def test_lists_are_read_page_by_page():
    async def main(client: Client, app: Recording):
        items, revision = await client.list(Pod, "ns", page=2, label_selector="a=b")
        assert [item.metadata.name for item in items] == ["a", "b", "c"]
        assert revision == "9"
        assert app.requests[0][2] == {"labelSelector": ["a=b"], "limit": ["2"]}
        assert app.requests[1][2]["continue"] == ["token"]

    run(
        main,
        answer(
            {
                "metadata": {"resourceVersion": "9", "continue": "token"},
                "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
            }
        ),
        answer({"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "c"}}]}),
    )


def test_custom_resources_are_trees_or_metadata():
    async def main(client: Client, app: Recording):
        one = await client.get(WIDGETS, "w", "ns")
        assert one == {"metadata": {"name": "w"}, "spec": {"size": 1}}
        (two,), _ = await client.list(WIDGETS, "ns", into=Partial)
        assert (two.kind, two.apiVersion, two.metadata.name) == ("Widget", "example.com/v1", "w")
        (three,), _ = await client.list(WIDGETS, "ns")
        assert three["kind"] == "Widget"
        assert app.requests[0][1] == "/apis/example.com/v1/namespaces/ns/widgets/w"

    widget = {"metadata": {"name": "w"}, "spec": {"size": 1}}
    run(main, answer(widget), answer({"items": [widget]}), answer({"items": [widget]}))


def test_subresources_that_answer_with_a_status():
    async def main(client: Client, app: Recording):
        binding = Binding(metadata=ObjectMeta(name="a"), target=ObjectReference(name="n1"))
        assert await client.create_subresource(Pod, "a", "ns", "binding", binding) is binding
        assert app.requests[0][:2] == ("POST", "/api/v1/namespaces/ns/pods/a/binding")

    run(main, answer({"kind": "Status", "status": "Success"}, 201))


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Expired),
        (422, "Invalid", errors.Invalid),
    ],
)
def test_failures_are_what_the_server_raised(code, reason, error):
    async def main(client: Client, _):
        with pytest.raises(error, match="because") as caught:
            await client.get(Pod, "a", "ns")
        assert caught.value.code == code

    run(main, Response(code, status(code, reason, "because")))


def test_an_answer_that_is_no_status():
    async def main(client: Client, _):
        with pytest.raises(errors.ApiError) as caught:
            await client.get(Pod, "a", "ns")
        assert caught.value.code == 502

    run(main, Response(502, b"<html>"))


def test_later_is_obeyed_for_a_while():
    later = Response(429, status(429, "TooManyRequests", "busy"), headers=(("Retry-After", "3"),))

    async def main(client: Client, app: Recording):
        await client.get(Pod, "a", "ns")
        assert len(app.requests) == 3
        assert asyncio.get_running_loop().time() == 6

    run(main, later, later, answer({}))

    async def never(client: Client, app: Recording):
        with pytest.raises(errors.TooManyRequests):
            await client.get(Pod, "a", "ns")
        assert len(app.requests) == 11

    run(never, *[later] * 20)


def test_no_without_later_is_raised_at_once():
    async def main(client: Client, app: Recording):
        with pytest.raises(errors.TooManyRequests):
            await client.get(Pod, "a", "ns")
        assert len(app.requests) == 1

    run(main, Response(429, status(429, "TooManyRequests", "budget")))


def test_a_watch_gives_events_and_raises_errors():
    frames = (
        b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n{"type":"BOOK',
        b'MARK","object":{"metadata":{"resourceVersion":"5"}}}\n',
        b'{"type":"ERROR","object":' + status(410, "Expired", "old") + b"}\n",
    )

    async def chunks():
        for frame in frames:
            yield frame

    async def main(client: Client, app: Recording):
        seen = []
        with pytest.raises(errors.Expired):
            async with client.watch(ConfigMap, "ns", "3", timeout=9) as watch:
                async for event in watch:
                    seen.append((event.type, event.object.metadata.name))
        assert seen == [("ADDED", "a"), ("BOOKMARK", None)]
        assert app.requests[0][2] == {
            "watch": ["true"],
            "resourceVersion": ["3"],
            "allowWatchBookmarks": ["true"],
            "timeoutSeconds": ["9"],
        }

    run(main, StreamResponse(200, chunks()))


def test_lines_are_cut_wherever_chunks_are():
    text = b"one\ntwo\n\nthree\n"
    for size in range(1, len(text) + 1):
        lines = Lines()
        found = []
        for start in range(0, len(text), size):
            found += lines.feed(text[start : start + size])
        assert found == [b"one", b"two", b"three"]


def test_query_strings():
    assert query_string({"a": None, "b": False, "c": "", "d": True, "e": 0, "f": "x y"}) == (
        "d=true&e=0&f=x+y"
    )
