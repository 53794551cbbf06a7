"""Carrying out a plan.

In:   a PodRecord and its Plan.
Out:  the steps done, in the plan's order; what could not be done is noted in the record.
By:   pods/worker.py. It makes no choices of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.kubelet.pods import act_resize, containers, sandboxes, specs
from kybern.kubelet.pods.held import Held
from kybern.kubelet.pods.specs import Role
from kybern.kubelet.pods.tools import NORMAL, WARNING
from kybern.kubelet.pods.view import State
from kybern.kubelet.probes.plan import ProbeKind, probes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from kybern.kubelet.pods.plan import Plan, Stop
    from kybern.kubelet.pods.record import PodRecord
    from kybern.kubelet.pods.tools import Tools


async def carry_out(
    tools: Tools, record: PodRecord, plan: Plan, progress: Callable[[], None]
) -> None:
    """Do what the plan says; `progress` is called whenever the status may have changed.

    Raises:
        PodTrouble: volumes or sandbox could not be made.
        RuntimeFailure: the runtime does not work.
    """
    if plan.drop_sandbox:
        await _drop_sandbox(tools, record)
    await _together(*(_stop(tools, record, stop) for stop in plan.stop))
    _tell_waiting(tools, record, plan)
    if plan.start or record.refresh_at <= tools.clock.now():
        try:
            await sandboxes.prepare_volumes(tools, record)
        finally:
            sandboxes.watch_objects(tools, record)
    if plan.new_sandbox:
        await sandboxes.make(tools, record, plan.attempt)
    if plan.resize_pod:
        await act_resize.resize(
            tools, record, plan.resize, all_of_it=not plan.start and not plan.stop
        )
        progress()
    for step in plan.start:
        try:
            await containers.start(tools, record, step)
        except Held as held:
            record.hold(step.wanted.name, held)
        progress()
    for container_id in plan.remove:
        await tools.runtime.remove_container(container_id)
        record.view.drop(container_id)
    if record.held:
        sandboxes.watch_objects(tools, record)


async def stop_everything(tools: Tools, record: PodRecord, grace: int) -> None:
    """End all containers: all at once, and the sidecars after them, last one first.

    Raises:
        RuntimeFailure: the runtime would not.
    """
    began = tools.clock.monotonic()
    sidecars = [w.name for w in specs.init_containers(record.pod) if w.role is Role.SIDECAR]
    running = record.view.running()
    await _together(
        *(containers.stop(tools, record, c, grace) for c in running if c.name not in sidecars)
    )
    for name in reversed(sidecars):
        left = max(min(grace, 2), grace - int(tools.clock.monotonic() - began))
        for container in [c for c in record.view.running() if c.name == name]:
            await containers.stop(tools, record, container, left)


async def _together(*steps: Coroutine[Any, Any, None]) -> None:
    """Take steps at the same time; of several failures one is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _drop_sandbox(tools: Tools, record: PodRecord) -> None:
    tools.tell(
        record.pod, NORMAL, "SandboxChanged",
        "Pod sandbox changed, it will be killed and re-created.",
    )  # fmt: skip
    await stop_everything(tools, record, specs.grace_period(record.pod))
    await sandboxes.end(tools, record)


async def _stop(tools: Tools, record: PodRecord, stop: Stop) -> None:
    container = next((c for c in record.view.containers if c.id == stop.id), None)
    if container is None:
        return
    if container.state is not State.RUNNING:
        await tools.runtime.remove_container(stop.id)
        record.view.drop(stop.id)
        return
    if not stop.probe:
        record.replacing.add(stop.name)
    await containers.stop(tools, record, container, _grace(record, stop), stop.message)


def _grace(record: PodRecord, stop: Stop) -> int:
    wanted = specs.find(record.pod, stop.name)
    probe = probes_of(wanted.spec).get(ProbeKind(stop.probe)) if wanted and stop.probe else None
    return specs.probe_grace_period(record.pod, probe)


def _tell_waiting(tools: Tools, record: PodRecord, plan: Plan) -> None:
    for waiting in plan.waiting:
        before = record.held.get(waiting.name)
        if waiting.reason == "CrashLoopBackOff" and before != waiting:
            wanted = specs.find(record.pod, waiting.name)
            tools.tell(
                record.pod, WARNING, "BackOff",
                f"Back-off restarting failed container {waiting.name} in pod "
                f"{record.name}_{record.namespace}({record.uid})",
                wanted,
            )  # fmt: skip
        record.held[waiting.name] = waiting
