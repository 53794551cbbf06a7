"""What to do about the pods of a StatefulSet.

In:   a StatefulSet, its pods, the claims of its namespace, two revisions, the time.
Out:  a `Plan`: steps, and the status to write.
By:   statefulset.controller. Pure.

First every wanted pod is brought about, the lowest number first; then those too many go, and then
those of an old revision are replaced, the highest numbers first. In order (`OrderedReady`), one
step is taken at a time, and only when everything before it is available; in parallel, all are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api.core import pods as ask
from kybern.controllers.runtime.availability import available_in
from kybern.controllers.runtime.shares import share
from kybern.controllers.statefulset import claims as volumes
from kybern.controllers.statefulset.identity import (
    Revision,
    is_itself,
    new_pod,
    number_of,
    numbers,
    restored,
    revision_of,
)
from kybern.controllers.statefulset.standing import is_running_and_ready, status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kybern.api.apps.v1 import StatefulSet, StatefulSetStatus
    from kybern.api.core.v1 import PersistentVolumeClaim, Pod


@dataclass(frozen=True, slots=True)
class Step:
    """What to do for one pod, in this order.

    Attributes:
        claims: claims to create.
        owners: claims to write with other owners.
        verb: what to do with the pod: `create`, `update`, `delete`, or nothing.
        pod: the pod, as it should be.
    """

    verb: str
    pod: Pod
    claims: tuple[PersistentVolumeClaim, ...] = ()
    owners: tuple[PersistentVolumeClaim, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now.

    Attributes:
        steps: in this order; when one fails, the rest must wait.
        burst: whether many steps may be taken at once.
        status: the status as it should be.
        check_after: seconds after which time alone changes something.
    """

    steps: tuple[Step, ...]
    burst: bool
    status: StatefulSetStatus
    check_after: float | None


def plan(
    stateful_set: StatefulSet,
    pods: Sequence[Pod],
    claims: Mapping[str, PersistentVolumeClaim],
    current: Revision,
    update: Revision,
    now: float,
) -> Plan:
    """Decide.

    Args:
        stateful_set: what is wanted.
        pods: those it owns.
        claims: those of its namespace, by name.
        current: the revision that is being left; `update` when none is.
        update: the revision of the template.
        now: the time.
    """
    planner = _Planner(stateful_set, pods, claims, current, update, now)
    if stateful_set.metadata.deletionTimestamp is None:
        planner.decide()
    found = status(stateful_set, pods, current.name, update.name, planner.replaced, now)
    waits = [wait for pod in pods if (wait := planner.wait(pod)) is not None and wait > 0]
    return Plan(tuple(planner.steps), planner.burst, found, min(waits, default=None))


class _Planner:
    """The state of one decision."""

    def __init__(
        self,
        stateful_set: StatefulSet,
        pods: Sequence[Pod],
        claims: Mapping[str, PersistentVolumeClaim],
        current: Revision,
        update: Revision,
        now: float,
    ) -> None:
        self.set, self.claims, self.now = stateful_set, claims, now
        self.current, self.update = current, update
        self.burst = stateful_set.spec.podManagementPolicy == "Parallel"
        self.patience = stateful_set.spec.minReadySeconds or 0
        wanted = numbers(stateful_set)
        self.existing = {number_of(pod): pod for pod in pods}
        self.wanted = {number: self.existing.get(number) or self._new(number) for number in wanted}
        self.condemned = sorted(
            (pod for number, pod in self.existing.items() if number >= 0 and number not in wanted),
            key=number_of,
            reverse=True,
        )
        self.steps: list[Step] = []
        self.replaced: set[str] = set()

    def decide(self) -> None:
        """Take as many steps as the order allows."""
        for number, pod in self.wanted.items():
            if not self._keep(number, pod) and not self.burst:
                return
        self._shrink()
        if self.burst or not self.condemned:
            self._roll()

    # --- bringing pods about ------------------------------------------------------------------

    def _keep(self, number: int, pod: Pod) -> bool:
        """Do what a wanted pod needs; say whether the next one may be looked at."""
        if ask.is_terminal(pod):
            # Also one that succeeded: what is ended on its node says nothing about who ended it.
            if not ask.is_terminating(pod):
                self.steps.append(Step("delete", pod))
            return False
        if number not in self.existing:
            if not volumes.is_stale(self.set, pod, self.claims):
                missing = volumes.missing(self.set, pod, self.claims)
                self.steps.append(Step("create", pod, missing))
            return False
        missing = ()
        if (pod.status.phase or "Pending") == "Pending":
            missing = volumes.missing(self.set, pod, self.claims)
        if not self.burst and not self._is_available(pod):
            if missing:
                self.steps.append(Step("", pod, missing))
            return False
        self._correct(pod, missing)
        return True

    def _correct(self, pod: Pod, missing: tuple[PersistentVolumeClaim, ...]) -> None:
        owners = volumes.misowned(self.set, pod, self.claims)
        if not is_itself(self.set, pod):
            missing = volumes.missing(self.set, pod, self.claims)
            self.steps.append(Step("update", restored(self.set, pod), missing, owners))
        elif missing or owners:
            self.steps.append(Step("", pod, missing, owners))

    def _new(self, number: int) -> Pod:
        return new_pod(self.set, self._revision(number), number)

    def _revision(self, number: int) -> Revision:
        """A pod that a rollout has not come to yet is made anew as it was."""
        strategy = self.set.spec.updateStrategy
        if strategy is None or strategy.type != "RollingUpdate":
            return self.update
        if strategy.rollingUpdate is None:
            untouched = self.set.status.currentReplicas or 0
        else:
            untouched = strategy.rollingUpdate.partition or 0
        return self.current if number < numbers(self.set).start + untouched else self.update

    # --- letting pods go ----------------------------------------------------------------------

    def _shrink(self) -> None:
        first = self._first_unavailable()
        for place, pod in enumerate(self.condemned):
            may_go = self.burst or (place == 0 and (self._is_available(pod) or pod is first))
            delete = may_go and not ask.is_terminating(pod)
            owners = volumes.misowned(self.set, pod, self.claims)
            if delete or owners:
                self.steps.append(Step("delete" if delete else "", pod, owners=owners))

    def _first_unavailable(self) -> Pod | None:
        everyone = [*self.wanted.values(), *reversed(self.condemned)]
        return next((pod for pod in everyone if not self._is_available(pod)), None)

    def _roll(self) -> None:
        strategy = self.set.spec.updateStrategy
        if strategy is None or strategy.type != "RollingUpdate":
            return
        rolling = strategy.rollingUpdate
        partition = (rolling.partition if rolling is not None else None) or 0
        most = rolling.maxUnavailable if rolling is not None else None
        candidates = list(self.wanted.values())[partition:]
        if most is None:
            self._replace_one(candidates)
        else:
            self._replace_several(candidates, max(1, share(most, len(self.wanted), up=False) or 1))

    def _replace_one(self, candidates: list[Pod]) -> None:
        """Replace the last pod that is of another revision, unless one after it is not well yet."""
        for pod in reversed(candidates):
            if self._is_outdated(pod):
                self._replace(pod)
                return
            if not self._is_available(pod):
                return

    def _replace_several(self, candidates: list[Pod], most: int) -> None:
        """Replace from the last on, so that at most so many of all are unavailable.

        Pods that are unavailable anyway cost nothing, and are what a new revision may put right.
        """
        budget = most - sum(not self._is_available(pod) for pod in self.wanted.values())
        outdated = [pod for pod in reversed(candidates) if self._is_outdated(pod)]
        serving = [pod for pod in outdated if self._is_available(pod)]
        for pod in outdated:
            if pod not in serving or pod in serving[: max(0, budget)]:
                self._replace(pod)

    def _is_outdated(self, pod: Pod) -> bool:
        return (
            number_of(pod) in self.existing
            and revision_of(pod) != self.update.name
            and not ask.is_terminating(pod)
        )

    def _replace(self, pod: Pod) -> None:
        self.replaced.add(pod.metadata.name or "")
        if not any(step.pod is pod and step.verb == "delete" for step in self.steps):
            self.steps.append(Step("delete", pod))

    # --- questions ----------------------------------------------------------------------------

    def wait(self, pod: Pod) -> float | None:
        """Return the seconds until a pod is available; None when it is not ready."""
        return available_in(pod, self.patience, self.now)

    def _is_available(self, pod: Pod) -> bool:
        return is_running_and_ready(pod) and not ask.is_terminating(pod) and self.wait(pod) == 0
