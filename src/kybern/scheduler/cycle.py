"""One pod, all nodes: filter, score, select.

In:   a pod; the columns of the nodes.
Out:  a `Placement`, or a `NoFit` that says why and what could change it.
By:   loop, once per pod; preemption tries things out with it. Pure: chance is an argument.

Most pods resemble the one before: same requests, same constraints. For a kind of pod the verdicts
and scores of all nodes are kept, and only rows that changed since are computed anew, which after a
placement is one. What is kept is exactly what would be computed; it is never consulted when it is
older than the columns. Plugins that look at other pods are asked every time.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kybern.scheduler import messages
from kybern.scheduler.framework import News, Rejection
from kybern.scheduler.nominations import Nominations

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Filter, Ints, Rows, Scorer
    from kybern.scheduler.pod_info import PodInfo
    from kybern.scheduler.profile import Profile

KINDS: Final = 32  # kinds of pods remembered, at some ten bytes per node each
ALL: Final = slice(None)


class Placement(NamedTuple):
    """Where a pod goes."""

    row: int
    node: str


@dataclass(frozen=True, slots=True)
class NoFit:
    """Why a pod goes nowhere.

    Attributes:
        nodes: how many nodes there are.
        reasons: upstream's words → on how many nodes.
        rejection: the reason, when it holds whatever the nodes.
        resolvable: rows on which evicting pods could help.
        wakes: the `News` that could change it.
    """

    nodes: int
    reasons: dict[str, int]
    rejection: str
    resolvable: tuple[int, ...]
    wakes: int

    @property
    def message(self) -> str:
        """Return upstream's sentence."""
        if not self.nodes:
            return messages.NO_NODES
        return messages.unavailable(self.nodes, self.reasons, self.rejection)


class _Relative:
    """Raw scores that need normalising."""

    __slots__ = ("raw", "scorer", "state", "weight")

    def __init__(self, scorer: Scorer, weight: int, state: Any, size: int) -> None:
        self.scorer = scorer
        self.weight = weight
        self.state = state
        self.raw: Ints = np.zeros(size, np.int64)


class _Kind:
    """Verdicts and scores of all nodes for one kind of pod."""

    __slots__ = (
        "absolute", "filters", "fits", "layout", "no_fit", "rejection", "relative", "scores",
        "total", "version",
    )  # fmt: skip

    def __init__(self, pod: PodInfo, profile: Profile, nodes: Nodes) -> None:
        self.layout = nodes.layout
        self.version = -1
        self.no_fit: NoFit | None = None
        self.rejection = ""
        self.filters: list[tuple[Filter, Any]] = []
        for plugin in profile.filters:
            if plugin.looks_at_pods:
                continue
            state = plugin.prepare(pod, nodes)
            if isinstance(state, Rejection):
                self.rejection = state.reason
                self.filters = [(plugin, state)]
                break
            if state is not None:
                self.filters.append((plugin, state))
        size = nodes.size
        self.absolute: list[tuple[Scorer, int, Any]] = []
        self.relative: list[_Relative] = []
        for scorer, weight in profile.scorers:
            state = None if scorer.looks_at_pods else scorer.prepare(pod, nodes)
            if state is None:
                continue
            if scorer.relative:
                self.relative.append(_Relative(scorer, weight, state, size))
            else:
                self.absolute.append((scorer, weight, state))
        self.fits: Bools = np.zeros(size, np.bool_)
        self.scores: Ints = np.zeros(size, np.int64)
        self.total: Ints = np.zeros(size, np.int64)

    def refresh(self, nodes: Nodes) -> None:
        """Compute what changed since the last time."""
        if self.version == nodes.version:
            return
        changed = nodes.changed_since(self.version)
        rows: Rows = changed if len(changed) * 4 < nodes.size else ALL
        self.version = nodes.version
        self.no_fit = None
        fits = self._verdict(nodes, rows)
        scores = self._score(nodes, rows)
        self.fits[rows] = fits
        self.scores[rows] = scores
        # Below every score, so that one search finds the best of those that fit.
        self.total[rows] = np.where(fits, scores, -1)
        for each in self.relative:
            each.raw[rows] = each.scorer.score(each.state, nodes, rows)

    def _verdict(self, nodes: Nodes, rows: Rows) -> Bools:
        fits = nodes.valid[: nodes.size][rows].copy()
        for plugin, state in self.filters:
            fits &= plugin.fits(state, nodes, rows)
        return fits

    def _score(self, nodes: Nodes, rows: Rows) -> Ints:
        total: Ints | None = None
        for scorer, weight, state in self.absolute:
            scores = scorer.score(state, nodes, rows)
            if weight != 1:
                scores = scores * weight
            total = scores if total is None else np.add(total, scores, out=total)
        if total is None:
            return np.zeros(len(nodes.valid[: nodes.size][rows]), np.int64)
        return total


class Cycle:
    """Decides where pods go."""

    def __init__(self, profile: Profile, nodes: Nodes, rng: random.Random) -> None:
        """Make a decider.

        Args:
            profile: the plugins to ask.
            nodes: the columns, kept current by others.
            rng: chooses between equals.
        """
        self.profile = profile
        self.nodes = nodes
        self._rng = rng
        self.nominations = Nominations()
        self._kinds: dict[tuple[Any, ...], _Kind] = {}
        self._filters = tuple(each for each in profile.filters if each.looks_at_pods)
        self._scorers = tuple(each for each in profile.scorers if each[0].looks_at_pods)

    def decide(self, pod: PodInfo) -> Placement | NoFit:
        """Choose a node for a pod."""
        nodes = self.nodes
        kind = self._kind(pod)
        if kind.rejection:
            return self._rejected(kind.filters[0][0], kind.rejection)
        fits, total = kind.fits, kind.total
        extra: list[tuple[Filter, Any]] = []
        for plugin in self._filters:
            state = plugin.prepare(pod, nodes)
            if state is None:
                continue
            if isinstance(state, Rejection):
                return self._rejected(plugin, state.reason)
            extra.append((plugin, state))
            fits = fits & plugin.fits(state, nodes, ALL)
        if self.nominations:
            promised = self._promised(pod, fits)
            if promised is not None:
                return promised
            kept = self._kept_free(pod, fits)
            if kept:
                fits = fits.copy()
                fits[kept] = False
                total = np.where(fits, kind.total, -1)
        relative = [each for each in kind.relative if each.raw.any()]
        relative += self._look_at_pods(pod)
        if extra or relative:
            total = np.where(fits, self._sum(kind, relative, fits), -1)
        best = int(total.max(initial=-1))
        if best < 0:
            return self._explain(pod, kind, extra)
        candidates = np.flatnonzero(total == best)
        count = len(candidates)
        row = int(candidates[self._rng.randrange(count) if count > 1 else 0])
        return Placement(row, nodes.name(row))

    def fits_on(self, pod: PodInfo, row: int) -> bool:
        """Say whether a pod fits on one node as things are; nothing is remembered."""
        with self._counting_on(pod, row):
            return self._ask(pod, row) is None

    def why_not(self, pod: PodInfo, row: int) -> tuple[str, ...]:
        """Return why a pod does not fit on one node; nothing when it does."""
        with self._counting_on(pod, row):
            return self._ask(pod, row) or ()

    # --- one node ------------------------------------------------------------------------------

    def _ask(self, pod: PodInfo, row: int) -> tuple[str, ...] | None:
        nodes = self.nodes
        rows = np.array([row], np.intp)
        if not nodes.valid[row]:
            return ()
        for plugin in self.profile.filters:
            state = plugin.prepare(pod, nodes)
            if isinstance(state, Rejection):
                return (state.reason,)
            if state is not None and not plugin.fits(state, nodes, rows)[0]:
                return tuple(plugin.why(state, nodes, rows).reasons)
        return None

    @contextmanager
    def _counting_on(self, pod: PodInfo, row: int) -> Iterator[None]:
        """Let those count who were promised the node and are no less important."""
        before = self.nominations.before(pod, self.nodes.name(row)) if self.nominations else []
        for each in before:
            self.nodes.try_taking(row, each)
        try:
            yield
        finally:
            for each in before:
                self.nodes.try_taking(row, each, -1)

    def _promised(self, pod: PodInfo, fits: Bools) -> Placement | None:
        """Return the node which was cleared for this pod, if it fits there now."""
        name = self.nominations.node_of(pod.uid)
        row = self.nodes.index.get(name or "")
        if row is None or not fits[row] or not self.fits_on(pod, row):
            return None
        return Placement(row, self.nodes.name(row))

    def _kept_free(self, pod: PodInfo, fits: Bools) -> list[int]:
        """Return the rows where the pod would take room that is kept for someone else."""
        rows = (self.nodes.index.get(name) for name in self.nominations.nodes())
        return [row for row in rows if row is not None and fits[row] and not self.fits_on(pod, row)]

    # --- the parts of a decision -----------------------------------------------------------------

    def _kind(self, pod: PodInfo) -> _Kind:
        kind = self._kinds.pop(pod.alike, None)
        if kind is None or kind.layout != self.nodes.layout:
            kind = _Kind(pod, self.profile, self.nodes)
            # Preparing may add columns, which the kind then knows of.
            kind.layout = self.nodes.layout
        # Put back at the end: the one at the front is the one longest not seen.
        self._kinds[pod.alike] = kind
        if len(self._kinds) > KINDS:
            del self._kinds[next(iter(self._kinds))]
        kind.refresh(self.nodes)
        return kind

    def _look_at_pods(self, pod: PodInfo) -> list[_Relative]:
        found = []
        for scorer, weight in self._scorers:
            state = scorer.prepare(pod, self.nodes)
            if state is not None:
                each = _Relative(scorer, weight, state, 0)
                each.raw = scorer.score(state, self.nodes, ALL)
                found.append(each)
        return found

    def _sum(self, kind: _Kind, relative: list[_Relative], fits: Bools) -> Ints:
        total = kind.scores.copy()
        for each in relative:
            total += each.weight * each.scorer.normalise(each.state, self.nodes, each.raw, fits)
        return total

    def _rejected(self, plugin: Filter, reason: str) -> NoFit:
        return NoFit(self.nodes.count, {}, reason, (), plugin.wakes)

    def _explain(self, pod: PodInfo, kind: _Kind, extra: list[tuple[Filter, Any]]) -> NoFit:
        """Ask the filters once more, in order, for reasons; the same question costs once."""
        common = not extra and not self.nominations
        if common and kind.no_fit is not None:
            return kind.no_fit
        nodes = self.nodes
        rows = nodes.rows()
        reasons: dict[str, int] = {}
        resolvable: list[int] = []
        wakes: int = News.NOTHING if nodes.count else News.NODE_ADDED
        for plugin, state in self._in_order(kind.filters + extra):
            fits = plugin.fits(state, nodes, rows)
            failed = rows[~fits]
            if len(failed):
                why = plugin.why(state, nodes, failed)
                for reason, count in why.reasons.items():
                    reasons[reason] = reasons.get(reason, 0) + count
                resolvable += failed[why.resolvable].tolist()
                wakes |= plugin.wakes
                rows = rows[fits]
        for row in rows.tolist():
            # It fits but for those to whom the node was promised.
            for reason in self.why_not(pod, row):
                reasons[reason] = reasons.get(reason, 0) + 1
            resolvable.append(row)
            wakes |= News.POD_GONE
        no_fit = NoFit(nodes.count, reasons, "", tuple(resolvable), wakes)
        if common:
            kind.no_fit = no_fit
        return no_fit

    def _in_order(self, filters: list[tuple[Filter, Any]]) -> list[tuple[Filter, Any]]:
        order = {plugin.name: place for place, plugin in enumerate(self.profile.filters)}
        return sorted(filters, key=lambda each: order[each[0].name])
