"""Nodes on which kubelets are played: pods run, become ready and end, and nothing is executed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.coordination.v1 import Lease
from kybern.api.core.v1 import Node, Pod
from kybern.client.transport import Identity
from kybern.kubelet.node.lease import Heartbeat
from kybern.lib.clock import rfc3339
from kybern.scheduler.config import SchedulerConfig
from kybern.scheduler.loop import Scheduler

if TYPE_CHECKING:
    from kybern.api.core.v1 import Container
    from tests.conformance.world import World

SCHEDULER = Identity("system:kube-scheduler", ("system:authenticated",))
STARTING = 0.5  # seconds until a pod is ready
CAPACITY = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"}


async def schedule(w: World) -> None:
    """Run the scheduler."""
    await Scheduler(
        SchedulerConfig(), w.client_of(SCHEDULER), informers=w.informers, rng=random.Random(1)
    ).run()


class Kubelets:
    """Plays the kubelet of every node.

    Heartbeats are the kubelet's own. A pod whose image says `bad` never becomes ready; one whose image is `exit:1` ends with 1.
    """

    def __init__(self, w: World) -> None:
        self.w = w
        self.names: list[str] = []
        self._beating: dict[str, asyncio.Task[None]] = {}
        self._pods = w.informers.of(Pod)
        self._pods.on(add=self._seen, update=lambda _, pod: self._seen(pod))

    async def join(self, count: int) -> None:
        """Register so many nodes, ready for pods."""
        nodes = self.w.resource("v1", "nodes")
        for number in range(count):
            name = f"node-{number}"
            stamp = rfc3339(self.w.clock.now())
            ready = {
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                "lastHeartbeatTime": stamp, "lastTransitionTime": stamp,
            }  # fmt: skip
            labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
            await nodes.create({"metadata": {"name": name, "labels": labels}})
            status = {
                "capacity": CAPACITY, "allocatable": CAPACITY, "conditions": [ready],
                "addresses": [{"type": "InternalIP", "address": f"192.0.2.{number + 10}"}],
            }  # fmt: skip
            await nodes.patch(name, {"status": status}, subresource="status")
            await nodes.patch(name, {"spec": {"taints": None}})
            self.names.append(name)
            self._beat(name)

    def _beat(self, name: str) -> None:
        client = self.w.client_of(Identity(f"system:node:{name}", ("system:nodes",)))
        heartbeat = Heartbeat(client, self.w.clock, name, lambda: "", self.w.lease_seconds)
        self._beating[name] = self.w.tasks.spawn(heartbeat.run(), name=f"heartbeat of {name}")

    def die(self, name: str) -> None:
        """Let a machine be gone: it is heard of no more, and does nothing more."""
        self.names.remove(name)
        self._beating.pop(name).cancel()

    def come_back(self, name: str) -> None:
        """Let it come back, as it was."""
        self.names.append(name)
        self._beat(name)
        for pod in self._pods.list():
            self._seen(pod)

    def _seen(self, pod: Pod) -> None:
        if pod.spec.nodeName in self.names:
            self.w.tasks.spawn(self._treat(pod), name=f"kubelet of {pod.metadata.name}")

    async def _treat(self, pod: Pod) -> None:
        metadata = pod.metadata
        name, namespace = metadata.name or "", metadata.namespace or ""
        client = self.w.client
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            if metadata.deletionTimestamp is not None:
                await asyncio.sleep(STARTING)
                if metadata.finalizers and pod.status.phase in ("Pending", "Running"):
                    await self._end(pod, 137)
                await client.delete(Pod, name, namespace, uid=metadata.uid, grace=0)
            elif pod.status.phase == "Pending":
                await asyncio.sleep(STARTING)
                await client.patch(
                    Pod, name, namespace, {"metadata": {"uid": metadata.uid},
                    "status": self._running(pod)}, type="strategic", subresource="status",
                )  # fmt: skip
            elif pod.status.phase == "Running" and (code := _exit_code(pod)) is not None:
                await asyncio.sleep(STARTING)
                await self._end(pod, code)

    async def _end(self, pod: Pod, code: int) -> None:
        """Report that a pod's containers have ended."""
        metadata, now = pod.metadata, rfc3339(self.w.clock.now())
        terminated = {"exitCode": code, "startedAt": now, "finishedAt": now}
        statuses = [
            {"name": c.name, "image": c.image, "imageID": c.image, "ready": False,
             "restartCount": 0, "state": {"terminated": terminated, "running": None}}
            for c in pod.spec.containers
        ]  # fmt: skip
        ready = {"type": "Ready", "status": "False", "lastTransitionTime": now}
        status = {
            "phase": "Failed" if code else "Succeeded", "conditions": [ready],
            "containerStatuses": statuses,
        }  # fmt: skip
        await self.w.client.patch(
            Pod, metadata.name or "", metadata.namespace or "",
            {"metadata": {"uid": metadata.uid}, "status": status},
            type="strategic", subresource="status",
        )  # fmt: skip

    def _running(self, pod: Pod) -> dict:
        now = rfc3339(self.w.clock.now())
        number = int(pod.metadata.resourceVersion or 0)
        address = f"10.1.{number // 250 % 250}.{number % 250 + 1}"
        ready = not any("bad" in c.image for c in pod.spec.containers)

        def status(container: Container) -> dict:
            return {
                "name": container.name, "image": container.image, "imageID": container.image,
                "ready": ready, "started": True, "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }  # fmt: skip

        conditions = [
            {"type": kind, "status": "True" if fine else "False", "lastTransitionTime": now}
            for kind, fine in (
                ("Initialized", True), ("ContainersReady", ready), ("Ready", ready),
                ("PodScheduled", True),
            )
        ]  # fmt: skip
        return {
            "phase": "Running", "startTime": now, "conditions": conditions,
            "podIP": address, "podIPs": [{"ip": address}],
            "hostIP": "192.0.2.10", "hostIPs": [{"ip": "192.0.2.10"}],
            "containerStatuses": [status(c) for c in pod.spec.containers],
        }  # fmt: skip


def _exit_code(pod: Pod) -> int | None:
    """What the containers end with, None when they do not, by the name of the first one's image.

    `exit:1` ends with 1; `exit:1-0.2` does where the index is 0 or 2, and elsewhere with 0; `only:0`
    ends with 0 where the index is 0, and nowhere else.
    """
    kind, _, text = pod.spec.containers[0].image.partition(":")
    mine = (pod.metadata.annotations or {}).get("batch.kubernetes.io/job-completion-index")
    if kind == "only":
        return 0 if mine in text.split(".") else None
    if kind != "exit":
        return None
    code, _, indexes = text.partition("-")
    return int(code) if not indexes or mine in indexes.split(".") else 0


__all__ = ["Kubelets", "Lease", "Node", "schedule"]
