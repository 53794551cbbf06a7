"""Stories of a machine that shuts down while pods run on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.kubelet.node_under_test import IMAGE, NodeUnderTest, play
from tests.unit.lib.test_dbus import Daemon

from kybern.api.core.v1 import Event, Node, Pod
from kybern.api.scheduling.v1 import PriorityClass
from kybern.kubelet.config import KubeletConfig
from kybern.kubelet.node import logind
from kybern.kubelet.node.logind import Logind
from kybern.kubelet.node.shutdown import Period, groups, periods
from kybern.kubelet.pods.record import PodRecord
from kybern.kubelet.pods.view import PodView
from kybern.lib.dbus import BusError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

MESSAGE = "Pod was terminated in response to imminent node shutdown."


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(Logind, "exists", False)

    def run(tell: Callable[[NodeUnderTest], Awaitable[None]]) -> None:
        play(monkeypatch, tmp_path, tell)

    return run


def config(**more: Any) -> KubeletConfig:
    from pathlib import Path

    return KubeletConfig("n", Path("/x"), "", **more)


async def restart(it: NodeUnderTest, **more: Any) -> None:
    await it.kill_kubelet()
    it.kubelet = it.new_kubelet(**more)
    await it.start_kubelet()


def ready(node: Node) -> tuple[str, str, str]:
    [condition] = [c for c in node.status.conditions or () if c.type == "Ready"]
    return condition.status, condition.reason or "", condition.message or ""


def test_periods_are_those_of_the_configuration() -> None:
    assert periods(config()) == ()
    whole = config(shutdown_grace=30.0, shutdown_grace_critical=10.0)
    assert periods(whole) == (Period(0, 20), Period(2_000_000_000, 10))
    assert periods(config(shutdown_by_priority=((100, 5), (0, 10)))) == (
        Period(0, 10),
        Period(100, 5),
    )
    assert config(shutdown_grace=30.0, shutdown_grace_critical=31.0).check() == [
        "--shutdown-grace-period-critical-pods must be <= --shutdown-grace-period."
    ]
    assert config(shutdown_grace=0.5).check() == [
        "--shutdown-grace-period must be either zero or otherwise >= 1 sec."
    ]


def test_pods_belong_to_the_period_below_their_priority() -> None:
    class Worker:
        def __init__(self, priority: int | None) -> None:
            pod = Pod()
            pod.spec.priority = priority
            self.record = PodRecord(pod, PodView("u"))

    workers: Any = [Worker(priority) for priority in (None, -5, 99, 100, 5000)]
    found = groups((Period(0, 10), Period(100, 5), Period(9999, 1)), workers)
    assert [(part.priority, members) for part, members in found] == [
        (0, workers[:3]),
        (100, workers[3:]),
    ]


def test_pods_end_in_good_order(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await restart(it, shutdown_by_priority=((0, 20), (1_000_000_000, 10)))
        critical = PriorityClass(value=1_000_000_000)
        critical.metadata.name = "critical"
        await it.client.create(critical)
        containers = [{"name": "main", "image": IMAGE}]
        await it.create("plain", terminationGracePeriodSeconds=60, containers=containers)
        await it.create("brief", terminationGracePeriodSeconds=3, containers=containers)
        await it.create("last", terminationGracePeriodSeconds=60, priorityClassName="critical",
                        containers=[{"name": "critical", "image": IMAGE}])  # fmt: skip
        await it.settle()
        for container in it.runtime._containers.values():
            container.heeds_stop = False
        it.kubelet.shut_down()
        await it.settle(2)
        node = await it.client.get(Node, "one")
        assert ready(node) == ("False", "KubeletNotReady", "node is shutting down")
        late = await it.create("late")
        await it.settle(1)
        late = await it.get("late")
        assert (late.status.phase, late.status.reason) == ("Failed", "NodeShutdown")
        assert late.status.message == "Pod was rejected as the node is shutting down."
        await it.settle(4)
        assert (await it.get("brief")).status.phase == "Failed"
        assert (await it.get("plain")).status.phase == "Running"
        assert (await it.get("last")).status.reason is None
        await it.settle(15)
        plain = await it.get("plain")
        assert plain.status.phase == "Failed"
        assert it.runtime.running("critical")
        await it.settle(12)
        assert not it.runtime.running("critical")
        for name in ("plain", "brief", "last"):
            pod = await it.get(name)
            assert (pod.status.phase, pod.status.reason) == ("Failed", "Terminated")
            assert pod.status.message == MESSAGE
            [target] = [c for c in pod.status.conditions or () if c.type == "DisruptionTarget"]
            told = (target.status, target.reason, target.message)
            assert told == ("True", "TerminationByKubelet", MESSAGE)
        events = (await it.client.list(Event, "default"))[0]
        assert ("NodeShutdown", "Shutdown manager detected shutdown event") in [
            (event.reason, event.message) for event in events
        ]

    story(tell)


def test_without_periods_nothing_is_ended(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle()
        it.kubelet.shut_down()
        await it.settle(5)
        assert (await it.get()).status.phase == "Running"
        assert ready(await it.client.get(Node, "one"))[0] == "True"

    story(tell)


def test_logind_is_held_up_and_asked_for_more_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(logind, "CONFIGURATION", tmp_path / "logind.conf.d/99-kubelet.conf")

    async def main() -> None:
        import os

        daemon = Daemon()
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        daemon.fds = [writing]
        allowed = [5_000_000, 30_000_000]
        daemon.answers = {"Hello": ("s", [":1.7"]), "Inhibit": ("h", [0])}
        original = daemon._answer

        def answer(call: Any) -> None:
            if allowed and "Get" in call.fields.values():
                daemon.answers["Get"] = ("v", [("t", allowed.pop(0))])
            original(call)

        monkeypatch.setattr(daemon, "_answer", answer)
        seen = []
        async with asyncio.TaskGroup() as group:
            group.create_task(daemon.serve())
            manager = Logind(30, daemon.path)
            assert manager.exists
            news = manager.follow()
            following = group.create_task(anext(news))  # type: ignore[arg-type]
            while ("AddMatch", [logind.SIGNAL]) not in daemon.calls:
                await asyncio.sleep(0.001)
            os.close(writing)
            daemon.signal("b", True)
            seen.append(await following)
            with pytest.raises(BlockingIOError):  # the lock is held
                os.read(reading, 1)
            manager.release()
            assert os.read(reading, 1) == b""
            assert daemon.peer is not None
            daemon.peer.shutdown(2)
            with pytest.raises(BusError):
                await anext(news)
        assert seen == [True]
        written = (tmp_path / "logind.conf.d/99-kubelet.conf").read_text()
        assert written == "# Kubelet logind override\n[Login]\nInhibitDelayMaxSec=30\n"
        inhibit = ["shutdown", "kubelet", "Kubelet needs time to handle node shutdown", "delay"]
        assert [call for call in daemon.calls if call[0] in ("KillUnit", "Inhibit")] == [
            ("KillUnit", ["systemd-logind.service", "all", 1]),
            ("Inhibit", inhibit),
        ]
        os.close(reading)
        daemon.close()

    asyncio.run(main())
