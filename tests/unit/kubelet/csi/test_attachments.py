"""Which volumes a node may touch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api.core.v1 import AttachedVolume, Node, NodeStatus
from kybern.api.meta.v1 import ObjectMeta
from kybern.kubelet.csi.attachments import Attachments

if TYPE_CHECKING:
    from collections.abc import Callable


def a_node(version: int, in_use: str = "", attached: str = "") -> Node:
    volumes = [AttachedVolume(name=name, devicePath="") for name in attached.split()]
    return Node(
        metadata=ObjectMeta(name="n", resourceVersion=str(version)),
        status=NodeStatus(volumesInUse=in_use.split() or None, volumesAttached=volumes or None),
    )


def may(tell: Callable[[Attachments], None]) -> bool:
    """Say whether volume `v` may be touched after what was told."""

    async def ask() -> bool:
        attachments = Attachments()
        tell(attachments)
        waiting = asyncio.ensure_future(attachments.wait_attached("v"))
        await asyncio.sleep(0)
        waiting.cancel()
        return waiting.done() and not waiting.cancelled()

    return asyncio.run(ask())


def test_both_sides_have_to_say_so() -> None:
    assert may(lambda a: a.reported(a_node(1, "v", "v")))
    assert not may(lambda a: a.reported(a_node(1, "v", "")))
    assert not may(lambda a: a.reported(a_node(1, "", "v")))
    assert not may(lambda a: a.saw(a_node(1, "v", "v")))  # an earlier kubelet's word

    def later(a: Attachments) -> None:
        a.reported(a_node(1, "v"))
        a.saw(a_node(2, "v", "v"))

    assert may(later)


def test_what_a_watch_told_before_the_report_does_not_count() -> None:
    def withdrawn(a: Attachments) -> None:
        a.saw(a_node(5, "", "v"))
        a.reported(a_node(7, "v", ""))  # at 6 somebody began to detach it

    assert not may(withdrawn)


def test_answers_that_come_late() -> None:
    def overtaken(a: Attachments) -> None:
        a.saw(a_node(8, "v", "v"))
        a.reported(a_node(7, "v", ""))

    assert may(overtaken)


def test_what_is_reported() -> None:
    told = []
    attachments = Attachments()
    attachments.report_with(lambda: told.append(attachments.in_use()))
    for _ in range(2):
        attachments.use("b")
    attachments.use("a")
    for _ in range(2):
        attachments.release("b")
    assert told == [["b"], ["a", "b"], ["a"]]
