"""Telling the API server how pods are.

In:   statuses, as workers work them out.
Out:  patches of `pods/status` with what changed, the newest status of each pod last; deletions.
By:   pods/worker.py.

A worker never waits for the API server: per pod one patch is on its way, and of what comes
meanwhile only the newest is kept. While there is no API server, it is tried again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.core.v1 import Pod, PodStatus
from kybern.api.errors import ApiError, Conflict, NotFound
from kybern.client.transport import Unreachable
from kybern.kubelet.pods.conditions import PASSING
from kybern.lib import logs
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from kybern.client.rest import Client
    from kybern.lib.clock import Clock
    from kybern.lib.tasks import Tasks

log = logs.get("kubelet.status")
RETRY = Backoff(initial=0.1, factor=2.0, cap=5.0)
# Lists which strategic merge would join with what is there, though the kubelet means all of it.
WHOLE = ("podIPs", "hostIPs")
OWNED = (
    "phase", "reason", "message", "hostIP", "hostIPs", "podIP", "podIPs", "startTime",
    "initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses", "qosClass",
    "observedGeneration",
)  # fmt: skip


class Reported:
    """What the API server was told of one pod."""

    __slots__ = ("idle", "last", "missed", "name", "namespace", "sent", "uid", "version", "wanted")

    def __init__(self, pod: Pod) -> None:
        self.uid = pod.metadata.uid or ""
        self.namespace = pod.metadata.namespace or ""
        self.name = pod.metadata.name or ""
        self.sent = pod.status  # what the server is known to have
        self.last = pod.status  # what it was told last, whether or not that has arrived
        self.version = 0
        self.wanted: PodStatus | None = None
        self.missed: Pod | None = None  # as it was seen while something was on its way
        self.idle = asyncio.Event()
        self.idle.set()


class Reporter:
    """Reports the statuses of all pods of the node."""

    def __init__(self, client: Client, clock: Clock, tasks: Tasks) -> None:
        self._client = client
        self._clock = clock
        self._tasks = tasks
        self._pods: dict[str, Reported] = {}

    def report(self, pod: Pod, status: PodStatus) -> None:
        """Make this the pod's status, soon. The status is not changed by the caller afterwards."""
        uid = pod.metadata.uid or ""
        reported = self._pods.get(uid)
        if reported is None:
            reported = self._pods[uid] = Reported(pod)
        if not status_patch(reported.last, status):
            return
        reported.wanted = reported.last = status
        if reported.idle.is_set():
            reported.idle.clear()
            name = f"status {reported.namespace}/{reported.name}"
            self._tasks.spawn(self._send(reported), name=name)

    def seen(self, pod: Pod, status: PodStatus | None) -> None:
        """Take note of the pod as the API server has it; say it again when somebody changed it."""
        reported = self._pods.get(pod.metadata.uid or "")
        if reported is None or status is None:
            return
        if not reported.idle.is_set():
            reported.missed = pod
            return
        version = pod.metadata.resourceVersion or ""
        if version.isdigit() and int(version) > reported.version:
            reported.sent = reported.last = pod.status
            self.report(pod, status)

    async def wait_sent(self, uid: str) -> None:
        """Wait until the API server has the pod's newest status, or the pod is gone."""
        reported = self._pods.get(uid)
        if reported is not None:
            await reported.idle.wait()

    async def delete(self, pod: Pod) -> None:
        """Delete a pod which has ended: nothing of it is left on the node."""
        meta = pod.metadata
        for attempt in range(1 << 30):
            try:
                await self._client.delete(
                    Pod, meta.name or "", meta.namespace or "", uid=meta.uid, grace=0
                )
            except (NotFound, Conflict):
                return  # gone, or another pod has its name
            except (Unreachable, ApiError) as error:
                log.warning("pod not deleted, trying again", pod=meta.name, why=str(error))
                await self._clock.sleep(RETRY.delay(attempt))
            else:
                return

    def forget(self, uid: str) -> None:
        """Forget a pod which is gone."""
        reported = self._pods.pop(uid, None)
        if reported is not None:
            reported.wanted = None

    async def _send(self, reported: Reported) -> None:
        failures = 0
        try:
            while (status := reported.wanted) is not None:
                reported.wanted = None
                try:
                    await self._patch(reported, status)
                    failures = 0
                except NotFound:
                    return
                except (Unreachable, ApiError) as error:
                    if isinstance(error, Conflict) and await self._is_another(reported):
                        return
                    log.warning("status not sent, trying again", pod=reported.name, why=str(error))
                    reported.wanted = reported.wanted or status
                    await self._clock.sleep(RETRY.delay(failures))
                    failures += 1
        finally:
            reported.idle.set()
        # What was seen meanwhile may be what came before our words, or somebody's answer to them.
        missed, reported.missed = reported.missed, None
        if missed is not None:
            self.seen(missed, reported.last)

    async def _is_another(self, reported: Reported) -> bool:
        """Whether another pod has the name now; otherwise somebody was writing at the same time."""
        try:
            pod = await self._client.get(Pod, reported.name, reported.namespace)
        except NotFound:
            return True
        except (Unreachable, ApiError):
            return False
        return pod.metadata.uid != reported.uid

    async def _patch(self, reported: Reported, status: PodStatus) -> None:
        changes = status_patch(reported.sent, status)
        if not changes:
            return
        body = {"metadata": {"uid": reported.uid}, "status": changes}
        stored: Pod = await self._client.patch(
            Pod, reported.name, reported.namespace, body, type="strategic", subresource="status"
        )
        reported.sent = status
        version = stored.metadata.resourceVersion or ""
        if version.isdigit():
            reported.version = int(version)


def status_patch(old: PodStatus, new: PodStatus) -> dict[str, Any]:
    """Return the strategic merge patch from one status to another; {} when they are alike."""
    changes: dict[str, Any] = {}
    for name in OWNED:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        changes[name] = _tree(after)
        if name in WHOLE and before and after:
            changes[name] = [{"$patch": "replace"}, *changes[name]]
    if conditions := _changed_conditions(old, new):
        changes["conditions"] = conditions
    return changes


def _changed_conditions(old: PodStatus, new: PodStatus) -> list[dict[str, Any]]:
    before = {c.type: c for c in old.conditions or ()}
    changed = []
    for condition in new.conditions or ():
        if before.get(condition.type) != condition:
            tree = _tree(condition)
            for name in ("reason", "message"):
                tree.setdefault(name, None)  # conditions are merged: what is gone has to be said
            changed.append(tree)
    kept = {c.type for c in new.conditions or ()}
    gone = [kind for kind in PASSING if kind in before and kind not in kept]
    return changed + [{"type": kind, "$patch": "delete"} for kind in gone]


def _tree(value: Any) -> Any:
    if isinstance(value, list):
        return [_tree(item) for item in value]
    if isinstance(value, (str, int, type(None))):
        return value
    return codec.to_tree(value)
