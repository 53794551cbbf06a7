"""Telling of success: the event Scheduled, when there is time for it.

In:   pods that were bound, and their nodes.
Out:  events, all of them, though not always at once.
By:   loop.

Writing an event costs the API server as much as binding the pod it is about. In a rush that would
halve the rate at which pods get their nodes, and the recorder, whose memory is bounded, would drop
most of the news. So in a rush events wait here, where one is two references, and leave at a
trickle; when it is over they follow quickly.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import Pod
    from kybern.client.events import Recorder
    from kybern.lib.clock import Clock
    from kybern.lib.tasks import Tasks

PAUSE: Final = 0.05  # seconds between looks at whether the rush is over
TRICKLE: Final = 2  # events a pause, while it is not
AT_ONCE: Final = 200  # events a pause, when it is
MOST: Final = 100_000  # beyond so many the oldest are dropped


class Announcer:
    """Passes news of bound pods on to the recorder."""

    def __init__(
        self, recorder: Recorder, clock: Clock, tasks: Tasks, in_a_rush: Callable[[], bool]
    ) -> None:
        self._recorder = recorder
        self._clock = clock
        self._tasks = tasks
        self._in_a_rush = in_a_rush
        self._waiting: deque[tuple[Pod, str]] = deque(maxlen=MOST)
        self._passing_on = False

    def __len__(self) -> int:
        return len(self._waiting)

    def announce(self, pod: Pod, node: str) -> None:
        """Tell that a pod got a node: now, or when there is time."""
        if not self._passing_on and not self._in_a_rush():
            self._tell(pod, node)
            return
        self._waiting.append((pod, node))
        if not self._passing_on:
            self._passing_on = True
            self._tasks.spawn(self._pass_on(), name="scheduler announce")

    async def _pass_on(self) -> None:
        try:
            while self._waiting:
                await self._clock.sleep(PAUSE)
                count = TRICKLE if self._in_a_rush() else AT_ONCE
                # What the recorder has not sent yet would only wait there instead.
                count -= self._recorder.statistics()["waiting"]
                for _ in range(min(count, len(self._waiting))):
                    self._tell(*self._waiting.popleft())
        finally:
            self._passing_on = False

    def _tell(self, pod: Pod, node: str) -> None:
        metadata = pod.metadata
        message = f"Successfully assigned {metadata.namespace}/{metadata.name} to {node}"
        self._recorder.event(pod, "Normal", "Scheduled", message)
