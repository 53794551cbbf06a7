"""What a Deployment does next, as tables and as properties."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kybern.api import codec
from kybern.api.apps.v1 import (
    Deployment,
    DeploymentCondition,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetStatus,
    RollingUpdateDeployment,
)
from kybern.api.core.v1 import Container, PodSpec, PodTemplateSpec
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.controllers.deployment import progress, revisions
from kybern.controllers.deployment.plan import Plan, plan
from kybern.controllers.deployment.sizes import bounds
from kybern.controllers.runtime.hashes import ALPHABET
from kybern.lib.clock import rfc3339

NOW = 1_800_000_000.0


def template(image: str) -> PodTemplateSpec:
    return PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "web"}),
        spec=PodSpec(containers=[Container(name="main", image=image)]),
    )


def deployment(
    replicas: int = 3,
    image: str = "new",
    surge: int | str = "25%",
    unavailable: int | str = "25%",
    recreate: bool = False,
    **spec: Any,
) -> Deployment:
    rolling = RollingUpdateDeployment(maxSurge=surge, maxUnavailable=unavailable)
    strategy = DeploymentStrategy(type="RollingUpdate", rollingUpdate=rolling)
    if recreate:
        strategy = DeploymentStrategy(type="Recreate")
    spec.setdefault("progressDeadlineSeconds", 600)
    spec.setdefault("revisionHistoryLimit", 10)
    return Deployment(
        metadata=ObjectMeta(name="web", namespace="default", uid="d", generation=1),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(matchLabels={"app": "web"}),
            template=template(image),
            strategy=strategy,
            **spec,
        ),
    )


_created = iter(range(10**6))


def replica_set(
    owner: Deployment,
    image: str,
    size: int,
    available: int | None = None,
    pods: int | None = None,
    revision: int = 1,
    desired: int | None = None,
    maximum: int | None = None,
    uid: str = "",
) -> ReplicaSet:
    other = codec.clone(owner)
    other.spec.template = template(image)
    made = revisions.make(other)
    limits = bounds(owner)
    made.metadata.uid = uid or image
    made.metadata.creationTimestamp = rfc3339(NOW - 10**6 + next(_created))
    made.metadata.annotations = {
        revisions.REVISION: str(revision),
        "deployment.kubernetes.io/desired-replicas": str(
            limits.desired if desired is None else desired
        ),
        "deployment.kubernetes.io/max-replicas": str(
            limits.maximum if maximum is None else maximum
        ),
    }
    made.spec.replicas = size
    available = size if available is None else available
    pods = size if pods is None else pods
    made.status = ReplicaSetStatus(
        replicas=pods, readyReplicas=available or None, availableReplicas=available or None
    )
    return made


def sizes(steps: Plan) -> dict[str, int]:
    """New sizes by image."""
    found = {
        r.target.spec.template.spec.containers[0].image: r.replicas
        for r in steps.resize
        if r.replicas is not None
    }
    if steps.create is not None:
        found[steps.create.spec.template.spec.containers[0].image] = steps.create.spec.replicas
    return found


def condition(steps: Plan, kind: str) -> DeploymentCondition | None:
    return next((c for c in steps.status.conditions or () if c.type == kind), None)


# --- creating ---------------------------------------------------------------------------------


def test_the_first_replica_set():
    owner = deployment(3)
    owner.metadata.annotations = {
        "note": "kept",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    steps = plan(owner, [], set(), NOW)
    made = steps.create
    assert made.spec.replicas == 3
    assert made.metadata.name == f"web-{made.metadata.labels['pod-template-hash']}"
    assert made.spec.selector.matchLabels == made.metadata.labels
    assert made.spec.template.metadata.labels == made.metadata.labels
    assert made.metadata.ownerReferences[0].uid == "d"
    assert made.metadata.ownerReferences[0].controller is True
    assert made.metadata.annotations == {
        "note": "kept",
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    assert steps.revision == "1"
    progressing = condition(steps, "Progressing")
    assert (progressing.status, progressing.reason) == ("True", "NewReplicaSetCreated")
    assert progressing.message == f'Created new replica set "{made.metadata.name}"'
    available = condition(steps, "Available")
    assert (available.status, available.reason) == ("False", "MinimumReplicasUnavailable")
    assert steps.status.unavailableReplicas == 3
    assert owner.metadata.annotations["note"] == "kept"


def test_names_fit_and_hashes_are_safe():
    owner = deployment()
    owner.metadata.name = "x" * 253
    made = plan(owner, [], set(), NOW).create
    assert len(made.metadata.name) <= 253
    for collisions in range(50):
        text = revisions.template_hash(owner.spec.template, collisions)
        assert set(text) <= set(ALPHABET)
    hashes = {revisions.template_hash(owner.spec.template, n) for n in range(50)}
    assert len(hashes) == 50


def test_the_hash_does_not_depend_on_the_order_of_labels():
    one, other = template("a"), template("a")
    one.metadata.labels = {"a": "1", "b": "2"}
    other.metadata.labels = {"b": "2", "a": "1"}
    assert revisions.template_hash(one, 0) == revisions.template_hash(other, 0)
    assert revisions.same_template(one, other)


def test_an_adopted_replica_set_is_found_and_numbered():
    owner = deployment(3)
    found = replica_set(owner, "new", 3)
    found.metadata.annotations = None
    steps = plan(owner, [found], set(), NOW)
    assert steps.create is None
    assert steps.resize[0].annotations["deployment.kubernetes.io/revision"] == "1"
    assert steps.resize[0].replicas is None
    assert condition(steps, "Progressing").reason in (
        "FoundNewReplicaSet",
        "NewReplicaSetAvailable",
    )


# --- rolling ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "want"),
    [
        (10, "25%", "25%", (10, 3, 2)),
        (4, "25%", "25%", (4, 1, 1)),
        (1, "25%", "25%", (1, 1, 0)),
        (3, 0, 0, (3, 0, 1)),
        (3, "0%", "10%", (3, 0, 1)),
        (2, 0, 5, (2, 0, 2)),
        (0, 1, 1, (0, 1, 0)),
        (5, "100%", "100%", (5, 5, 5)),
    ],
)
def test_bounds(replicas, surge, unavailable, want):
    limits = bounds(deployment(replicas, surge=surge, unavailable=unavailable))
    assert (limits.desired, limits.surge, limits.unavailable) == want


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "old", "new", "want"),
    [
        # (size, available) before; sizes that change
        (10, 2, 0, (10, 10), None, {"new": 2}),
        (10, 2, 2, (10, 10), None, {"new": 2, "old": 8}),
        (10, 0, 2, (10, 10), (0, 0), {"old": 8}),
        (10, 0, 2, (8, 8), (2, 0), {}),
        (10, 0, 2, (8, 8), (2, 2), {"old": 6}),
        (10, 2, 0, (10, 10), (2, 0), {}),
        (10, 2, 0, (10, 10), (2, 1), {"old": 9}),
        (10, 2, 0, (9, 9), (2, 2), {"new": 3, "old": 8}),
        (10, 2, 0, (0, 0), (10, 7), {}),
        (10, 2, 0, (1, 1), (9, 9), {"new": 10}),
        (1, 1, 0, (1, 1), None, {"new": 1}),
        (1, 1, 0, (1, 1), (1, 0), {}),
        (1, 1, 0, (1, 1), (1, 1), {"old": 0}),
        (10, 2, 2, (10, 4), None, {"new": 2, "old": 8}),  # unhealthy ones go first
        (4, 1, 1, (4, 0), (1, 0), {"old": 3}),
    ],
)
def test_steps_of_a_rollout(replicas, surge, unavailable, old, new, want):
    owner = deployment(replicas, surge=surge, unavailable=unavailable)
    sets = [replica_set(owner, "old", *old)]
    if new is not None:
        sets.append(replica_set(owner, "new", *new, revision=2))
    assert sizes(plan(owner, sets, set(), NOW)) == want


def test_the_oldest_shrinks_first():
    owner = deployment(6, surge=0, unavailable=2)
    sets = [
        replica_set(owner, "older", 1, revision=1),
        replica_set(owner, "old", 5, revision=2),
        replica_set(owner, "new", 0, revision=3),
    ]
    assert sizes(plan(owner, sets, set(), NOW)) == {"older": 0, "old": 4}


def test_a_stale_status_does_not_count_twice():
    # The old one was just scaled to 2, its status still shows 3 available pods.
    owner = deployment(3, surge=1, unavailable=1)
    old = replica_set(owner, "old", 2, available=3, pods=3)
    new = replica_set(owner, "new", 1, available=1, revision=2)
    steps = plan(owner, [old, new], set(), NOW)
    assert sizes(steps)["old"] == 1


def test_going_back_makes_the_old_template_the_newest_revision():
    owner = deployment(3, image="old")
    old = replica_set(owner, "old", 0, revision=1)
    new = replica_set(owner, "new", 3, revision=2)
    steps = plan(owner, [old, new], set(), NOW)
    resize = next(r for r in steps.resize if r.target is old)
    assert resize.annotations[revisions.REVISION] == "3"
    assert resize.annotations[revisions.HISTORY] == "1"
    assert resize.replicas == 1
    assert steps.revision == "3"
    assert resize.message == f"Scaled up replica set {old.metadata.name} from 0 to 1"


# --- recreating ------------------------------------------------------------------------------------


def test_recreate_waits_for_the_last_old_pod():
    owner = deployment(3, recreate=True)
    old = replica_set(owner, "old", 3)
    assert sizes(plan(owner, [old], {"old"}, NOW)) == {"old": 0}
    old.spec.replicas = 0
    assert sizes(plan(owner, [old], {"old"}, NOW)) == {}
    assert sizes(plan(owner, [old], set(), NOW)) == {"new": 3}


# --- scaling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "before", "old", "new", "want"),
    [
        # surge 1 and unavailable 0, so the most there may be is replicas + 1
        (5, 3, None, (3, 3), {"new": 5}),
        (1, 3, None, (3, 3), {"new": 1}),
        (0, 3, None, (3, 3), {"new": 0}),
        (20, 10, (8, 8), (3, 3), {"old": 15, "new": 6}),
        (5, 10, (8, 8), (3, 3), {"old": 4, "new": 2}),
        (0, 10, (8, 8), (3, 3), {"old": 0, "new": 0}),
        (11, 10, (8, 8), (3, 3), {"old": 9}),
    ],
)
def test_scaling_is_spread_in_proportion(replicas, before, old, new, want):
    owner = deployment(replicas, surge=1, unavailable=0)
    sets = []
    if old is not None:
        sets.append(replica_set(owner, "old", *old, desired=before, maximum=before + 1))
    sets.append(replica_set(owner, "new", *new, desired=before, maximum=before + 1, revision=2))
    steps = plan(owner, sets, set(), NOW)
    assert sizes(steps) == want
    after = {s.metadata.uid: s.spec.replicas for s in sets} | want
    if old is not None:
        assert sum(after.values()) == (replicas + 1 if replicas else 0)
    for resize in steps.resize:
        if resize.replicas:
            assert resize.annotations["deployment.kubernetes.io/desired-replicas"] == str(replicas)
            assert resize.annotations["deployment.kubernetes.io/max-replicas"] == str(replicas + 1)


def test_a_finished_rollout_gives_everything_to_the_new_one():
    owner = deployment(4, surge=1, unavailable=0, paused=True)
    sets = [
        replica_set(owner, "old", 1, desired=4),
        replica_set(owner, "new", 4, available=4, desired=4, revision=2),
    ]
    assert sizes(plan(owner, sets, set(), NOW)) == {"old": 0}


def test_paused_does_not_create():
    owner = deployment(3, paused=True)
    steps = plan(owner, [replica_set(owner, "old", 3)], set(), NOW)
    assert steps.create is None
    assert sizes(steps) == {}
    progressing = condition(steps, "Progressing")
    assert (progressing.status, progressing.reason) == ("Unknown", "DeploymentPaused")
    assert progressing.message == "Deployment is paused"
    owner.status = steps.status
    owner.spec.paused = None
    steps = plan(owner, [replica_set(owner, "old", 3)], set(), NOW)
    assert condition(steps, "Progressing").reason == "NewReplicaSetCreated"


def test_deleted_deployments_only_count():
    owner = deployment(5)
    owner.metadata.deletionTimestamp = rfc3339(NOW)
    steps = plan(owner, [replica_set(owner, "new", 3)], set(), NOW)
    assert (steps.create, steps.resize, steps.delete) == (None, (), ())
    assert steps.status.replicas == 3


# --- progress ------------------------------------------------------------------------------------


def with_condition(owner, reason, status="True", ago=0.0):
    stamp = rfc3339(NOW - ago)
    owner.status = DeploymentStatus(
        conditions=[
            DeploymentCondition(
                type="Progressing",
                status=status,
                reason=reason,
                lastUpdateTime=stamp,
                lastTransitionTime=stamp,
            )
        ]
    )
    return owner


def test_done():
    owner = with_condition(deployment(3), "ReplicaSetUpdated", ago=30)
    steps = plan(owner, [replica_set(owner, "new", 3)], set(), NOW)
    progressing = condition(steps, "Progressing")
    assert progressing.reason == "NewReplicaSetAvailable"
    assert progressing.lastTransitionTime == rfc3339(NOW - 30)
    assert steps.check_after is None


def test_a_rollout_that_does_not_move_times_out():
    owner = with_condition(deployment(3, progressDeadlineSeconds=60), "ReplicaSetUpdated", ago=30)
    stuck = replica_set(owner, "new", 3, available=0)
    owner.status.replicas = owner.status.updatedReplicas = 3
    steps = plan(owner, [stuck], set(), NOW)
    assert condition(steps, "Progressing").reason == "ReplicaSetUpdated"
    assert steps.check_after == 31.0
    steps = plan(owner, [stuck], set(), NOW + 31)
    progressing = condition(steps, "Progressing")
    assert (progressing.status, progressing.reason) == ("False", "ProgressDeadlineExceeded")
    assert progressing.message.endswith("has timed out progressing.")
    assert steps.check_after is None


def test_progress_starts_the_deadline_anew():
    owner = with_condition(deployment(3, progressDeadlineSeconds=60), "ReplicaSetUpdated", ago=50)
    owner.status.replicas = owner.status.updatedReplicas = 3
    steps = plan(owner, [replica_set(owner, "new", 3, available=1)], set(), NOW)
    progressing = condition(steps, "Progressing")
    assert progressing.lastUpdateTime == rfc3339(NOW)
    assert progressing.lastTransitionTime == rfc3339(NOW - 50)
    assert steps.check_after == 61.0


def test_a_settled_deployment_that_loses_a_pod_does_not_poll():
    owner = with_condition(deployment(3), "NewReplicaSetAvailable", ago=10**6)
    steps = plan(owner, [replica_set(owner, "new", 3, available=2)], set(), NOW)
    assert condition(steps, "Progressing").reason == "NewReplicaSetAvailable"
    assert steps.check_after is None


def test_without_a_deadline_there_is_no_progress_condition():
    for deadline in (None, 2**31 - 1):
        owner = with_condition(deployment(3, progressDeadlineSeconds=deadline), "x")
        steps = plan(owner, [replica_set(owner, "new", 3)], set(), NOW)
        assert condition(steps, "Progressing") is None


def test_failures_of_replica_sets_are_passed_on():
    owner = deployment(3)
    failing = replica_set(owner, "new", 3, available=0, pods=0)
    failing.status.conditions = [
        progress.DeploymentCondition(
            type="ReplicaFailure", status="True", reason="FailedCreate", message="quota"
        )
    ]
    steps = plan(owner, [failing], set(), NOW)
    failure = condition(steps, "ReplicaFailure")
    assert (failure.status, failure.reason, failure.message) == ("True", "FailedCreate", "quota")
    failing.status.conditions = None
    owner.status = steps.status
    assert condition(plan(owner, [failing], set(), NOW), "ReplicaFailure") is None


# --- cleaning up ------------------------------------------------------------------------------------


def test_old_revisions_beyond_the_limit_go():
    owner = deployment(1, revisionHistoryLimit=2)
    owner.status = DeploymentStatus(
        observedGeneration=1, replicas=1, updatedReplicas=1, availableReplicas=1
    )
    old = [replica_set(owner, f"v{n}", 0, revision=n) for n in (3, 1, 2, 4)]
    sets = [*old, replica_set(owner, "new", 1, revision=5)]
    steps = plan(owner, sets, set(), NOW)
    assert [rs.metadata.uid for rs in steps.delete] == ["v1", "v2"]
    old[1].status.replicas = 1  # still has a pod
    assert [rs.metadata.uid for rs in plan(owner, sets, set(), NOW).delete] == ["v2"]


def test_nothing_goes_while_a_rollout_is_under_way():
    owner = deployment(3, revisionHistoryLimit=0)
    sets = [replica_set(owner, "old", 0), replica_set(owner, "new", 3, available=1, revision=2)]
    assert plan(owner, sets, set(), NOW).delete == ()


def test_history_stays_short():
    text = ""
    for number in range(1, 2000):
        text = revisions._history(text or None, str(number))
    assert len(text) <= 2000
    assert text.endswith(",1999")


# --- properties ------------------------------------------------------------------------------------


@st.composite
def rollouts(draw):
    share = st.one_of(st.integers(0, 6), st.integers(0, 100).map(lambda n: f"{n}%"))
    return {
        "replicas": draw(st.integers(0, 12)),
        "surge": draw(share),
        "unavailable": draw(share),
        "rescale": draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=3)),
        "seed": draw(st.randoms(use_true_random=False)),
        "broken": draw(st.booleans()),
    }


class World:
    """Applies plans as the controller would, with pods becoming available at random."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.rng = case["seed"]
        self.owner = deployment(
            case["replicas"], surge=case["surge"], unavailable=case["unavailable"]
        )
        self.sets = [replica_set(self.owner, "old", case["replicas"])]
        self.broken = case["broken"]

    def step(self) -> Plan:
        steps = plan(self.owner, self.sets, set(), NOW)
        for resize in steps.resize:
            if resize.replicas is not None:
                resize.target.spec.replicas = resize.replicas
            resize.target.metadata.annotations.update(resize.annotations)
        if steps.create is not None:
            made = steps.create
            made.metadata.uid = "new"
            made.metadata.creationTimestamp = rfc3339(NOW)
            self.sets.append(made)
        self.owner.status = steps.status
        self.sets = [rs for rs in self.sets if rs not in steps.delete]
        return steps

    def live(self) -> None:
        """Pods come and go, ready or not, and the statuses notice sooner or later."""
        for rs in self.sets:
            if self.rng.random() < 0.3:
                continue  # the status is stale
            have = rs.status.replicas
            want = rs.spec.replicas
            step = self.rng.randint(0, abs(want - have)) if want != have else 0
            rs.status.replicas = have + step if want > have else have - step
            limit = 0 if self.broken and rs.metadata.uid == "new" else rs.status.replicas
            rs.status.availableReplicas = self.rng.randint(0, limit) or None

    def settle(self) -> None:
        for rs in self.sets:
            rs.status.replicas = rs.spec.replicas
            limit = 0 if self.broken and rs.metadata.uid == "new" else rs.spec.replicas
            rs.status.availableReplicas = rs.status.readyReplicas = limit or None


@given(rollouts())
@settings(max_examples=150, deadline=None)
def test_a_rollout_never_leaves_its_bounds_and_always_ends(case):
    world = World(case)
    rescale = dict(case["rescale"])
    for tick in range(120):
        if tick in rescale:
            world.owner.spec.replicas = rescale[tick]
        limits = bounds(world.owner)
        before = sum(rs.spec.replicas for rs in world.sets)
        serving = sum(min(rs.status.availableReplicas or 0, rs.spec.replicas) for rs in world.sets)
        world.step()
        after = sum(rs.spec.replicas for rs in world.sets)
        assert after <= max(limits.maximum, before)
        still = sum(min(rs.status.availableReplicas or 0, rs.spec.replicas) for rs in world.sets)
        scaled_down = after < before and tick in rescale
        if not scaled_down:
            assert still >= min(serving, limits.minimum)
        world.live() if tick < 60 else world.settle()
    sizes_now = {rs.metadata.uid: rs.spec.replicas for rs in world.sets}
    if world.broken and bounds(world.owner).desired:
        assert sum(sizes_now.values()) <= bounds(world.owner).maximum
    else:
        assert sizes_now.get("new") == world.owner.spec.replicas
        assert sum(sizes_now.values()) == world.owner.spec.replicas
    # Run to quiescence twice: nothing is written the second time.
    world.settle()
    for _ in range(60):
        world.step()
        world.settle()
    status = codec.clone(world.owner.status)
    steps = world.step()
    assert (steps.create, steps.resize, steps.delete) == (None, (), ())
    assert codec.equal(steps.status, status)
