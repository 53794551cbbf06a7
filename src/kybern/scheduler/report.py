"""Telling users why their pod has no node: the PodScheduled condition.

In:   pods that did not fit, and why.
Out:  patches of pods/status, only when they say something new.
By:   loop.

Of several verdicts about one pod only the newest is written. Losing one is no harm: the next
attempt writes it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import errors
from kybern.api.core.pods import condition
from kybern.api.core.v1 import Pod
from kybern.client.transport import Unreachable
from kybern.lib import logs
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.client.rest import Client
    from kybern.lib.tasks import Tasks
    from kybern.scheduler.pod_info import Key

log = logs.get("scheduler.report")

UNSCHEDULABLE: Final = "Unschedulable"
SCHEDULER_ERROR: Final = "SchedulerError"
WRITERS: Final = 8


class Reporter:
    """Writes conditions of pods."""

    def __init__(self, client: Client, tasks: Tasks) -> None:
        self._client = client
        self._tasks = tasks
        self._pending: dict[Key, tuple[Pod, dict[str, Any]]] = {}
        self._writers = 0

    def report(self, pod: Pod, reason: str, message: str, nominated: str | None = None) -> None:
        """Write that a pod has no node, and why; `nominated` is the node being cleared for it."""
        status = self._changes(pod, reason, message, nominated)
        if status:
            self._send(pod, status)

    def renounce(self, pod: Pod) -> None:
        """Write that no node is being cleared for a pod any more."""
        self._send(pod, {"nominatedNodeName": None})

    def _send(self, pod: Pod, status: dict[str, Any]) -> None:
        self._pending[pod.metadata.namespace or "", pod.metadata.name or ""] = (pod, status)
        if self._writers < WRITERS:
            self._writers += 1
            self._tasks.spawn(self._write_all(), name="scheduler report")

    def _changes(
        self, pod: Pod, reason: str, message: str, nominated: str | None
    ) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        old = condition(pod, "PodScheduled")
        now = rfc3339(self._client.clock.now())
        if old is None or (old.status, old.reason, old.message) != ("False", reason, message):
            same = old is not None and old.status == "False"
            new: dict[str, Any] = {
                "type": "PodScheduled",
                "status": "False",
                "reason": reason,
                "message": message,
                "lastTransitionTime": old.lastTransitionTime if old and same else now,
            }
            if pod.metadata.generation:
                new["observedGeneration"] = pod.metadata.generation
            changes["conditions"] = [new]
        if nominated is not None and nominated != (pod.status.nominatedNodeName or ""):
            changes["nominatedNodeName"] = nominated or None
        return changes

    async def _write_all(self) -> None:
        try:
            while self._pending:
                key = next(iter(self._pending))
                await self._write(key, *self._pending.pop(key))
        finally:
            self._writers -= 1

    async def _write(self, key: Key, pod: Pod, status: dict[str, Any]) -> None:
        # The uid makes sure that a pod of the same name, made meanwhile, is left alone.
        body = {"metadata": {"uid": pod.metadata.uid}, "status": status}
        try:
            await self._client.patch(
                Pod, key[1], key[0], body, type="strategic", subresource="status"
            )
        except (errors.NotFound, errors.Conflict):
            log.debug("pod is gone", pod=key)
        except (errors.ApiError, Unreachable) as error:
            log.warning("condition not written", pod=key, reason=str(error))
