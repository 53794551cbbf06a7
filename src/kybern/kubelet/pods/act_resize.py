"""Putting in force what a pod was given, while it runs.

In:   a PodRecord whose allotment is unfinished, and the containers to tell the runtime about.
Out:  the containers' and the pod's cgroups; the record's allotment finished, or why it is not.
By:   pods/act.py.

The pod's own cgroup is never smaller than what is in it: it grows before its containers do, and
shrinks after them; of the containers those which shrink come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.kubelet.pods import allotment as sizing
from kybern.kubelet.pods import qos
from kybern.kubelet.pods.tools import NORMAL, WARNING
from kybern.kubelet.runtime import translate
from kybern.kubelet.runtime.interface import RuntimeFailure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.kubelet.pods.plan import Resize
    from kybern.kubelet.pods.record import PodRecord
    from kybern.kubelet.pods.tools import Tools


class CannotShrink(Exception):
    """A container or the pod uses more memory than it may have from now on."""


async def resize(
    tools: Tools, record: PodRecord, steps: Iterable[Resize], *, all_of_it: bool
) -> None:
    """Put the allotment in force; what prevents that is noted in the record, and told.

    It is finished only with `all_of_it`: containers may have to start yet to get their size.
    """
    allotment = record.allotment
    try:
        await _resize(tools, record, list(steps))
        record.resize_error = ""
        if not all_of_it:
            return
        allotment.running.clear()
        allotment.unfinished = False
        tools.allotments.save(record.uid, allotment)
    except (CannotShrink, RuntimeFailure, OSError) as failure:
        said = failure.described if isinstance(failure, RuntimeFailure) else str(failure)
        if said != record.resize_error:
            text = sizing.described(record.pod, allotment.generation, said)
            tools.tell(record.pod, WARNING, "ResizeError", f"Pod resize error: {text}")
        record.resize_error = said
        return
    text = sizing.described(record.pod, allotment.generation)
    tools.tell(record.pod, NORMAL, "ResizeCompleted", f"Pod resize completed: {text}")


async def _resize(tools: Tools, record: PodRecord, steps: list[Resize]) -> None:
    pod, cgroups = record.pod, tools.cgroups
    now, target = cgroups.limits(pod), qos.pod_limits(pod)
    await _check_memory(tools, record, steps, now, target)
    if now is not None:
        cgroups.write_limits(pod, qos.larger(now, target))
    for step in sorted(steps, key=_grows):
        resources = translate.container_resources(pod, step.wanted.spec, tools.node.facts)
        await tools.runtime.update_resources(step.id, resources)
        record.allotment.running.pop(step.wanted.name, None)
    if now is not None:
        cgroups.write_limits(pod, target)


def _grows(step: Resize) -> bool:
    before, after = step.before.limits or {}, step.wanted.spec
    return qos.memory_limit(after) > qos.amount(before, "memory") or qos.milli_cpu_limit(
        after
    ) > qos.amount(before, "cpu")


async def _check_memory(
    tools: Tools,
    record: PodRecord,
    steps: list[Resize],
    now: qos.PodLimits | None,
    target: qos.PodLimits,
) -> None:
    """Refuse to take memory away that is in use: the kernel would kill for it.

    Raises:
        CannotShrink: it is in use.
    """
    shrinking = {
        step.id: (step.wanted.name, limit)
        for step in steps
        if (limit := qos.memory_limit(step.wanted.spec)) > 0
        and limit < (qos.amount(step.before.limits or {}, "memory") or limit + 1)
    }
    if not shrinking:
        return
    problems = []
    for measured in await tools.runtime.container_stats():
        name, limit = shrinking.get(measured.attributes.id if measured.attributes else "", ("", 0))
        memory = measured.memory.usage_bytes if measured.memory is not None else None
        used = memory.value if memory is not None else 0
        if name and used >= limit:
            problems.append(
                f'attempting to set container "{name}" memory limit ({limit}) below current '
                f"usage ({used})"
            )
    pod_shrinks = now is not None and target.memory and target.memory < (now.memory or 1 << 63)
    used = tools.cgroups.memory_usage(record.pod) if pod_shrinks else 0
    if used >= target.memory > 0:
        problems.append(
            f"attempting to set pod memory limit ({target.memory}) below current usage ({used})"
        )
    if problems:
        raise CannotShrink(", ".join(problems))
