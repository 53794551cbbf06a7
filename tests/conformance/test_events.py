"""Events: one storage behind two APIs, each with its own names for the same."""

from __future__ import annotations

from tests.conformance.marks import conforms
from tests.conformance.wire import MERGE, STRATEGIC
from tests.conformance.world import World, refused, world

TIME = "2026-01-02T03:04:05.000017Z"
LATER = "2026-01-02T03:05:05.000018Z"


def core(name: str, namespace: str, **labels: str) -> dict:
    return {
        "metadata": {"name": name, "labels": labels},
        "message": "This is a test event", "reason": "Test", "type": "Normal",
        "involvedObject": {"namespace": namespace, "kind": "Pod", "name": "a-pod"},
        "source": {"component": "test-component", "host": "a-host"}, "count": 1,
    }  # fmt: skip


def modern(name: str, namespace: str, controller: str = "test-controller", **labels: str) -> dict:
    return {
        "metadata": {"name": name, "labels": labels},
        "regarding": {"namespace": namespace, "kind": "Pod", "name": "a-pod"},
        "eventTime": TIME, "note": "This is " + name, "action": "Do", "reason": "Test",
        "type": "Normal", "reportingController": controller, "reportingInstance": "test-node",
    }  # fmt: skip


@conforms("[sig-instrumentation] Events should manage the lifecycle of an event [Conformance]")
@world()
async def test_events_of_the_core_group_live(w: World) -> None:
    namespace = await w.namespace()
    events = w.resource("v1", "events", namespace)
    body = core("event-test", namespace, testevent="true")
    body["source"] = {"component": "test-component"}
    made = await events.create(body)
    assert made["source"] == {"component": "test-component"}
    (found,) = await events.items("testevent=true", everywhere=True)
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert found["metadata"]["namespace"] == namespace

    await events.patch("event-test", {"message": "This is a test event - patched"}, STRATEGIC)
    found = await events.get("event-test")
    assert found["message"] == "This is a test event - patched"
    series = {"count": 100, "lastObservedTime": "2014-09-30T00:00:00.000000Z"}
    updated = await events.update({**found, "series": series})
    assert updated["series"] == series
    assert (await events.get("event-test"))["series"] == series
    await events.delete("event-test")
    assert await events.items("testevent=true", everywhere=True) == []


@conforms("[sig-instrumentation] Events should delete a collection of events [Conformance]")
@world()
async def test_events_of_the_core_group_go_together(w: World) -> None:
    namespace = await w.namespace()
    events = w.resource("v1", "events", namespace)
    for name in ("test-event-1", "test-event-2", "test-event-3"):
        await events.create(core(name, namespace, testevent="set"))
    await events.create(core("other", namespace, testevent="unset"))
    assert len(await events.items("testevent=set")) == 3
    await events.delete_collection("testevent=set")
    assert await events.items("testevent=set") == []
    assert await events.names() == ["other"]


@conforms(
    "[sig-instrumentation] Events API should ensure that an event can be fetched, patched,"
    " deleted, and listed [Conformance]"
)
@world()
async def test_events_of_the_events_group_live(w: World) -> None:
    namespace = await w.namespace()
    events = w.resource("events.k8s.io/v1", "events", namespace)
    cores = w.resource("v1", "events", namespace)
    made = await events.create(modern("event-test", namespace))
    assert made["eventTime"] == TIME
    assert await events.names(everywhere=True, fieldSelector=f"metadata.namespace={namespace}") == [
        "event-test"
    ]
    assert await events.names() == ["event-test"]
    for field, value, found in (
        ("reportingController", "test-controller", ["event-test"]),
        ("reportingController", "another", []),
        ("regarding.name", "a-pod", ["event-test"]),
        ("reason", "Test", ["event-test"]),
        ("type", "Warning", []),
    ):
        assert await events.names(fieldSelector=f"{field}={value}") == found, field
    # the same object through the older API, under its names
    (old,) = await cores.items(fieldSelector="source=test-controller")
    assert old["metadata"] == made["metadata"]
    assert old["message"] == made["note"]
    assert old["involvedObject"] == made["regarding"]
    assert old["reportingComponent"] == "test-controller"
    assert old["reportingInstance"] == "test-node"
    assert await cores.names(fieldSelector="involvedObject.name=a-pod") == ["event-test"]

    found = await events.get("event-test")
    assert found == made
    series = {"count": 2, "lastObservedTime": TIME}
    await events.patch("event-test", {"series": series}, STRATEGIC)
    found = await events.get("event-test")
    assert found["series"] == series
    assert found["eventTime"] == TIME
    with refused(422, "Invalid", 'note: Invalid value: "another": field is immutable'):
        await events.patch("event-test", {"note": "another"}, MERGE)
    series = {"count": 100, "lastObservedTime": LATER}
    await events.update({**found, "series": series})
    assert (await events.get("event-test"))["series"] == series
    await events.delete("event-test")
    assert await events.names() == []
    assert await cores.names() == []
    with refused(422, "Invalid", "action: Required value"):
        await events.create({**modern("bad", namespace), "action": ""})


@conforms("[sig-instrumentation] Events API should delete a collection of events [Conformance]")
@world()
async def test_events_of_the_events_group_go_together(w: World) -> None:
    namespace = await w.namespace()
    events = w.resource("events.k8s.io/v1", "events", namespace)
    for name in ("test-event-1", "test-event-2", "test-event-3"):
        await events.create(modern(name, namespace, testevent="set"))
    await events.create(modern("other", namespace, testevent="unset"))
    assert len(await events.items("testevent=set")) == 3
    await events.delete_collection("testevent=set")
    assert await events.items("testevent=set") == []
    assert await events.names() == ["other"]
