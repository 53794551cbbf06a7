"""Nodes, played: pods start and stop there after a while, and nothing is executed.

What runs on a node outlives its kubelet and ends with the machine. A slow node takes a minute for
what others do in seconds. Images that say `bad` start and are never ready.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core.v1 import Node, Pod
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.transport import Identity, Unreachable
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.kubelet.node.lease import Heartbeat
from kybern.lib.clock import rfc3339
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    from tests.simulation.world import Component, World

LEASE = 1200  # seconds; a quarter of it is between two heartbeats
SLOW = 20.0
CAPACITY = {"memory": "8Gi", "pods": "110", "ephemeral-storage": "100Gi"}
RETRY = 2.0
REPLACE = {"$patch": "replace"}  # a machine that was away gives pods new addresses


class PlayedNode:
    """A machine and the kubelet on it."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"node-{number}"
        self.number = number
        self.pace = SLOW if world.rng.random() < world.profile.slow else 1.0
        self.registered = False
        self._uid = ""
        self._addresses = 0
        self._ready_at: dict[str, float] = {}
        self._gone_at: dict[str, float] = {}
        self._ips: dict[str, str] = {}

    def reboot(self) -> None:
        """Lose what runs."""
        self._ready_at.clear()
        self._gone_at.clear()
        self._ips.clear()

    async def run(self, component: Component) -> None:
        """Be the kubelet."""
        world = self.world
        groups = ("system:nodes", "system:authenticated")
        client = component.client(Identity(f"system:node:{self.name}", groups))
        async with Tasks(self.name, clock=world.clock) as tasks:
            informers = component.informers(client, tasks)
            pods = informers.of(Pod, field_selector=f"spec.nodeName={self.name}")

            async def treat(key: Key) -> Outcome:
                pod = pods.get(*key)
                return await self._treat(client, pod) if pod is not None else DONE

            await self._register(client)
            loop: Loop[Key] = Loop(self.name, treat, after=(pods,), workers=4)
            pods.on_change(lambda pod: loop.add(key_of(pod)))
            heartbeat = Heartbeat(client, world.clock, self.name, lambda: self._uid, LEASE)
            tasks.spawn_forever(heartbeat.run, f"heartbeat of {self.name}")
            await loop.run()

    async def _register(self, client: Any) -> None:
        while True:
            try:
                await self._be_there(client)
            except (errors.ApiError, Unreachable):
                await self.world.clock.sleep(RETRY)
            else:
                return

    async def _be_there(self, client: Any) -> None:
        stamp = rfc3339(self.world.clock.now())
        labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"}
        try:
            node = await client.create(Node(metadata=ObjectMeta(name=self.name, labels=labels)))
        except errors.AlreadyExists:
            node = await client.get(Node, self.name)
        self._uid = node.metadata.uid
        ready = {
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
            "lastHeartbeatTime": stamp, "lastTransitionTime": stamp,
        }  # fmt: skip
        room = {"cpu": f"{self.world.profile.room}m", **CAPACITY}
        status = {
            "capacity": room, "allocatable": room, "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": f"192.0.2.{self.number + 10}"}],
        }  # fmt: skip
        body = {"status": status}
        await client.patch(Node, self.name, "", body, type="strategic", subresource="status")
        self.registered = True

    def _soon(self) -> float:
        return self.world.clock.monotonic() + self.pace * (0.5 + 4 * self.world.rng.random())

    async def _treat(self, client: Any, pod: Pod) -> Outcome:
        now = self.world.clock.monotonic()
        metadata = pod.metadata
        uid, name, namespace = metadata.uid or "", metadata.name or "", metadata.namespace or ""
        if metadata.deletionTimestamp is not None:
            at = self._gone_at.setdefault(uid, self._soon())
            if now < at:
                return After(at - now)
            with contextlib.suppress(errors.NotFound):
                await client.delete(Pod, name, namespace, uid=uid, grace=0)
            self._ready_at.pop(uid, None)
            return DONE
        at = self._ready_at.setdefault(uid, self._soon())
        status = self._status(pod, started=now >= at)
        if not _shown(pod, status):
            body = {"metadata": {"uid": uid}, "status": status}
            await client.patch(Pod, name, namespace, body, type="strategic", subresource="status")
        return After(at - now) if now < at else DONE

    def _status(self, pod: Pod, *, started: bool) -> dict[str, Any]:
        stamp = rfc3339(self.world.clock.now())
        ready = started and not any("bad" in (c.image or "") for c in pod.spec.containers)
        was_there = bool(pod.status.podIP)
        if not started and not was_there:
            return {}
        uid = pod.metadata.uid or ""
        if uid not in self._ips:
            self._addresses += 1
            count = self._addresses
            self._ips[uid] = f"10.{self.number + 1}.{count // 250}.{count % 250 + 1}"
        conditions = [
            {"type": kind, "status": "True" if fine else "False", "lastTransitionTime": stamp}
            for kind, fine in (
                ("Initialized", True), ("ContainersReady", ready), ("Ready", ready),
                ("PodScheduled", True),
            )
        ]  # fmt: skip
        return {
            "phase": "Running", "startTime": stamp, "conditions": conditions,
            "podIP": self._ips[uid], "podIPs": [REPLACE, {"ip": self._ips[uid]}],
            "hostIP": f"192.0.2.{self.number + 10}",
            "hostIPs": [REPLACE, {"ip": f"192.0.2.{self.number + 10}"}],
            "containerStatuses": [
                {
                    "name": c.name, "image": c.image or "", "imageID": c.image or "",
                    "ready": ready, "started": started, "restartCount": 0,
                    "state": {"running": {"startedAt": stamp}},
                }
                for c in pod.spec.containers
            ],
        }  # fmt: skip


def _shown(pod: Pod, status: dict[str, Any]) -> bool:
    """Whether the pod's status says so already, but for the times."""
    if not status:
        return True
    if pod.status.phase != "Running" or pod.status.podIP != status["podIP"]:
        return False
    wanted = {c["type"]: c["status"] for c in status["conditions"]}
    shown = {c.type: c.status for c in pod.status.conditions or ()}
    return wanted.items() <= shown.items()
