"""DefaultPreemption: whom to evict so that a more important pod can run.

In:   a pod that did not fit, and why; the cache; disruption budgets.
Out:  a `Nomination`: the node to clear and its victims; or upstream's words why there is none.
By:   loop, which lets `eviction` carry it out. Pure: it tries things out on the cache, and leaves
      it as it was.

Only less important pods are ever victims, as few of them as possible, and those first whose budgets
allow it. Between nodes the one is chosen whose victims matter least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api import selectors
from kybern.api.core.pods import condition
from kybern.scheduler import messages

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from kybern.api.core.v1 import Pod
    from kybern.api.policy.v1 import PodDisruptionBudget
    from kybern.scheduler.cache import Cache, Placed
    from kybern.scheduler.cycle import Cycle, NoFit
    from kybern.scheduler.pod_info import PodInfo

ENOUGH_SHARE: Final = 10  # look at a tenth of the nodes …
ENOUGH_LEAST: Final = 100  # … but at a hundred, before choosing
PREEMPTED: Final = "PreemptionByScheduler"
LATEST: Final = "9"  # later than any timestamp


class Nomination(NamedTuple):
    """A node that is being cleared for a pod."""

    row: int
    node: str
    victims: tuple[PodInfo, ...]


class _Candidate(NamedTuple):
    """A node and what clearing it would cost."""

    row: int
    victims: tuple[Placed, ...]
    violations: int

    def cost(self) -> tuple[float, ...]:
        """Return what to compare: the cheapest node wins."""
        priorities = [victim.info.priority for victim in self.victims]
        return (
            self.violations,
            max(priorities),
            sum(p + 2**31 for p in priorities),
            len(priorities),
        )

    def youngest(self) -> str:
        """Return when the first of the most important victims started; the later, the better."""
        highest = max(victim.info.priority for victim in self.victims)
        return min(_started(each) for each in self.victims if each.info.priority == highest)


class Preemption:
    """Chooses victims."""

    def __init__(
        self,
        cache: Cache,
        cycle: Cycle,
        rng: random.Random,
        budgets: Callable[[str], Sequence[PodDisruptionBudget]],
    ) -> None:
        """Make a chooser.

        Args:
            cache: who runs where.
            cycle: says what fits, while victims are away.
            rng: where among the nodes to begin.
            budgets: returns the disruption budgets of a namespace.
        """
        self._cache = cache
        self._cycle = cycle
        self._rng = rng
        self._budgets = budgets

    def choose(self, pod: PodInfo, verdict: NoFit) -> Nomination | str:
        """Return a node and its victims, or why there are none."""
        if pod.pod.spec.preemptionPolicy == "Never":
            return messages.NEVER
        if self._waits_for_victims(pod, verdict):
            return messages.VICTIMS_LEAVING
        reasons = {messages.UNHELPFUL: verdict.nodes - len(verdict.resolvable)}
        if pod.priority <= self._cache.lowest_priority:
            # Nobody anywhere is less important: the usual case, and no reason to look around.
            reasons[messages.NO_VICTIMS] = len(verdict.resolvable)
            return messages.unavailable(verdict.nodes, _some(reasons))
        candidates = self._candidates(pod, verdict, reasons)
        if not candidates:
            return messages.unavailable(verdict.nodes, _some(reasons))
        best = min(candidate.cost() for candidate in candidates)
        cheapest = [each for each in candidates if each.cost() == best]
        chosen = max(cheapest, key=_Candidate.youngest)
        victims = tuple(victim.info for victim in chosen.victims)
        return Nomination(chosen.row, self._cache.nodes.name(chosen.row), victims)

    def _waits_for_victims(self, pod: PodInfo, verdict: NoFit) -> bool:
        """Say whether the pod has had others evicted, who have not left yet."""
        node = pod.pod.status.nominatedNodeName
        row = self._cache.nodes.index.get(node or "")
        if row is None or row not in verdict.resolvable:
            return False
        return any(
            placed.info.priority < pod.priority and _is_leaving_for_others(placed.info.pod)
            for placed in self._cache.on_node(node or "")
        )

    def _candidates(
        self, pod: PodInfo, verdict: NoFit, reasons: dict[str, int]
    ) -> list[_Candidate]:
        rows = verdict.resolvable
        begin = self._rng.randrange(len(rows)) if rows else 0
        enough = max(ENOUGH_LEAST, verdict.nodes // ENOUGH_SHARE)
        found = []
        for row in (*rows[begin:], *rows[:begin]):
            candidate = self._try(pod, row)
            if isinstance(candidate, _Candidate):
                found.append(candidate)
                if len(found) >= enough:
                    break
            else:
                for reason in candidate:
                    reasons[reason] = reasons.get(reason, 0) + 1
        return found

    def _try(self, pod: PodInfo, row: int) -> _Candidate | Iterable[str]:
        """Find the fewest victims on one node; or why there are none to be found."""
        cache, cycle = self._cache, self._cycle
        lesser = [
            placed
            for placed in cache.on_node(cache.nodes.name(row))
            if placed.info.priority < pod.priority
        ]
        if not lesser:
            return (messages.NO_VICTIMS,)
        with cache.without(lesser) as away:
            if not cycle.fits_on(pod, row):
                return cycle.why_not(pod, row)
            lesser.sort(key=lambda placed: (-placed.info.priority, _started(placed)))
            violating = self._violating(lesser)
            violations = 0
            # Those whose budget would be broken are spared first, then the most important.
            for placed in sorted(lesser, key=lambda each: each.info.uid not in violating):
                away.bring_back(placed)
                if not cycle.fits_on(pod, row):
                    away.take_away(placed)
                    violations += placed.info.uid in violating
            victims = tuple(placed for placed in lesser if placed in away)
        return _Candidate(row, victims, violations) if victims else (messages.NO_VICTIMS,)

    def _violating(self, pods: Iterable[Placed]) -> set[str]:
        """Return those whose eviction some budget does not allow any more, most important last."""
        left: dict[str, int] = {}
        violating = set()
        for placed in pods:
            pod = placed.info.pod
            if not pod.metadata.labels:
                continue
            for budget in self._budgets(pod.metadata.namespace or ""):
                if not _guards(budget, pod):
                    continue
                uid = budget.metadata.uid or ""
                left[uid] = left.get(uid, budget.status.disruptionsAllowed or 0) - 1
                if left[uid] < 0:
                    violating.add(placed.info.uid)
        return violating


def _guards(budget: PodDisruptionBudget, pod: Pod) -> bool:
    selector = selectors.from_struct(budget.spec.selector)
    if selector.everything or not selector.matches(pod.metadata.labels):
        return False
    # Those already counted as disrupted cost nothing more.
    return pod.metadata.name not in (budget.status.disruptedPods or {})


def _is_leaving_for_others(pod: Pod) -> bool:
    if pod.metadata.deletionTimestamp is None:
        return False
    target = condition(pod, "DisruptionTarget")
    return target is not None and target.status == "True" and target.reason == PREEMPTED


def _started(placed: Placed) -> str:
    return placed.info.pod.status.startTime or LATEST


def _some(reasons: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in reasons.items() if count}
