"""Repetitions are counted, similar ones combined, floods cut off, and nobody waits."""

from __future__ import annotations

import asyncio
import json

from tests.unit.client.scripted import status

from kybern.api.core.v1 import ObjectReference, Pod
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.events import BURST, COMBINED, WAITING, Correlator, News, Recorder, Seen
from kybern.client.in_process import InProcessTransport
from kybern.client.rest import Client
from kybern.client.transport import MASTER
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.http.messages import Request, Response


def news(message="it failed", reason="Failed", name="a") -> News:
    return News(ObjectReference(kind="Pod", name=name, uid=name), "Warning", reason, message)


class Story:
    """A correlator and what it would have written."""

    def __init__(self) -> None:
        self.correlator = Correlator()
        self.created: list[str] = []
        self.counted: list[tuple[str, int]] = []

    def tell(self, one: News, now: float = 0.0) -> None:
        found = self.correlator.correlate(one, now)
        if found is None:
            return
        report, key, seen = found
        if seen is None:
            self.created.append(report.message)
            self.correlator.reported(key, Seen(report.message, 1))
        else:
            self.counted.append((report.message, seen.times + 1))
            self.correlator.reported(key, seen._replace(times=seen.times + 1))


def test_repetitions_are_counted():
    story = Story()
    for _ in range(3):
        story.tell(news())
    assert story.created == ["it failed"]
    assert story.counted == [("it failed", 2), ("it failed", 3)]


def test_other_objects_and_reasons_are_other_events():
    story = Story()
    story.tell(news())
    story.tell(news(name="b"))
    story.tell(news(reason="Other"))
    assert len(story.created) == 3


def test_similar_ones_are_combined():
    story = Story()
    for number in range(15):
        story.tell(news(f"message {number}"))
    assert len(story.created) == 10
    assert story.created[-1] == f"{COMBINED}message 9"
    assert story.counted[-1] == (f"{COMBINED}message 14", 6)
    story.tell(news("much later"), now=10_000)
    assert story.created[-1] == "much later"


def test_a_flood_about_one_object_is_cut_off():
    story = Story()
    for number in range(100):
        story.tell(news(reason=f"R{number}"))
    assert len(story.created) == BURST
    story.tell(news(reason="other object", name="b"))
    assert len(story.created) == BURST + 1
    story.tell(news(reason="later"), now=300)
    assert len(story.created) == BURST + 2


class Server:
    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict]] = []
        self.answers: list[Response] = []

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        self.requests.append((request.method, request.path, json.loads(body)))
        return self.answers.pop(0) if self.answers else Response(200, body)


POD = Pod(metadata=ObjectMeta(name="a", namespace="shop", uid="u", resourceVersion="7"))


def run(main):
    async def wrapped():
        server = Server()
        client = Client(InProcessTransport(server, MASTER), VirtualClock())
        recorder = Recorder(client, "kubelet", "node-1")
        task = asyncio.create_task(recorder.run())
        await main(recorder, server)
        task.cancel()

    run_virtual(wrapped())


def test_an_event_as_it_is_written():
    async def main(recorder: Recorder, server: Server):
        recorder.event(POD, "Normal", "Started", "Started container main")
        assert server.requests == []  # the caller does not wait
        await asyncio.sleep(1)
        method, path, event = server.requests[0]
        assert (method, path) == ("POST", "/api/v1/namespaces/shop/events")
        assert event["metadata"]["name"].startswith("a.")
        del event["metadata"]
        assert event == {
            "kind": "Event",
            "apiVersion": "v1",
            "involvedObject": {
                "kind": "Pod", "apiVersion": "v1", "namespace": "shop", "name": "a", "uid": "u",
                "resourceVersion": "7",
            },
            "reason": "Started",
            "message": "Started container main",
            "source": {"component": "kubelet", "host": "node-1"},
            "firstTimestamp": "2026-01-01T00:00:00Z",
            "lastTimestamp": "2026-01-01T00:00:00Z",
            "count": 1,
            "type": "Normal",
            "reportingComponent": "kubelet",
            "reportingInstance": "node-1",
        }  # fmt: skip
        recorder.event(POD, "Normal", "Started", "Started container main")
        await asyncio.sleep(1)
        method, path, patch = server.requests[1]
        assert method == "PATCH"
        assert patch["count"] == 2
        assert patch["lastTimestamp"] == "2026-01-01T00:00:01Z"

    run(main)


def test_events_about_nodes_go_to_the_default_namespace():
    async def main(recorder: Recorder, server: Server):
        recorder.event(ObjectReference(kind="Node", name="n"), "Normal", "Ready", "x")
        await asyncio.sleep(1)
        assert server.requests[0][1] == "/api/v1/namespaces/default/events"

    run(main)


def test_an_event_that_expired_is_created_again():
    async def main(recorder: Recorder, server: Server):
        recorder.event(POD, "Normal", "R", "m")
        await asyncio.sleep(1)
        server.answers.append(Response(404, status(404, "NotFound", "gone")))
        recorder.event(POD, "Normal", "R", "m")
        await asyncio.sleep(1)
        assert [method for method, _, _ in server.requests] == ["POST", "PATCH", "POST"]

    run(main)


def test_a_namespace_that_takes_no_events_is_left_alone():
    async def main(recorder: Recorder, server: Server):
        server.answers.append(Response(403, status(403, "Forbidden", "terminating")))
        recorder.event(POD, "Normal", "R", "m")
        await asyncio.sleep(60)
        assert len(server.requests) == 1

    run(main)


def test_too_many_are_dropped_and_counted():
    async def main(recorder: Recorder, server: Server):
        for number in range(WAITING + 5):
            recorder.event(POD, "Normal", f"R{number}", "m")
        assert recorder.statistics() == {"waiting": WAITING, "dropped": 5}

    run(main)
