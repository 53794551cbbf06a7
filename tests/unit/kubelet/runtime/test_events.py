"""Hearing from the runtime, from whichever service it has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.kubelet.runtime import events
from kybern.kubelet.runtime.interface import Happened, RuntimeEvent, RuntimeFailure
from kybern.kubelet.runtime.messages import service as v
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.lib.protobuf import Codec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RESYNC = RuntimeEvent(Happened.RESYNC)


def envelope(topic: str, message: Any) -> v.Envelope:
    data = Codec(type(message)).encode(message)
    return v.Envelope("k8s.io", topic, v.AnyMessage("x", data))


class Streams:
    """Answers each subscription with the next of these: messages, then a failure or silence."""

    def __init__(self, **answers: list[list[Any]]) -> None:
        self.answers = answers

    async def stream(self, method: str, request: Any, answer: type) -> AsyncIterator[Any]:
        which = "cri" if method == events.CRI_EVENTS else "containerd"
        for message in self.answers[which].pop(0):
            if isinstance(message, RuntimeFailure):
                raise message
            yield message
        await asyncio.sleep(1e9)


def hear(streams: Streams, number: int) -> list[RuntimeEvent]:
    async def main() -> list[RuntimeEvent]:
        found = []
        async for event in events.follow(streams, VirtualClock()):
            found.append(event)
            if len(found) == number:
                break
        return found

    return run_virtual(main())


def test_the_standard_events_where_there_are_any() -> None:
    answers = [
        v.ContainerEventResponse("a", 0),
        v.ContainerEventResponse("a", 1),
        v.ContainerEventResponse("a", 2),
        v.ContainerEventResponse("a", 3),
    ]
    assert hear(Streams(cri=[answers]), 3) == [
        RESYNC, RuntimeEvent(Happened.STARTED, "a"), RuntimeEvent(Happened.STOPPED, "a"),
    ]  # fmt: skip


def test_containerds_own_where_not() -> None:
    answers = [
        envelope("/tasks/start", v.TaskEvent("a")),
        envelope("/tasks/exit", v.TaskExit("a", "exec-1")),  # a command in it, not the container
        envelope("/tasks/oom", v.TaskEvent("a")),  # its end is told when, and if, it ends
        envelope("/tasks/exit", v.TaskExit("a", "a")),
    ]
    streams = Streams(cri=[[RuntimeFailure("no", "UNIMPLEMENTED")]], containerd=[answers])
    assert hear(streams, 4) == [
        RESYNC,
        RESYNC,
        RuntimeEvent(Happened.STARTED, "a"),
        RuntimeEvent(Happened.STOPPED, "a"),
    ]


def test_an_interruption_is_told_and_mended() -> None:
    broken = RuntimeFailure("connection reset", "UNAVAILABLE")
    streams = Streams(cri=[[broken], [v.ContainerEventResponse("a", 2)]])
    assert hear(streams, 3) == [RESYNC, RESYNC, RuntimeEvent(Happened.STOPPED, "a")]
