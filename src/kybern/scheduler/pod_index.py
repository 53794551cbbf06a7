"""How many pods of a sort run on each node, and what those that run there wish about others.

In:   pods placed and displaced, by row.
Out:  columns of counts, kept current from the first time they are asked for.
By:   columns holds one, cache feeds it, the plugins about pods ask it.

Asking twice how many pods match a selector costs one look-up: the column is kept, and every pod
that comes or goes is held against the selectors in use. There are few of those, since a thousand
pods of one deployment ask the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from kybern.api.core.v1 import Pod
    from kybern.scheduler.pod_info import PodInfo
    from kybern.scheduler.pod_terms import Matcher, Term

    Counts = NDArray[np.int64]

REMEMBERED: Final = 256  # questions answered at once; the one longest not asked is dropped


class _Tracked:
    """A question, and its answer so far: how many pods that match all of these are on each row."""

    __slots__ = ("counts", "matchers", "staying")

    def __init__(self, matchers: tuple[Matcher, ...], capacity: int, *, staying: bool) -> None:
        self.matchers = matchers
        self.staying = staying
        self.counts: Counts = np.zeros(capacity, np.int64)

    def matches(self, pod: Pod) -> bool:
        if self.staying and pod.metadata.deletionTimestamp is not None:
            return False
        return all(matcher.matches(pod) for matcher in self.matchers)


class PodIndex:
    """Counts of pods by row.

    Attributes:
        namespaces: the labels of every namespace.
        terms: wish → how many pods on each row have it.
        claimants: the pods that use claims by uid, with their rows.
    """

    def __init__(self, capacity: int) -> None:
        self.namespaces: dict[str, dict[str, str]] = {}
        self.terms: dict[Term, Counts] = {}
        self.claimants: dict[str, tuple[int, PodInfo]] = {}
        self.everyone: Callable[[], Iterable[tuple[int, PodInfo]]] = tuple
        self._capacity = capacity
        self._tracked: dict[tuple[tuple[Matcher, ...], bool], _Tracked] = {}

    def count(self, matchers: tuple[Matcher, ...], *, staying: bool = False) -> Counts:
        """Return how many pods match all of these, by row; `staying` leaves out those told to go.

        The array is the index's own: it changes with the next pod, and must not be written to.
        """
        key = (matchers, staying)
        tracked = self._tracked.pop(key, None)
        if tracked is None:
            tracked = _Tracked(matchers, self._capacity, staying=staying)
            for row, info in self.everyone():
                tracked.counts[row] += tracked.matches(info.pod)
        self._tracked[key] = tracked
        if len(self._tracked) > REMEMBERED:
            del self._tracked[next(iter(self._tracked))]
        return tracked.counts

    def shift(self, row: int, info: PodInfo, sign: int) -> None:
        """Note that a pod came to a row, or, with `sign` -1, left it."""
        pod = info.pod
        if info.claims:
            if sign > 0:
                self.claimants[info.uid] = (row, info)
            else:
                self.claimants.pop(info.uid, None)
        for tracked in self._tracked.values():
            if tracked.matches(pod):
                tracked.counts[row] += sign
        for term in info.terms:
            counts = self.terms.get(term)
            if counts is None:
                counts = self.terms[term] = np.zeros(self._capacity, np.int64)
            counts[row] += sign
            if sign < 0 and not counts.any():
                del self.terms[term]

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        self._capacity = capacity
        for tracked in self._tracked.values():
            tracked.counts = np.concatenate(
                (tracked.counts, np.zeros(capacity - len(tracked.counts), np.int64))
            )
        for term, counts in self.terms.items():
            self.terms[term] = np.concatenate((counts, np.zeros(capacity - len(counts), np.int64)))

    def clear(self, row: int) -> None:
        """Forget the pods of a row whose node is gone."""
        for uid in [uid for uid, (its, _) in self.claimants.items() if its == row]:
            del self.claimants[uid]
        for tracked in self._tracked.values():
            tracked.counts[row] = 0
        for term, counts in list(self.terms.items()):
            counts[row] = 0
            if not counts.any():
                del self.terms[term]
