"""What a StatefulSet does next, in tables and with arbitrary beginnings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kybern.api import codec
from kybern.api.apps.v1 import (
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetOrdinals,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetUpdateStrategy,
)
from kybern.api.core.v1 import (
    Container,
    PersistentVolumeClaim,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
)
from kybern.api.meta.v1 import LabelSelector, ObjectMeta, OwnerReference
from kybern.controllers.statefulset.identity import Revision, new_pod, number_of, revision_of
from kybern.controllers.statefulset.plan import plan
from kybern.lib.clock import rfc3339

NOW = 1_800_000_000.0


def template(image):
    metadata = ObjectMeta(labels={"app": "db"})
    return PodTemplateSpec(
        metadata=metadata, spec=PodSpec(containers=[Container(name="c", image=image)])
    )


OLD, NEW = Revision("db-old", template("db:1")), Revision("db-new", template("db:2"))


def stateful_set(replicas=3, *, start=None, strategy="RollingUpdate", claims=(), keep=None, **spec):
    partition, most = spec.pop("partition", None), spec.pop("most", None)
    rolling = None
    if partition is not None or most is not None:
        rolling = RollingUpdateStatefulSetStrategy(partition=partition, maxUnavailable=most)
    deleted, scaled = keep or ("Retain", "Retain")
    return StatefulSet(
        metadata=ObjectMeta(name="db", namespace="default", uid="set", generation=2),
        spec=StatefulSetSpec(
            replicas=replicas,
            serviceName="dbs",
            selector=LabelSelector(matchLabels={"app": "db"}),
            template=NEW.template,
            ordinals=None if start is None else StatefulSetOrdinals(start=start),
            updateStrategy=StatefulSetUpdateStrategy(type=strategy, rollingUpdate=rolling),
            volumeClaimTemplates=[
                PersistentVolumeClaim(metadata=ObjectMeta(name=name)) for name in claims
            ]
            or None,
            persistentVolumeClaimRetentionPolicy=StatefulSetPersistentVolumeClaimRetentionPolicy(
                whenDeleted=deleted, whenScaled=scaled
            ),
            **spec,
        ),
    )


def pod(owner, number, revision=NEW, *, state="ready", since=0.0):
    made = codec.clone(new_pod(owner, revision, number))
    made.metadata.uid = f"pod-{number}-{revision.name}"
    ready = "True" if state in ("ready", "leaving") else "False"
    phase = {"pending": "Pending", "failed": "Failed", "succeeded": "Succeeded"}
    made.status = PodStatus(
        phase=phase.get(state, "Running"),
        conditions=[
            PodCondition(type="Ready", status=ready, lastTransitionTime=rfc3339(NOW - since))
        ],
    )
    if state == "leaving":
        made.metadata.deletionTimestamp = rfc3339(NOW)
    return made


def steps(owner, pods, claims=(), current=OLD):
    found = plan(owner, pods, {c.metadata.name: c for c in claims}, current, NEW, NOW)
    return [(step.verb, number_of(step.pod)) for step in found.steps]


@pytest.mark.parametrize(
    ("policy", "states", "expected"),
    [
        ("OrderedReady", {}, [("create", 0)]),
        ("OrderedReady", {0: "ready"}, [("create", 1)]),
        ("OrderedReady", {0: "pending"}, []),
        ("OrderedReady", {0: "leaving", 1: "ready"}, []),
        ("OrderedReady", {0: "ready", 2: "ready"}, [("create", 1)]),
        ("OrderedReady", {0: "failed"}, [("delete", 0)]),
        ("OrderedReady", {0: "succeeded", 1: "ready"}, [("delete", 0)]),
        ("OrderedReady", {0: "ready", 1: "ready", 2: "ready"}, []),
        ("OrderedReady", dict.fromkeys(range(5), "ready"), [("delete", 4)]),
        ("OrderedReady", {**dict.fromkeys(range(4), "ready"), 4: "leaving"}, []),
        ("OrderedReady", {**dict.fromkeys(range(4), "ready"), 4: "pending"}, [("delete", 4)]),
        ("OrderedReady", {0: "ready", 1: "pending", 2: "ready", 3: "ready"}, []),
        ("OrderedReady", {**dict.fromkeys(range(3), "ready"), 3: "pending", 4: "pending"}, []),
        ("Parallel", {}, [("create", 0), ("create", 1), ("create", 2)]),
        ("Parallel", {0: "pending", 1: "failed"}, [("delete", 1), ("create", 2)]),
        ("Parallel", dict.fromkeys(range(5), "pending"), [("delete", 4), ("delete", 3)]),
    ],
)
def test_how_many(policy, states, expected):
    owner = stateful_set(podManagementPolicy=policy)
    pods = [pod(owner, number, state=state) for number, state in states.items()]
    assert steps(owner, pods) == expected


def test_pods_with_other_numbers_go_when_the_first_number_moves():
    owner = stateful_set(2, start=5, podManagementPolicy="Parallel")
    pods = [pod(owner, number) for number in (4, 5)]
    assert steps(owner, pods) == [("create", 6), ("delete", 4)]


def test_nothing_is_done_for_a_set_on_its_way_out():
    owner = stateful_set()
    owner.metadata.deletionTimestamp = rfc3339(NOW)
    assert steps(owner, []) == []


@pytest.mark.parametrize(
    ("options", "old", "states", "expected"),
    [
        ({}, (0, 1, 2), {}, [("delete", 2)]),
        ({}, (0, 1), {}, [("delete", 1)]),
        ({}, (0, 1), {2: "pending"}, []),
        ({}, (), {}, []),
        ({"partition": 2}, (0, 1, 2), {}, [("delete", 2)]),
        ({"partition": 2}, (0, 1), {}, []),
        ({"partition": 9}, (0, 1, 2), {}, []),
        ({"strategy": "OnDelete"}, (0, 1, 2), {}, []),
        ({"most": 2}, (0, 1, 2), {}, [("delete", 2), ("delete", 1)]),
        ({"most": "70%"}, (0, 1, 2), {}, [("delete", 2), ("delete", 1)]),
        ({"most": "10%"}, (0, 1, 2), {}, [("delete", 2)]),
        ({"most": 2, "podManagementPolicy": "Parallel"}, (0, 1), {2: "pending"}, [("delete", 1)]),
        ({"most": 1, "podManagementPolicy": "Parallel"}, (0, 1), {2: "pending"}, []),
        # what is broken anyway may be replaced at once
        ({"most": 1, "podManagementPolicy": "Parallel"}, (0, 1, 2), {0: "pending"},
         [("delete", 0)]),
        ({"podManagementPolicy": "Parallel"}, (0, 1, 2), {2: "pending"}, [("delete", 2)]),
    ],
)  # fmt: skip
def test_a_new_template(options, old, states, expected):
    owner = stateful_set(**options)
    pods = [pod(owner, n, OLD if n in old else NEW, state=states.get(n, "ready")) for n in range(3)]
    assert steps(owner, pods) == expected


@pytest.mark.parametrize(
    ("options", "number", "revision"),
    [
        ({"partition": 2}, 1, OLD), ({"partition": 2}, 2, NEW), ({"partition": 0}, 0, NEW),
        ({"strategy": "OnDelete"}, 0, NEW), ({"partition": 1, "start": 7}, 7, OLD),
    ],
)  # fmt: skip
def test_who_is_lost_during_a_rollout_comes_back_as_what(options, number, revision):
    owner = stateful_set(podManagementPolicy="Parallel", **options)
    found = plan(owner, [], {}, OLD, NEW, NOW)
    (made,) = [step.pod for step in found.steps if number_of(step.pod) == number]
    assert revision_of(made) == revision.name
    assert made.spec.containers == revision.template.spec.containers


def test_a_pod_has_its_names_its_labels_and_its_claims():
    owner = stateful_set(claims=("data", "logs"))
    (step,) = plan(owner, [], {}, NEW, NEW, NOW).steps
    made = step.pod
    assert made.metadata.name == "db-0"
    assert (made.spec.hostname, made.spec.subdomain) == ("db-0", "dbs")
    assert made.metadata.labels == {
        "app": "db",
        "statefulset.kubernetes.io/pod-name": "db-0",
        "apps.kubernetes.io/pod-index": "0",
        "controller-revision-hash": "db-new",
    }
    volumes = {v.name: v.persistentVolumeClaim.claimName for v in made.spec.volumes}
    assert volumes == {"data": "data-db-0", "logs": "logs-db-0"}
    assert [c.metadata.name for c in step.claims] == ["data-db-0", "logs-db-0"]
    assert step.claims[0].metadata.labels == {"app": "db"}
    assert step.claims[0].metadata.ownerReferences is None


def test_a_pod_that_lost_its_label_gets_it_back():
    owner = stateful_set(1)
    broken = pod(owner, 0)
    del broken.metadata.labels["statefulset.kubernetes.io/pod-name"]
    (step,) = plan(owner, [broken], {}, NEW, NEW, NOW).steps
    assert step.verb == "update"
    assert step.pod.metadata.labels["statefulset.kubernetes.io/pod-name"] == "db-0"


def test_a_claim_that_went_away_before_its_pod_ran_is_made_again():
    owner = stateful_set(1, claims=("data",))
    (step,) = plan(owner, [pod(owner, 0, state="pending")], {}, NEW, NEW, NOW).steps
    assert (step.verb, [c.metadata.name for c in step.claims]) == ("", ["data-db-0"])


def claim(number, *owners):
    references = [
        OwnerReference(apiVersion=api, kind=kind, name=name, uid=uid, controller=True)
        for api, kind, name, uid in owners
    ]
    metadata = ObjectMeta(name=f"data-db-{number}", ownerReferences=references or None)
    return PersistentVolumeClaim(metadata=metadata)


SET = ("apps/v1", "StatefulSet", "db", "set")
POD1 = ("v1", "Pod", "db-1", "pod-1-db-new")
OTHER = ("example.com/v1", "Thing", "x", "thing")


@pytest.mark.parametrize(
    ("keep", "replicas", "before", "after"),
    [
        (("Retain", "Retain"), 2, [], None),
        (("Retain", "Retain"), 2, [SET], []),
        (("Delete", "Retain"), 2, [], ["set"]),
        (("Delete", "Retain"), 2, [SET], None),
        (("Delete", "Retain"), 1, [SET], None),
        (("Retain", "Delete"), 2, [], None),
        (("Retain", "Delete"), 1, [], ["pod-1-db-new"]),
        (("Retain", "Delete"), 2, [POD1], []),
        (("Delete", "Delete"), 2, [], ["set"]),
        (("Delete", "Delete"), 1, [SET], ["pod-1-db-new"]),
        (("Delete", "Delete"), 2, [OTHER], None),
        (("Delete", "Delete"), 2, [OTHER, SET], ["thing"]),
        (("Retain", "Retain"), 2, [OTHER], None),
        # of a former set of that name: not ours to touch
        (("Delete", "Retain"), 2, [("apps/v1", "StatefulSet", "db", "former")], None),
    ],
)
def test_who_owns_a_claim(keep, replicas, before, after):
    owner = stateful_set(replicas, claims=("data",), keep=keep)
    right = [SET] if keep[0] == "Delete" else []
    pods = [pod(owner, 0), pod(owner, 1)]
    claims = {c.metadata.name: c for c in (claim(0, *right), claim(1, *before))}
    found = plan(owner, pods, claims, NEW, NEW, NOW)
    owners = [c for step in found.steps for c in step.owners]
    if after is None:
        assert owners == []
        return
    (changed,) = owners
    assert [r.uid for r in changed.metadata.ownerReferences or ()] == after
    assert all(r.controller for r in changed.metadata.ownerReferences or ())
    again = plan(owner, pods, {**claims, "data-db-1": changed}, NEW, NEW, NOW)
    assert not any(step.owners for step in again.steps)


def test_a_pod_waits_until_its_predecessors_claim_is_gone():
    owner = stateful_set(2, claims=("data",), keep=("Retain", "Delete"))
    leaving = claim(1, ("v1", "Pod", "db-1", "former"))
    assert steps(owner, [pod(owner, 0)], [claim(0), leaving]) == []
    assert steps(owner, [pod(owner, 0)], [claim(0)]) == [("create", 1)]


def test_a_pod_waits_until_a_claim_that_is_being_deleted_is_gone():
    owner = stateful_set(1, claims=("data",))
    leaving = claim(0)
    leaving.metadata.deletionTimestamp = rfc3339(NOW)
    assert steps(owner, [], [leaving]) == []
    assert steps(owner, [], []) == [("create", 0)]


def test_the_status_counts():
    owner = stateful_set(4, minReadySeconds=10, podManagementPolicy="Parallel")
    pods = [
        pod(owner, 0, OLD, since=60),
        pod(owner, 1, NEW, since=4),
        pod(owner, 2, NEW, state="pending"),
        pod(owner, 3, OLD, state="leaving", since=60),
    ]
    found = plan(owner, pods, {}, OLD, NEW, NOW)
    status = found.status
    assert (status.replicas, status.readyReplicas, status.availableReplicas) == (4, 3, 2)
    assert (status.currentReplicas, status.updatedReplicas) == (1, 2)
    assert (status.currentRevision, status.updateRevision) == ("db-old", "db-new")
    assert (status.observedGeneration, status.collisionCount) == (2, 0)
    assert found.check_after == 6.0


def test_the_last_pod_of_a_rollout_makes_the_new_revision_the_current_one():
    owner = stateful_set(2)
    status = plan(owner, [pod(owner, 0), pod(owner, 1)], {}, OLD, NEW, NOW).status
    assert (status.currentRevision, status.currentReplicas) == ("db-new", 2)


STATES = st.sampled_from(["ready", "pending", "failed", "succeeded", "leaving", "notready"])


@settings(max_examples=150, deadline=None)
@given(
    begin=st.dictionaries(st.integers(0, 6), st.tuples(STATES, st.booleans())),
    replicas=st.integers(0, 5),
    start=st.integers(0, 2),
    policy=st.sampled_from(["OrderedReady", "Parallel"]),
    strategy=st.sampled_from([{}, {"partition": 1}, {"most": 2}, {"strategy": "OnDelete"}]),
)
def test_it_always_gets_there_and_then_stays(begin, replicas, start, policy, strategy):
    """Whatever there is, with nodes that do their part the wanted pods come about, and no more."""
    owner = stateful_set(replicas, start=start, podManagementPolicy=policy, **strategy)
    pods = {n: pod(owner, n, OLD if old else NEW, state=s) for n, (s, old) in begin.items()}
    for _ in range(60):
        found = plan(owner, list(pods.values()), {}, OLD, NEW, NOW)
        if policy == "OrderedReady" and "most" not in strategy:
            assert sum(bool(step.verb) for step in found.steps) <= 1
        owner.status = found.status
        for step in found.steps:
            number = number_of(step.pod)
            if step.verb == "create":
                assert number not in pods
                revision = OLD if revision_of(step.pod) == OLD.name else NEW
                pods[number] = pod(owner, number, revision, state="pending")
            elif step.verb == "delete":
                pods[number] = pod(owner, number, state="leaving")
        if not found.steps:
            # nodes: what leaves is gone, everything else gets ready
            leaving = {n for n, p in pods.items() if p.metadata.deletionTimestamp is not None}
            revisions = {n: OLD if revision_of(p) == OLD.name else NEW for n, p in pods.items()}
            waiting = {n for n, p in pods.items() if found_unready(p)}
            if not leaving and not waiting:
                break
            pods = {n: pod(owner, n, revisions[n]) for n in pods if n not in leaving}
    assert sorted(pods) == list(range(start, start + replicas))
    if strategy.get("strategy") != "OnDelete":
        untouched = strategy.get("partition", 0)
        assert all(revision_of(pods[n]) == NEW.name for n in sorted(pods)[untouched:])


def found_unready(one):
    return one.status.conditions[0].status != "True"
