"""Carrying out a preemption: the victims are told why, and deleted.

In:   a nomination.
Out:  their DisruptionTarget condition, their deletion, an event on each.
By:   loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core.v1 import Pod
from kybern.client.transport import Unreachable
from kybern.lib import logs
from kybern.lib.clock import rfc3339
from kybern.scheduler.preemption import PREEMPTED

if TYPE_CHECKING:
    from kybern.client.events import Recorder
    from kybern.client.rest import Client
    from kybern.scheduler.pod_info import PodInfo
    from kybern.scheduler.preemption import Nomination

log = logs.get("scheduler.eviction")


async def evict(client: Client, recorder: Recorder, pod: PodInfo, nomination: Nomination) -> bool:
    """Evict the victims; say whether all of them are on their way out."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_evict(client, recorder, pod, nomination.node, victim))
            for victim in nomination.victims
        ]
    return all(task.result() for task in tasks)


async def _evict(
    client: Client, recorder: Recorder, pod: PodInfo, node: str, victim: PodInfo
) -> bool:
    namespace, name = victim.key
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": PREEMPTED,
        "message": f"{pod.pod.spec.schedulerName or 'default-scheduler'}: "
        "preempting to accommodate a higher priority pod",
        "lastTransitionTime": rfc3339(client.clock.now()),
    }
    body = {"metadata": {"uid": victim.uid}, "status": {"conditions": [condition]}}
    try:
        if victim.pod.metadata.deletionTimestamp is None:
            await client.patch(Pod, name, namespace, body, type="strategic", subresource="status")
            await client.delete(Pod, name, namespace, uid=victim.uid)
    except (errors.NotFound, errors.Conflict):
        return True  # it is gone, or another of its name has come: either way it left
    except (errors.ApiError, Unreachable) as error:
        log.warning("victim not evicted", victim=victim.key, pod=pod.key, reason=str(error))
        return False
    log.info("evicted", victim=victim.key, pod=pod.key, node=node)
    recorder.event(victim.pod, "Normal", "Preempted", f"Preempted by pod {pod.uid} on node {node}")
    return True
