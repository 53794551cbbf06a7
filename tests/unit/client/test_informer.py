"""The copy converges, whatever happens on the way; handlers hear a gap-free story."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from tests.unit.client.scripted import ScriptedApi, status

from kybern.api.core.v1 import Pod, PodSpec
from kybern.api.meta.v1 import ManagedFieldsEntry, ObjectMeta
from kybern.client.in_process import InProcessTransport
from kybern.client.informer import Informer, Informers
from kybern.client.mutations import MutationDetector, MutationError
from kybern.client.rest import Client
from kybern.client.transport import MASTER
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.tasks import Tasks


def pod(name: str, node: str = "", uid: str = "") -> Pod:
    metadata = ObjectMeta(name=name, namespace="default", uid=uid or None)
    return Pod(metadata=metadata, spec=PodSpec(nodeName=node or None))


class Story:
    """An informer and what its handlers heard."""

    def __init__(self, api: ScriptedApi, **options) -> None:
        self.api = api
        self.client = Client(InProcessTransport(api.app, MASTER), VirtualClock())
        self.informer = Informer(self.client, Pod, rng=random.Random(1), **options)
        self.heard: list[tuple[str, str]] = []
        self.informer.on(
            add=lambda o: self.heard.append(("add", o.metadata.name)),
            update=lambda _, o: self.heard.append(("update", o.metadata.name)),
            delete=lambda o: self.heard.append(("delete", o.metadata.name)),
        )

    async def __aenter__(self):
        self.task = asyncio.create_task(self.informer.run())
        await self.informer.wait_synced()
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    def names(self) -> set[str]:
        return {o.metadata.name for o in self.informer.list()}


def test_starts_with_what_is_there_and_follows():
    async def main():
        api = ScriptedApi()
        api.put(pod("a"))
        async with Story(api) as story:
            assert story.names() == {"a"}
            api.put(pod("b"))
            api.put(pod("a", node="n1"))
            api.delete("default", "b")
            await asyncio.sleep(1)
            assert story.names() == {"a"}
            assert story.informer.get("default", "a").spec.nodeName == "n1"
            assert story.heard == [("add", "a"), ("add", "b"), ("update", "a"), ("delete", "b")]
        assert len([r for r in api.requests if r.param("watch")]) == 1

    run_virtual(main())


def test_a_broken_watch_is_resumed_without_reading_everything_again():
    async def main():
        api = ScriptedApi()
        api.put(pod("a"))
        async with Story(api) as story:
            api.break_connections()
            api.put(pod("b"))
            await asyncio.sleep(60)
            assert story.names() == {"a", "b"}
            assert story.heard == [("add", "a"), ("add", "b")]
            assert [r.param("sendInitialEvents") for r in api.requests[1:]] == [""]
            assert story.informer.statistics()["relists"] == 0

    run_virtual(main())


def test_a_beginning_that_breaks_off_is_no_copy():
    async def main():
        api = ScriptedApi()
        for name in "abc":
            api.put(pod(name))
        api.cut_after = 2
        story = Story(api)
        story.informer.on(add=lambda _: synced.append(story.informer.synced))
        synced: list[bool] = []
        task = asyncio.create_task(story.informer.run())
        await asyncio.sleep(0)
        while len(synced) < 2:
            await asyncio.sleep(0.01)
        assert not story.informer.synced
        api.delete("default", "a")
        await story.informer.wait_synced()
        assert story.names() == {"b", "c"}
        assert story.heard == [("add", "a"), ("add", "b"), ("delete", "a"), ("add", "c")]
        assert synced == [False] * 3
        task.cancel()

    run_virtual(main())


def test_when_history_is_gone_handlers_hear_the_difference():
    async def main():
        api = ScriptedApi()
        for name in "abc":
            api.put(pod(name))
        async with Story(api) as story:
            story.heard.clear()
            api.refuse = status(503, "ServiceUnavailable", "starting")
            api.break_connections()
            await asyncio.sleep(10)
            api.delete("default", "a")
            api.put(pod("b", node="n1"))
            api.put(pod("d"))
            api.compact()
            api.refuse = None
            await asyncio.sleep(100)
            assert sorted(story.heard) == [("add", "d"), ("delete", "a"), ("update", "b")]
            assert story.names() == {"b", "c", "d"}
            assert story.informer.statistics()["relists"] == 1

    run_virtual(main())


def test_a_server_that_lost_its_data_is_read_again():
    async def main():
        api = ScriptedApi()
        for name in "abc":
            api.put(pod(name))
        async with Story(api) as story:
            story.heard.clear()
            api.revision = 50
            api.objects.clear()
            api.history.clear()
            api.break_connections()
            api.put(pod("d"))
            await asyncio.sleep(100)
            assert story.names() == {"d"}
            assert ("delete", "a") in story.heard

    run_virtual(main())


def test_recreated_under_the_same_name_is_heard_as_delete_and_add():
    async def main():
        api = ScriptedApi()
        api.put(pod("a", uid="1"))
        async with Story(api) as story:
            api.break_connections()
            api.delete("default", "a")
            api.put(pod("a", uid="2"))
            api.compact()
            await asyncio.sleep(100)
            assert story.heard == [("add", "a"), ("delete", "a"), ("add", "a")]

    run_virtual(main())


def test_a_server_without_watch_list_is_listed():
    async def main():
        api = ScriptedApi()
        api.watch_list = False
        api.put(pod("a"))
        async with Story(api) as story:
            api.put(pod("b"))
            await asyncio.sleep(1)
            assert story.names() == {"a", "b"}

    run_virtual(main())


def test_waits_longer_and_longer_for_a_server_that_is_away():
    async def main():
        api = ScriptedApi()
        api.refuse = status(503, "ServiceUnavailable", "starting")
        client = Client(InProcessTransport(api.app, MASTER), VirtualClock())
        task = asyncio.create_task(Informer(client, Pod).run())
        await asyncio.sleep(600)
        task.cancel()
        assert 10 < len(api.requests) < 60

    run_virtual(main())


def test_watches_are_renewed_when_they_end_in_silence():
    async def main():
        api = ScriptedApi()
        async with Story(api) as story:
            # This server never ends a watch by itself, as one that died without a word.
            await asyncio.sleep(2000)
            api.put(pod("a"))
            await asyncio.sleep(1)
            assert story.names() == {"a"}
            assert 3 <= len(api.requests) <= 8

    run_virtual(main())


def test_a_handler_that_fails_harms_nobody(caplog):
    async def main():
        api = ScriptedApi()
        story = Story(api)
        story.informer.on(add=lambda _: 1 / 0)
        late = []
        story.informer.on(add=lambda o: late.append(o.metadata.name))
        async with story:
            api.put(pod("a"))
            await asyncio.sleep(1)
            assert late == ["a"]

    run_virtual(main())
    assert "event handler failed" in caplog.text


def test_handlers_that_come_late_are_told_and_can_leave():
    async def main():
        api = ScriptedApi()
        api.put(pod("a"))
        async with Story(api) as story:
            late = []
            registration = story.informer.on_change(lambda o: late.append(o.metadata.name))
            assert late == ["a"]
            registration.remove()
            api.put(pod("b"))
            await asyncio.sleep(1)
            assert late == ["a"]

    run_virtual(main())


def test_managed_fields_are_dropped():
    async def main():
        api = ScriptedApi()
        one = pod("a")
        one.metadata.managedFields = [ManagedFieldsEntry(manager="me")]
        api.put(one)
        async with Story(api) as story:
            assert story.informer.get("default", "a").metadata.managedFields is None

    run_virtual(main())


def test_informers_are_shared():
    async def main():
        api = ScriptedApi()
        api.put(pod("a", node="n1"))
        client = Client(InProcessTransport(api.app, MASTER), VirtualClock())
        async with Tasks() as tasks:
            informers = Informers(client, tasks)
            one = informers.of(Pod)
            two = informers.of(Pod, indexers={"node": lambda p: [p.spec.nodeName or ""]})
            assert one is two
            assert informers.of(Pod, namespace="x") is not one
            await informers.wait_synced()
            assert len(one.by_index("node", "n1")) == 1
            informers.drop(one)
            assert len(list(informers.running())) == 1

    run_virtual(main())


def test_the_detector_names_who_was_changed():
    async def main():
        api = ScriptedApi()
        api.put(pod("a"))
        detector = MutationDetector()
        async with Story(api, detector=detector) as story:
            detector.check()
            story.informer.get("default", "a").spec.nodeName = "mine"
            api.put(pod("a", node="n2"))
            await asyncio.sleep(1)
            with pytest.raises(MutationError, match="Pod default/a"):
                detector.check()

    run_virtual(main())
