"""Which pods get the size they ask for, and when.

In:   pods which ask for something else than they were given; what the others hold.
Out:  they are given it; or a condition says why not, and they are asked again when a pod has ended
      or has given something back.
By:   roster.py. Deciding is pure; `Resizes` keeps who waits.

Facts: upstream's `pkg/kubelet/allocation`. What never fits the node is infeasible, and is not tried
again before the pod asks for something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import quantity
from kybern.api.core.pods import is_mirror
from kybern.kubelet.pods import qos
from kybern.kubelet.pods.admission import lack, requests
from kybern.kubelet.pods.allotment import (
    DEFERRED,
    INFEASIBLE,
    Allotment,
    Pending,
    described,
    same,
    sizes,
)
from kybern.kubelet.pods.lifecycle import Phase
from kybern.kubelet.pods.tools import NORMAL, WARNING
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kybern.api.core.v1 import Pod
    from kybern.kubelet.pods.tools import Tools
    from kybern.kubelet.pods.worker import PodWorker

log = logs.get("kubelet.pods")


def judge(pod: Pod, others: Iterable[Pod], allocatable: Mapping[str, str]) -> Pending | None:
    """Return why a pod cannot have the size it asks for; None when it can."""
    generation = pod.metadata.generation or 0
    if is_mirror(pod):
        message = "In-place resize of static-pods is not supported"
        return Pending(INFEASIBLE, message, generation)
    asked = requests(pod)
    for name, unit in (("memory", 1000), ("cpu", 1)):
        capacity = quantity.to_milli(allocatable.get(name, "0"))
        if asked.get(name, 0) > capacity:
            message = (
                f"Node didn't have enough capacity: {name}, requested: {asked[name] // unit}, "
                f"capacity: {capacity // unit}"
            )
            return Pending(INFEASIBLE, message, generation)
    missing = lack(asked, others, allocatable)
    return Pending(DEFERRED, missing[1], generation) if missing is not None else None


class Resizes:
    """The pods which wait for another size, by uid."""

    def __init__(self, tools: Tools, others: Callable[[PodWorker], list[Pod]]) -> None:
        """Take who tells what the other pods of the node hold."""
        self._tools = tools
        self._others = others
        self._waiting: dict[str, PodWorker] = {}
        self._all_known = False

    def begin(self) -> None:
        """Start to decide: before all pods are known, too little would seem to be taken."""
        self._all_known = True
        self.decide()

    def ask(self, worker: PodWorker) -> None:
        """Note what a pod asks for now, and decide."""
        record = worker.record
        if record.asks_for_another_size:
            self._waiting[record.uid] = worker
        else:
            self._waiting.pop(record.uid, None)
            worker.resize_pending(None)
        self.decide()

    def decide(self) -> None:
        """Give every pod what it asks for, as far as there is room."""
        if not self._all_known:
            return
        for uid, worker in sorted(self._waiting.items(), key=_urgency):
            if worker.phase is not Phase.STARTING:
                del self._waiting[uid]
                continue
            pending = judge(
                worker.record.desired, self._others(worker), self._tools.node.allocatable
            )
            if pending is not None:
                self._refuse(worker, pending)
            if self._is_settled(worker, pending):
                del self._waiting[uid]

    def _is_settled(self, worker: PodWorker, pending: Pending | None) -> bool:
        if pending is not None:
            return pending.reason == INFEASIBLE
        try:
            self._give(worker)
        except OSError as error:  # what is not written down is not done
            log.warning("a pod's size cannot be noted", uid=worker.record.uid, why=str(error))
            return False
        return True

    def _give(self, worker: PodWorker) -> None:
        record = worker.record
        pod = record.desired
        given = sizes(pod)
        # What has not been done of an earlier change is still what a container runs with.
        before = record.allotment.given | record.allotment.running
        running = {name: size for name, size in before.items() if not same(size, given[name])}
        generation = pod.metadata.generation or 0
        allotment = Allotment(given, running, unfinished=True, generation=generation)
        self._tools.allotments.save(record.uid, allotment)
        text = described(pod, allotment.generation)
        self._tools.tell(pod, NORMAL, "ResizeStarted", f"Pod resize started: {text}")
        worker.resized(allotment)

    def _refuse(self, worker: PodWorker, pending: Pending) -> None:
        if worker.record.pending != pending:
            pod, reason = worker.record.desired, pending.reason
            text = described(pod, pending.generation, pending.message)
            self._tools.tell(pod, WARNING, f"Resize{reason}", f"Pod resize {reason}: {text}")
        worker.resize_pending(pending)


def _urgency(item: tuple[str, PodWorker]) -> tuple[bool, int, bool]:
    """Order: who asks for no more, then by priority, then guaranteed pods; else first come."""
    record = item[1].record
    asked, has = requests(record.desired), requests(record.pod)
    more = any(asked.get(name, 0) > has.get(name, 0) for name in ("cpu", "memory"))
    guaranteed = qos.qos_class(record.desired) == qos.GUARANTEED
    return more, -(record.desired.spec.priority or 0), not guaranteed
