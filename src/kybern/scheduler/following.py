"""What the scheduler hears of the cluster, and what it makes of it.

In:   pods, nodes, namespaces, claims, volumes, budgets: through informers.
Out:  a cache and a queue that are up to date; a call of `wake` when a pod may fit now.
By:   loop.

Handlers only note what happened; deciding is the loop's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.core.pods import is_terminal
from kybern.api.core.v1 import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod
from kybern.api.policy.v1 import PodDisruptionBudget
from kybern.api.storage.v1 import StorageClass
from kybern.scheduler.driver_facts import DriverFacts
from kybern.scheduler.framework import News
from kybern.scheduler.pod_info import Key, PodInfo
from kybern.scheduler.volumes import Lookups

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from kybern.client.informer import Informer, Informers, Registration
    from kybern.lib.clock import Clock
    from kybern.scheduler.cache import Cache
    from kybern.scheduler.cycle import Cycle
    from kybern.scheduler.queue import SchedulingQueue


class Following:
    """Keeps one scheduler's view of the cluster current."""

    def __init__(
        self,
        name: str,
        cache: Cache,
        queue: SchedulingQueue,
        cycle: Cycle,
        clock: Clock,
        wake: Callable[[], None],
    ) -> None:
        self._name = name
        self._cache = cache
        self._queue = queue
        self._cycle = cycle
        self._clock = clock
        self._wake = wake
        self._budgets: Informer[PodDisruptionBudget]
        self.storage_waiters: set[asyncio.Event] = set()
        """Set when a claim, volume or class changes."""
        self._informers: list[Informer[Any]] = []
        self._registrations: list[Registration] = []

    def begin(self, informers: Informers) -> None:
        """Listen; what is there already is heard at once."""
        namespaces = informers.of(Namespace)
        nodes, pods = informers.of(Node), informers.of(Pod)
        claims, classes = informers.of(PersistentVolumeClaim), informers.of(StorageClass)
        persistent = informers.of(PersistentVolume)
        drivers = DriverFacts(informers)
        self._budgets = informers.of(PodDisruptionBudget)
        self._cache.nodes.volumes = Lookups(
            claims.get,
            lambda name: persistent.get("", name),
            lambda name: classes.get("", name),
            persistent.list,
            drivers.lookups(persistent),
        )
        storage: list[Informer[Any]] = [claims, persistent, classes, *drivers.informers]
        self._informers = [namespaces, *storage, nodes, pods, self._budgets]
        self._registrations = [
            *(each.on_change(self._storage_changed) for each in storage),
            namespaces.on_change(self._namespace_changed),
            nodes.on(add=self._node_seen, update=self._node_changed, delete=self._node_gone),
            pods.on(add=self._pod_seen, update=self._pod_changed, delete=self._pod_gone),
        ]

    async def wait_synced(self) -> None:
        """Wait until everything there is has been heard of."""
        for informer in self._informers:
            await informer.wait_synced()

    def end(self) -> None:
        """Stop listening."""
        for registration in self._registrations:
            registration.remove()

    def budgets_of(self, namespace: str) -> list[PodDisruptionBudget]:
        """Return the disruption budgets of a namespace."""
        return self._budgets.list(namespace)

    # --- news of pods --------------------------------------------------------------------------

    def _pod_seen(self, pod: Pod) -> None:
        if pod.spec.nodeName:
            self._forget(pod)
            self.tell(self._cache.put_pod(pod), pod.spec.nodeName)
        elif self._is_ours(pod):
            info = PodInfo(pod)
            if pod.status.nominatedNodeName:
                self._cycle.nominations.put(info, pod.status.nominatedNodeName)
            self._queue.add(info, self._clock.monotonic())
            self._wake()

    def _pod_changed(self, old: Pod, new: Pod) -> None:
        if new.spec.nodeName:
            if not old.spec.nodeName:
                self._forget(new)
            self.tell(self._cache.put_pod(new), new.spec.nodeName)
        elif not self._is_ours(new):
            self._forget(new)
        elif _may_fit_elsewhere(old, new):
            self._queue.update(PodInfo(new), self._clock.monotonic())
            self._wake()
        else:
            self._queue.refresh(new)

    def _pod_gone(self, pod: Pod) -> None:
        self._forget(pod)
        self.tell(self._cache.remove_pod(pod.metadata.uid or ""), pod.spec.nodeName or "")

    def _forget(self, pod: Pod) -> None:
        self._queue.forget(_key(pod))
        if self._cycle.nominations:
            self._cycle.nominations.drop(pod.metadata.uid or "")

    def _is_ours(self, pod: Pod) -> bool:
        return (
            (pod.spec.schedulerName or "default-scheduler") == self._name
            and pod.metadata.deletionTimestamp is None
            and not is_terminal(pod)
        )

    # --- news of nodes and other things --------------------------------------------------------

    def _node_seen(self, node: Node) -> None:
        self.tell(self._cache.put_node(node), node.metadata.name or "")

    def _node_changed(self, _old: Node, new: Node) -> None:
        self.tell(self._cache.put_node(new), new.metadata.name or "")

    def _node_gone(self, node: Node) -> None:
        self._cache.remove_node(node.metadata.name or "")
        self.tell(News.NODE_DELETED, "")

    def _namespace_changed(self, namespace: Namespace) -> None:
        labels, name = namespace.metadata.labels or {}, namespace.metadata.name or ""
        known = self._cache.nodes.pods.namespaces
        if known.get(name) != labels:
            # One that was deleted may stay: nothing runs in it.
            known[name] = labels
            self.tell(News.NAMESPACE, "")

    def _storage_changed(self, _changed: Any) -> None:
        for event in self.storage_waiters:
            event.set()
        self.tell(News.VOLUME, "")

    def tell(self, news: int, node: str) -> None:
        """Tell waiting pods what happened, on which node, and wake the loop if one may fit now."""
        fits_there = _FitsOn(self._cycle, self._cache.nodes.index.get(node))
        if news and self._queue.tell(news, self._clock.monotonic(), fits_there):
            self._wake()


class _FitsOn:
    """Whether pods fit on one node, as it is now."""

    __slots__ = ("_cycle", "_row")

    def __init__(self, cycle: Cycle, row: int | None) -> None:
        self._cycle = cycle
        self._row = row

    def __call__(self, info: PodInfo) -> bool:
        return self._row is not None and self._cycle.fits_on(info, self._row)


def _key(pod: Pod) -> Key:
    return (pod.metadata.namespace or "", pod.metadata.name or "")


def _may_fit_elsewhere(old: Pod, new: Pod) -> bool:
    """Say whether a change can matter to where a pod may run; those of its status never do."""
    if old.metadata.labels != new.metadata.labels:
        return True
    generation = new.metadata.generation
    if generation is not None and generation == old.metadata.generation:
        return False
    return old.spec != new.spec
