"""What happens in the runtime, as it happens.

In:   CRI's GetContainerEvents, or, where the runtime answers that it has none (containerd before
      1.7), containerd's own event service on the same socket.
Out:  RuntimeEvents; RESYNC first, and again after every interruption.
By:   `CriRuntime.events`. There is no polling; the slow relist is the agent's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from kybern.kubelet.runtime.interface import Happened, RuntimeEvent, RuntimeFailure
from kybern.kubelet.runtime.messages import service as v
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.protobuf import Codec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kybern.lib.clock import Clock

T = TypeVar("T", bound=msgspec.Struct)

log = logs.get("kubelet.runtime")
CRI_EVENTS = "/runtime.v1.RuntimeService/GetContainerEvents"
CONTAINERD_EVENTS = "/containerd.services.events.v1.Events/Subscribe"
TOPICS = {
    "/tasks/start": Happened.STARTED,
    "/tasks/exit": Happened.STOPPED,
}
FILTERS = [f'topic=="{topic}",namespace==k8s.io' for topic in TOPICS]
TYPES = {
    v.ContainerEventType.STARTED: Happened.STARTED,
    v.ContainerEventType.STOPPED: Happened.STOPPED,
}
RETRY = Backoff(initial=0.05, factor=2.0, cap=2.0)


class Streams(Protocol):
    """Calls which answer with a stream."""

    def stream(self, method: str, request: msgspec.Struct, answer: type[T]) -> AsyncIterator[T]:
        """Call a method which answers with a stream of messages."""


async def follow(runtime: Streams, clock: Clock) -> AsyncIterator[RuntimeEvent]:
    """Yield events for ever, subscribing again whenever the stream breaks."""
    source, failures = _from_cri, 0
    while True:
        # Subscribed or not yet: the list the reader makes on RESYNC is repeated slowly, so that
        # what happens between the list and the subscription is found as well.
        yield RuntimeEvent(Happened.RESYNC)
        began = clock.monotonic()
        try:
            async for event in source(runtime):
                yield event
        except RuntimeFailure as failure:
            if failure.code == "UNIMPLEMENTED" and source is _from_cri:
                source = _from_containerd
                continue
            if clock.monotonic() - began > RETRY.cap:
                failures = 0
            log.warning("runtime events interrupted", reason=failure.message, code=failure.code)
        await clock.sleep(RETRY.delay(failures))
        failures += 1


async def _from_cri(runtime: Streams) -> AsyncIterator[RuntimeEvent]:
    stream = runtime.stream(CRI_EVENTS, v.Empty(), v.ContainerEventResponse)
    async for event in stream:
        happened = TYPES.get(event.container_event_type)  # type: ignore[call-overload]
        if happened is not None:
            yield RuntimeEvent(happened, event.container_id)


async def _from_containerd(runtime: Streams) -> AsyncIterator[RuntimeEvent]:
    start, ended = Codec(v.TaskEvent), Codec(v.TaskExit)
    request = v.SubscribeRequest(filters=FILTERS)
    async for envelope in runtime.stream(CONTAINERD_EVENTS, request, v.Envelope):
        happened = TOPICS.get(envelope.topic)
        if happened is None or envelope.event is None:
            continue
        if happened is not Happened.STOPPED:
            yield RuntimeEvent(happened, start.decode(envelope.event.value).container_id)
            continue
        exit_ = ended.decode(envelope.event.value)
        if exit_.id in ("", exit_.container_id):
            yield RuntimeEvent(happened, exit_.container_id)
