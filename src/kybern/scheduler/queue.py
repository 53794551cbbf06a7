"""Pods that wait for a node: those to try now, those to try later, those that wait for news.

In:   pods, and what happened to them and to the cluster; the time, as a value.
Out:  the pod to try next; when to ask again.
By:   loop. Pure: it holds state, but neither sleeps nor reads a clock.

A pod waits in exactly one place:

    GATED     held back by its scheduling gates
    ACTIVE    to be tried, by priority and then by how long it has waited
    BACKOFF   tried before, and to be left alone for a moment
    PARKED    did not fit; waits for news that could change that, five minutes at most
    TRIED     handed out by `pop`; ends with `park`, `retry` or `forget`

      add ──► GATED ──► ACTIVE ──► TRIED ──► PARKED ──► BACKOFF ──► ACTIVE
                                     └──────────────────────┘ (an error: tried again)

News that comes while a pod is tried is not lost: it is remembered until the verdict is known.
"""

from __future__ import annotations

import enum
import heapq
import itertools
from typing import TYPE_CHECKING, Any, Final

from kybern.lib.backoff import Backoff
from kybern.scheduler.framework import News
from kybern.scheduler.plugins.priority_sort import place_in_line
from kybern.scheduler.plugins.scheduling_gates import is_gated

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import Pod
    from kybern.scheduler.pod_info import Key, PodInfo

BACKOFF: Final = Backoff(initial=1.0, factor=2.0, cap=10.0)
LONGEST_PARKED: Final = 300.0


class Place(enum.Enum):
    """Where a pod waits."""

    GATED = "gated"
    ACTIVE = "active"
    BACKOFF = "backoff"
    PARKED = "parked"
    TRIED = "tried"


class Waiting:
    """A pod in the queue.

    Attributes:
        info: the pod.
        place: where it waits.
        since: when it came to this place.
        first: when it was first added.
        attempts: how often it was tried.
        failures: how often in a row something went wrong that was not the pod's fault.
        ready_at: when its back-off is over.
        sort: what sort of pod it was when it was parked.
        wakes: what `News` it waits for, when parked.
        heard: the `News` that came while it was tried.
        ticket: the heap entry that counts; older ones are leftovers.
    """

    __slots__ = (
        "attempts", "failures", "first", "heard", "info", "place", "ready_at", "since", "sort",
        "ticket", "wakes",
    )  # fmt: skip

    def __init__(self, info: PodInfo, now: float) -> None:
        self.info = info
        self.place = Place.ACTIVE
        self.since = self.first = self.ready_at = now
        self.attempts = self.failures = self.ticket = 0
        self.sort: tuple[Any, ...] = ()
        self.wakes: int = News.NOTHING
        self.heard: int = News.NOTHING

    def __repr__(self) -> str:
        return f"Waiting({'/'.join(self.info.key)}, {self.place.value})"


class SchedulingQueue:
    """The pods without a node."""

    def __init__(self, backoff: Backoff = BACKOFF) -> None:
        self._backoff = backoff
        self._pods: dict[Key, Waiting] = {}
        self._active: list[tuple[tuple[int, float, int], Waiting]] = []
        self._later: list[tuple[float, int, Waiting]] = []
        self._parked: dict[Key, Waiting] = {}
        # Parked pods of one sort: what helps one may help all, or none.
        self._sorts: dict[tuple[Any, ...], dict[Key, Waiting]] = {}
        self._tried: dict[Key, Waiting] = {}
        self._tickets = 0
        self._counts = dict.fromkeys(Place, 0)

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, key: object) -> bool:
        return key in self._pods

    # --- pods ----------------------------------------------------------------------------------

    def add(self, info: PodInfo, now: float) -> None:
        """Take in a pod that has no node."""
        known = self._pods.get(info.key)
        if known is not None:
            if known.info.uid == info.uid:
                self.update(info, now)
                return
            self.forget(info.key)
        waiting = Waiting(info, now)
        self._pods[info.key] = waiting
        self._counts[waiting.place] += 1
        if is_gated(info.pod):
            self._move(waiting, Place.GATED, now)
        else:
            self._activate(waiting, now)

    def update(self, info: PodInfo, now: float) -> None:
        """Take in a pod's new state, which may be what it needed to fit."""
        waiting = self._pods.get(info.key)
        if waiting is None or waiting.info.uid != info.uid:
            self.add(info, now)
            return
        place = waiting.place
        if place is Place.PARKED:
            self._unpark(waiting)
        waiting.info = info
        if place is Place.TRIED:
            # Whatever the verdict will be, it was about the pod as it was.
            waiting.heard = News.EVERYTHING
        elif is_gated(info.pod):
            self._move(waiting, Place.GATED, now)
        elif place is Place.GATED:
            self._activate(waiting, now)
        elif place is Place.ACTIVE:
            self._activate(waiting, waiting.since)
        elif place is Place.PARKED:
            self._wake(waiting, now)

    def refresh(self, pod: Pod) -> None:
        """Take in a pod's new state which makes no difference to where it may run."""
        metadata = pod.metadata
        waiting = self._pods.get((metadata.namespace or "", metadata.name or ""))
        if waiting is not None and waiting.info.uid == metadata.uid:
            waiting.info.pod = pod

    def forget(self, key: Key) -> None:
        """Drop a pod: it has a node, or is gone."""
        waiting = self._pods.pop(key, None)
        if waiting is None:
            return
        if waiting.place is Place.PARKED:
            self._unpark(waiting)
        self._tried.pop(key, None)
        self._counts[waiting.place] -= 1
        waiting.ticket = 0

    def get(self, key: Key) -> Waiting | None:
        """Return a pod that waits."""
        return self._pods.get(key)

    # --- trying --------------------------------------------------------------------------------

    def pop(self, now: float) -> Waiting | None:
        """Hand out the pod to try next; None when there is none at the moment."""
        while self._later and self._later[0][0] <= now:
            at, ticket, waiting = heapq.heappop(self._later)
            if waiting.ticket == ticket:
                self._activate(waiting, at)
        while self._active:
            key, waiting = heapq.heappop(self._active)
            if waiting.ticket == key[2]:
                self._move(waiting, Place.TRIED, now)
                waiting.attempts += 1
                waiting.heard = News.NOTHING
                return waiting
        return None

    def park(self, waiting: Waiting, wakes: int, now: float) -> None:
        """Put away a pod that did not fit, until there is news of this kind."""
        if self._pods.get(waiting.info.key) is not waiting:
            return
        waiting.failures = 0
        waiting.ready_at = now + self._backoff.delay(waiting.attempts - 1)
        if waiting.heard & wakes:
            self._wake(waiting, now)
            return
        waiting.wakes = wakes
        self._move(waiting, Place.PARKED, now)
        self._parked[waiting.info.key] = waiting
        waiting.sort = waiting.info.sort
        self._sorts.setdefault(waiting.sort, {})[waiting.info.key] = waiting

    def retry(self, waiting: Waiting, now: float) -> None:
        """Try a pod again after its back-off: something went wrong that may not next time."""
        if self._pods.get(waiting.info.key) is not waiting:
            return
        waiting.failures += 1
        waiting.ready_at = now + self._backoff.delay(waiting.failures - 1)
        self._delay(waiting, now)

    # --- news ----------------------------------------------------------------------------------

    def tell(
        self, news: int, now: float, fits_there: Callable[[PodInfo], bool] | None = None
    ) -> int:
        """Wake the parked pods that wait for such news; return how many.

        Args:
            news: what happened.
            now: when.
            fits_there: whether a pod fits on the node the news is about; asked for pods to which
                only that node can matter, once for all of one sort.
        """
        for waiting in self._tried.values():
            waiting.heard |= news
        woken: list[Waiting] = []
        for alike in self._sorts.values():
            local: list[Waiting] = []
            for waiting in alike.values():
                if waiting.wakes & news:
                    elsewhere = fits_there is None or waiting.wakes & ~News.ABOUT_ONE_NODE
                    (woken if elsewhere else local).append(waiting)
            if local and fits_there is not None:
                if fits_there(local[0].info):
                    woken += local
                elif news & ~News.POD_GONE:
                    # That node says no for reasons of its own, which may pass too.
                    for waiting in local:
                        waiting.wakes |= News.ABOUT_ONE_NODE
        for waiting in woken:
            self._unpark(waiting)
            self._wake(waiting, now)
        return len(woken)

    def flush(self, now: float) -> int:
        """Wake what has been parked for too long, in case some news was never told."""
        # Whoever was parked first is the first of the dictionary.
        late = list(
            itertools.takewhile(
                lambda each: each.since + LONGEST_PARKED <= now, self._parked.values()
            )
        )
        for waiting in late:
            self._unpark(waiting)
            self._wake(waiting, now)
        return len(late)

    def next_due(self, now: float) -> float | None:
        """Return when there will be something to do without further news; None for never."""
        if self._counts[Place.ACTIVE]:
            return now
        while self._later and self._later[0][2].ticket != self._later[0][1]:
            heapq.heappop(self._later)
        due = [at for at, _, _ in self._later[:1]]
        due += [each.since + LONGEST_PARKED for each in itertools.islice(self._parked.values(), 1)]
        return max(now, min(due)) if due else None

    def statistics(self) -> dict[str, int]:
        """Return how many pods wait where."""
        return {place.value: count for place, count in self._counts.items()}

    # --- moving --------------------------------------------------------------------------------

    def _wake(self, waiting: Waiting, now: float) -> None:
        if waiting.ready_at <= now:
            self._activate(waiting, now)
        else:
            self._delay(waiting, now)

    def _activate(self, waiting: Waiting, since: float) -> None:
        self._move(waiting, Place.ACTIVE, since)
        heapq.heappush(self._active, (place_in_line(waiting.info, since, waiting.ticket), waiting))

    def _delay(self, waiting: Waiting, now: float) -> None:
        self._move(waiting, Place.BACKOFF, now)
        heapq.heappush(self._later, (waiting.ready_at, waiting.ticket, waiting))

    def _unpark(self, waiting: Waiting) -> None:
        key, sort = waiting.info.key, waiting.sort
        del self._parked[key]
        siblings = self._sorts[sort]
        del siblings[key]
        if not siblings:
            del self._sorts[sort]

    def _move(self, waiting: Waiting, place: Place, since: float) -> None:
        """Change the place; whoever takes a pod out of PARKED has called `_unpark` before."""
        if waiting.place is Place.TRIED:
            self._tried.pop(waiting.info.key, None)
        if place is Place.TRIED:
            self._tried[waiting.info.key] = waiting
        self._counts[waiting.place] -= 1
        self._counts[place] += 1
        waiting.place = place
        waiting.since = since
        self._tickets += 1
        waiting.ticket = self._tickets
