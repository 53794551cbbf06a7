"""What to do about a Deployment.

In:   a Deployment, its ReplicaSets, which of those still have pods, the time.
Out:  a `Plan`: what to create, resize and delete, and the status to write.
By:   deployment.controller. Pure.

Each call takes one step; what the step brings about brings the next call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.controllers.deployment import progress, recreate, revisions, rolling, scaling
from kybern.controllers.deployment.sizes import (
    Bounds,
    Member,
    annotate_sizes,
    bounds,
    is_rolling,
)
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kybern.api.apps.v1 import Deployment, DeploymentStatus, ReplicaSet


@dataclass(frozen=True, slots=True)
class Resize:
    """A change to a ReplicaSet; what is None or empty stays as it is."""

    target: ReplicaSet
    replicas: int | None
    annotations: dict[str, str]
    min_ready_seconds: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One step of a Deployment.

    Attributes:
        create: a ReplicaSet to create, or None.
        resize: ReplicaSets to change, in this order.
        delete: ReplicaSets that nobody will roll back to.
        revision: what the Deployment's revision annotation shall say, or None for no change.
        status: the status as it should be.
        check_after: seconds after which time alone may have changed something.
    """

    create: ReplicaSet | None
    resize: tuple[Resize, ...]
    delete: tuple[ReplicaSet, ...]
    revision: str | None
    status: DeploymentStatus
    check_after: float | None


def plan(
    deployment: Deployment, sets: Sequence[ReplicaSet], with_pods: Collection[str], now: float
) -> Plan:
    """Decide the next step.

    Args:
        deployment: what is wanted.
        sets: the ReplicaSets it owns.
        with_pods: uids of ReplicaSets that have a pod which may still run.
        now: the time.
    """
    return _Planner(deployment, sets, with_pods, now).plan()


class _Planner:
    """The state of one decision."""

    def __init__(
        self,
        deployment: Deployment,
        sets: Sequence[ReplicaSet],
        with_pods: Collection[str],
        now: float,
    ) -> None:
        self.deployment = deployment
        self.sets = list(sets)
        self.with_pods = with_pods
        self.now = now
        self.bounds: Bounds = bounds(deployment)
        self.conditions = progress.conditions_of(deployment)
        found = revisions.find_new(deployment, sets)
        self.old = [_member(rs) for rs in sets if rs is not found]
        self.new = _member(found) if found is not None else None
        self.created: ReplicaSet | None = None
        self.revision: int | None = None
        self.delete: tuple[ReplicaSet, ...] = ()

    def plan(self) -> Plan:
        deployment = self.deployment
        if deployment.metadata.deletionTimestamp is not None:
            return self._finish(rollout=False)
        progress.note_pause(deployment, self.conditions, self.now)
        if deployment.spec.paused or self._is_scaling():
            self._scale()
            return self._finish(rollout=False)
        if is_rolling(deployment):
            rolling.roll(self._require_new(), self.old, self.bounds)
        else:
            self._recreate()
        if progress.is_complete(deployment, deployment.status):
            self.delete = revisions.to_clean_up(deployment, [m.replica_set for m in self.old])
        return self._finish(rollout=True)

    # --- the ways to go ------------------------------------------------------------------

    def _is_scaling(self) -> bool:
        return scaling.is_scaling(self._members(), self.bounds.desired)

    def _scale(self) -> None:
        self._number_new()
        scaling.scale(
            self.new,
            self.old,
            self.bounds,
            self.deployment.status.replicas or 0,
            rolling=is_rolling(self.deployment),
        )
        if self.deployment.spec.paused:
            old = [member.replica_set for member in self.old]
            self.delete = revisions.to_clean_up(self.deployment, old)

    def _recreate(self) -> None:
        self._number_new()
        if recreate.stop_old(self.old) or not recreate.may_start(self.old, self.with_pods):
            return
        self._require_new().replicas = self.bounds.desired

    # --- the new ReplicaSet -----------------------------------------------------------------

    def _require_new(self) -> Member:
        if self.new is None:
            replica_set = revisions.make(self.deployment)
            self.created = replica_set
            self.new = _member(replica_set)
            self._number_new()
            annotate_sizes(self.new, self.bounds)
            message = f'Created new replica set "{self.new.name}"'
            self._progressing(progress.CREATED, message)
            return self.new
        self._number_new()
        return self.new

    def _number_new(self) -> None:
        """Bring the current ReplicaSet's number, annotations and patience up to date."""
        if self.new is None:
            return
        number = revisions.next_revision(member.replica_set for member in self.old)
        revisions.annotate(self.new, self.deployment, number)
        current = self.new.annotation(revisions.REVISION)
        self.revision = int(current) if current is not None and current.isdecimal() else number
        patience = self.deployment.spec.minReadySeconds or 0
        if (self.new.replica_set.spec.minReadySeconds or 0) != patience:
            self.new.min_ready_seconds = patience
        if self.created is None and progress.PROGRESSING not in self.conditions:
            self._progressing(progress.FOUND, f'Found new replica set "{self.new.name}"')

    def _progressing(self, reason: str, message: str) -> None:
        if progress.has_deadline(self.deployment):
            stamp = rfc3339(self.now)
            progress.put(self.conditions, progress.PROGRESSING, "True", reason, message, stamp)

    # --- the outcome ------------------------------------------------------------------------

    def _members(self) -> list[Member]:
        return [*self.old, *([self.new] if self.new is not None else ())]

    def _finish(self, *, rollout: bool) -> Plan:
        deployment, conditions = self.deployment, self.conditions
        current = None
        if self.new is not None and self.created is None:
            current = self.new.replica_set
        status = progress.count(
            deployment, current, self.sets, self._members(), conditions, self.now
        )
        if rollout:
            named = self.new.replica_set if self.new is not None else None
            progress.judge(deployment, named, status, conditions, self.now)
            progress.note_failures(self.sets, current, conditions)
        status.conditions = list(conditions.values()) or None
        return Plan(
            create=self._creation(),
            resize=tuple(self._resizes()),
            delete=self.delete,
            revision=self._revision(),
            status=status,
            check_after=progress.check_after(deployment, status, conditions, self.now),
        )

    def _creation(self) -> ReplicaSet | None:
        if self.created is not None and self.new is not None:
            self.created.spec.replicas = self.new.replicas
            self.created.metadata.annotations = self.new.annotations
        return self.created

    def _revision(self) -> str | None:
        if self.revision is None:
            return None
        noted = (self.deployment.metadata.annotations or {}).get(revisions.REVISION)
        return None if noted == str(self.revision) else str(self.revision)

    def _resizes(self) -> list[Resize]:
        found = []
        # The new one first: it is what the user is waiting for.
        for member in reversed(self._members()):
            if member.replica_set is self.created:
                continue
            resized = member.replicas != member.before
            if resized:
                annotate_sizes(member, self.bounds)
            if resized or member.annotations or member.min_ready_seconds is not None:
                found.append(_resize(member))
        return found


def _resize(member: Member) -> Resize:
    if member.replicas == member.before:
        return Resize(member.replica_set, None, member.annotations, member.min_ready_seconds, "")
    direction = "up" if member.replicas > member.before else "down"
    message = (
        f"Scaled {direction} replica set {member.name} from {member.before} to {member.replicas}"
    )
    return Resize(
        member.replica_set, member.replicas, member.annotations, member.min_ready_seconds, message
    )


def _member(replica_set: ReplicaSet) -> Member:
    replicas = replica_set.spec.replicas
    size = 1 if replicas is None else replicas
    return Member(replica_set, size, size)
