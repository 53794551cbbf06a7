"""What is told to the API server, and how often."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.kubelet.making import pod

from kybern.api.core.v1 import ContainerStatus, PodCondition, PodIP, PodStatus
from kybern.api.errors import Conflict, InternalError
from kybern.kubelet.pods.reporting import Reporter, status_patch
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.tasks import Tasks


def condition(kind: str, status: str, reason: str | None = None) -> PodCondition:
    return PodCondition(type=kind, status=status, reason=reason)


def test_a_patch_holds_what_changed() -> None:
    old = PodStatus(phase="Pending", reason="R", conditions=[condition("Ready", "False", "Why")])
    new = PodStatus(
        phase="Running", conditions=[condition("Ready", "True"), condition("Initialized", "True")]
    )
    assert status_patch(old, new) == {
        "phase": "Running",
        "reason": None,
        "conditions": [
            {"type": "Ready", "status": "True", "reason": None, "message": None},
            {"type": "Initialized", "status": "True", "reason": None, "message": None},
        ],
    }
    assert status_patch(new, new) == {}


def test_addresses_are_replaced_not_joined() -> None:
    old, new = PodStatus(podIPs=[PodIP(ip="1.1.1.1")]), PodStatus(podIPs=[PodIP(ip="2.2.2.2")])
    assert status_patch(old, new)["podIPs"] == [{"$patch": "replace"}, {"ip": "2.2.2.2"}]
    assert status_patch(PodStatus(), new)["podIPs"] == [{"ip": "2.2.2.2"}]


def test_lists_of_containers_are_sent_whole() -> None:
    new = PodStatus(containerStatuses=[ContainerStatus(name="a"), ContainerStatus(name="b")])
    sent = status_patch(PodStatus(), new)["containerStatuses"]
    assert [s["name"] for s in sent] == ["a", "b"]


class Server:
    """Takes patches slowly, and fails when told to."""

    def __init__(self) -> None:
        self.patches: list[dict[str, Any]] = []
        self.failures: list[Exception] = []

    async def patch(self, what: Any, name: str, namespace: str, body: Any, **_: Any) -> Any:
        await asyncio.sleep(1)
        if self.failures:
            raise self.failures.pop(0)
        self.patches.append(body)
        return pod(metadata={"resourceVersion": str(10 + len(self.patches))})


def tell(story: Any) -> None:
    async def main() -> None:
        async with Tasks("test") as tasks:
            server = Server()
            reporter = Reporter(server, VirtualClock(), tasks)  # type: ignore[arg-type]
            await story(reporter, server)

    run_virtual(main())


def test_only_the_newest_waits() -> None:
    async def story(reporter: Reporter, server: Server) -> None:
        for phase in ("Pending", "Running", "Failed", "Succeeded"):
            reporter.report(pod(), PodStatus(phase=phase))
            await asyncio.sleep(0.1)
        await reporter.wait_sent("u-1")
        assert [p["status"]["phase"] for p in server.patches] == ["Pending", "Succeeded"]
        assert server.patches[0]["metadata"] == {"uid": "u-1"}

    tell(story)


def test_a_failure_is_tried_again_with_what_is_newest_then() -> None:
    async def story(reporter: Reporter, server: Server) -> None:
        server.failures = [InternalError("broken")]
        reporter.report(pod(), PodStatus(phase="Pending"))
        await asyncio.sleep(1.05)
        reporter.report(pod(), PodStatus(phase="Running"))
        await reporter.wait_sent("u-1")
        assert [p["status"]["phase"] for p in server.patches] == ["Running"]

    tell(story)


def test_a_pod_which_is_another_is_left_alone() -> None:
    async def story(reporter: Reporter, server: Server) -> None:
        server.failures = [Conflict("uid")]
        reporter.report(pod(), PodStatus(phase="Running"))
        await reporter.wait_sent("u-1")
        assert server.patches == []

    tell(story)


def test_old_news_are_no_reason_to_say_it_again() -> None:
    async def story(reporter: Reporter, server: Server) -> None:
        status = PodStatus(phase="Running")
        reporter.report(pod(), status)
        await reporter.wait_sent("u-1")
        reporter.seen(pod(metadata={"resourceVersion": "9"}), status)
        await reporter.wait_sent("u-1")
        assert len(server.patches) == 1
        changed = pod(metadata={"resourceVersion": "20"}, status={"phase": "Pending"})
        reporter.seen(changed, status)
        await reporter.wait_sent("u-1")
        assert len(server.patches) == 2

    tell(story)


def test_what_somebody_wrote_meanwhile_is_answered_after() -> None:
    async def story(reporter: Reporter, server: Server) -> None:
        status = PodStatus(phase="Running", conditions=[condition("Ready", "True")])
        reporter.report(pod(), status)
        await asyncio.sleep(0.5)
        # It comes after our words and arrives before their answer.
        theirs = pod(metadata={"resourceVersion": "12"})
        theirs.status = PodStatus(phase="Running", conditions=[condition("Ready", "False")])
        reporter.seen(theirs, status)
        await asyncio.sleep(5)
        assert len(server.patches) == 2
        assert server.patches[1]["status"]["conditions"][0]["status"] == "True"

    tell(story)
