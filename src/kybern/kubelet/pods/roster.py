"""All pods of the node, each with its worker.

In:   pods as the API server has them; events of the runtime; what the runtime had at the start.
Out:  workers that run; pods deleted when they have ended; orphans ended.
By:   agent.py.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from kybern.api.core.v1 import Pod
from kybern.api.meta.v1 import ObjectMeta
from kybern.kubelet.pods.admission import admit
from kybern.kubelet.pods.allotment import Allotment, can_be_resized, sizes
from kybern.kubelet.pods.lifecycle import Phase
from kybern.kubelet.pods.names import uid_of_log_directory
from kybern.kubelet.pods.resizing import Resizes
from kybern.kubelet.pods.status import FAILED, TERMINAL, Outcome
from kybern.kubelet.pods.survey import survey
from kybern.kubelet.pods.tools import WARNING
from kybern.kubelet.pods.view import PodView
from kybern.kubelet.pods.worker import PodWorker
from kybern.kubelet.runtime.interface import Happened, RuntimeFailure
from kybern.lib import logs
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kybern.kubelet.pods.reporting import Reporter
    from kybern.kubelet.pods.tools import Tools
    from kybern.kubelet.runtime.interface import RuntimeEvent
    from kybern.lib.tasks import Tasks

log = logs.get("kubelet.pods")
CLOSED = Outcome(FAILED, "NodeShutdown", "Pod was rejected as the node is shutting down.")
RETRY = Backoff(initial=0.5, factor=2.0, cap=30.0)


class Roster:
    """The workers, by the uid of their pod."""

    def __init__(
        self,
        tools: Tools,
        reporter: Reporter,
        tasks: Tasks,
        node_labels: Callable[[], Mapping[str, str]],
    ) -> None:
        self._tools = tools
        self._reporter = reporter
        self._tasks = tasks
        self._node_labels = node_labels
        self._workers: dict[str, PodWorker] = {}
        self._adopted: dict[str, PodView] = {}
        self._resizes = Resizes(tools, self._beside)
        self.closed = False  # the machine shuts down: no pod is taken any more

    # --- pods, from the API server

    def adopt(self, views: Mapping[str, PodView]) -> None:
        """Take over what an earlier kubelet has left running; call before the first `added`."""
        self._adopted = dict(views)

    def added(self, pod: Pod) -> None:
        """Start to run a pod."""
        uid = pod.metadata.uid or ""
        if uid in self._workers:
            self.updated(pod, pod)
            return
        view = self._adopted.pop(uid, None)
        worker = PodWorker(
            self._tools,
            self._reporter,
            pod,
            view or PodView(uid, pod.metadata.name or "", pod.metadata.namespace or ""),
            self._resizes.decide,
        )
        allotment = self._tools.allotments.load(uid)
        if allotment is not None:
            worker.record.allot(allotment)
        if (view is not None or self._takes(worker)) and allotment is None:
            self._allot(worker)
        self._start(uid, worker)
        if worker.record.asks_for_another_size:
            self._resizes.ask(worker)

    def updated(self, before: Pod, pod: Pod) -> None:
        """Take a pod as it is now."""
        if before.metadata.uid != pod.metadata.uid:
            self.deleted(before)
            self.added(pod)
            return
        worker = self._workers.get(pod.metadata.uid or "")
        if worker is None:
            self.added(pod)
            return
        worker.update(pod)
        if worker.record.pending is not None or worker.record.asks_for_another_size:
            self._resizes.ask(worker)
        if worker.phase is Phase.FORGOTTEN and pod.metadata.deletionTimestamp:
            name = f"delete {pod.metadata.namespace}/{pod.metadata.name}"
            self._tasks.spawn(self._reporter.delete(pod), name=name)

    def deleted(self, pod: Pod) -> None:
        """Take note that a pod is gone: what is left of it ends now."""
        uid = pod.metadata.uid or ""
        worker = self._workers.get(uid)
        if worker is None:
            return
        worker.removed(pod)
        if worker.phase is Phase.FORGOTTEN:
            self._tasks.spawn(self._purge(uid, worker), name=f"purge {uid}")

    def end_orphans(self) -> None:
        """End what was left running of pods which are gone; call once all pods are known."""
        for uid, view in self._adopted.items():
            log.info("ending what is left of a pod", pod=f"{view.namespace}/{view.name}", uid=uid)
            meta = ObjectMeta(name=view.name, namespace=view.namespace, uid=uid)
            worker = PodWorker(self._tools, self._reporter, Pod(metadata=meta), view)
            worker.removed()
            self._start(uid, worker)
        self._adopted = {}
        self._tools.allotments.keep_only(self._workers)
        self._resizes.begin()
        for uid in self._tools.volumes.left_behind():
            if uid not in self._workers:
                self._tasks.spawn(self._tools.volumes.clear(uid), name=f"tear down {uid}")
        for uid in self._tools.cgroups.left_behind():
            if uid not in self._workers:
                self._tools.cgroups.remove(uid)
        logs_dir = self._tools.config.logs_dir
        for name in os.listdir(logs_dir) if logs_dir.is_dir() else ():
            uid = uid_of_log_directory(name)
            if uid and uid not in self._workers:
                removing = asyncio.to_thread(shutil.rmtree, logs_dir / name, ignore_errors=True)
                self._tasks.spawn(removing, name=f"remove logs of {uid}")

    # --- events, from the runtime

    def happened(self, event: RuntimeEvent) -> None:
        """Pass an event of the runtime to the worker it concerns."""
        if event.happened is Happened.RESYNC:
            for worker in self._workers.values():
                if worker.phase is not Phase.FORGOTTEN:
                    worker.look_at_everything()
            return
        for worker in self._workers.values():
            if worker.owns(event.id):
                worker.happened(event.id, event.happened)
                return

    async def relist(self) -> None:
        """Compare every pod with the runtime, and look only at those which differ."""
        views = await survey(self._tools.runtime)
        for uid, worker in self._workers.items():
            if worker.phase is not Phase.FORGOTTEN and not worker.agrees_with(views.get(uid)):
                worker.look_at_everything()

    def objects_changed(self, uids: Iterable[str]) -> None:
        """Pass on that a ConfigMap or Secret has changed."""
        for uid in uids:
            if worker := self._workers.get(uid):
                worker.objects_changed()

    def try_again(self) -> None:
        """Have pods do at once what did not work before."""
        for worker in self._workers.values():
            worker.try_again()

    # --- questions

    def pods(self) -> list[Pod]:
        """Return the pods of this node."""
        return [worker.record.pod for worker in self._workers.values()]

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """Return the worker of a pod; of several of one name, the one which is not gone."""
        found = None
        for worker in self._workers.values():
            if worker.record.name == name and worker.record.namespace == namespace:
                if not worker.removed_from_api:
                    return worker
                found = worker
        return found

    def workers(self) -> Iterable[PodWorker]:
        """Return all workers."""
        return self._workers.values()

    # --- lives

    def _takes(self, worker: PodWorker) -> bool:
        """Say whether the node takes a pod which is new to it; one it does not take is rejected."""
        pod = worker.record.pod
        if pod.status.phase in TERMINAL or pod.metadata.deletionTimestamp:
            return False
        allocatable, labels = self._tools.node.allocatable, self._node_labels()
        refused = CLOSED if self.closed else admit(pod, self._beside(worker), allocatable, labels)
        if refused is not None:
            self._tools.tell(pod, WARNING, refused.reason, refused.message)
            worker.reject(refused)
        return refused is None

    def _beside(self, worker: PodWorker) -> list[Pod]:
        """Return the other pods which hold something of the node, with all they hold."""
        return [
            w.record.held_pod
            for w in self._workers.values()
            if w is not worker and w.holds_resources and w.record.pod.status.phase not in TERMINAL
        ]

    def _allot(self, worker: PodWorker) -> None:
        """Give a pod what it asks for."""
        pod = worker.record.desired
        if can_be_resized(pod):
            allotment = Allotment(sizes(pod), generation=pod.metadata.generation or 0)
            worker.record.allot(allotment)
            try:
                self._tools.allotments.save(worker.record.uid, allotment)
            except OSError as error:  # it runs all the same; a later kubelet takes its spec for it
                log.warning("not noted what a pod was given", uid=worker.record.uid, why=str(error))

    def _start(self, uid: str, worker: PodWorker) -> None:
        self._workers[uid] = worker
        name = f"pod {worker.record.namespace}/{worker.record.name}"
        self._tasks.spawn_forever(lambda: self._live(uid, worker), name, RETRY)

    async def _live(self, uid: str, worker: PodWorker) -> None:
        await worker.run()
        self._resizes.decide()
        if worker.removed_from_api:
            await self._purge(uid, worker)
        elif worker.record.pod.metadata.deletionTimestamp:
            await self._reporter.delete(worker.record.pod)

    async def _purge(self, uid: str, worker: PodWorker) -> None:
        if self._workers.get(uid) is not worker:
            return
        attempt = 0
        while True:
            try:
                await worker.purge()
            except RuntimeFailure as failure:
                log.warning("pod not purged, trying again", uid=uid, why=failure.described)
                await self._tools.clock.sleep(RETRY.delay(attempt))
                attempt += 1
            else:
                break
        self._workers.pop(uid, None)
        self._reporter.forget(uid)
        self._tools.allotments.forget(uid)
