"""How many pods, which of them go, and what the status says."""

from __future__ import annotations

import pytest

from kybern.api.apps.v1 import ReplicaSet, ReplicaSetCondition, ReplicaSetSpec
from kybern.api.core.v1 import (
    ContainerStatus,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
)
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.controllers.replicaset.plan import (
    BURST,
    Failure,
    changed,
    new_pod,
    plan,
    rank,
    status,
)
from kybern.lib.clock import rfc3339

NOW = 1_800_000_000.0


def replica_set(replicas: int | None = 3, **spec) -> ReplicaSet:
    template = PodTemplateSpec(
        metadata=ObjectMeta(
            labels={"app": "web"}, annotations={"a": "b"}, finalizers=["example.com/f"]
        )
    )
    return ReplicaSet(
        metadata=ObjectMeta(name="web-1", namespace="default", uid="rs", generation=4),
        spec=ReplicaSetSpec(
            replicas=replicas,
            selector=LabelSelector(matchLabels={"app": "web"}),
            template=template,
            **spec,
        ),
    )


def pod(
    name: str,
    *,
    node: str = "n1",
    phase: str = "Running",
    ready: float | None = 0.0,
    age: float = 0.0,
    cost: str | None = None,
    restarts: int = 0,
    deleting: bool = False,
    labels: dict[str, str] | None = None,
) -> Pod:
    """A pod; `ready` is for how many seconds it has been, None for not at all."""
    state = "False" if ready is None else "True"
    since = rfc3339(NOW - (ready or 0.0))
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=name,
            creationTimestamp=rfc3339(NOW - age),
            deletionTimestamp=rfc3339(NOW) if deleting else None,
            labels={"app": "web"} if labels is None else labels,
            annotations={"controller.kubernetes.io/pod-deletion-cost": cost} if cost else None,
        ),
        spec=PodSpec(nodeName=node or None),
        status=PodStatus(
            phase=phase,
            conditions=[PodCondition(type="Ready", status=state, lastTransitionTime=since)],
            containerStatuses=[ContainerStatus(restartCount=restarts)],
        ),
    )


@pytest.mark.parametrize(
    ("wanted", "have", "create", "delete"),
    [(3, 0, 3, 0), (3, 3, 0, 0), (3, 5, 0, 2), (0, 2, 0, 2), (None, 0, 1, 0), (2000, 0, BURST, 0)],
)
def test_how_many(wanted, have, create, delete):
    pods = [pod(f"p{n}") for n in range(have)]
    steps = plan(replica_set(wanted), pods, lambda: pods, NOW)
    assert (steps.create, len(steps.delete)) == (create, delete)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pod("z", node=""), pod("a")),
        (pod("z", phase="Pending", ready=None), pod("a", ready=None)),
        (pod("z", phase="Unknown"), pod("a")),
        (pod("z", ready=None), pod("a")),
        (pod("z", cost="-5"), pod("a")),
        (pod("z"), pod("a", cost="5")),
        (pod("z", cost="nonsense"), pod("a", cost="1")),
        (pod("z", ready=10), pod("a", ready=10_000)),
        (pod("z", ready=100, restarts=3), pod("a", ready=100)),
        (pod("z", ready=100, age=200), pod("a", ready=100, age=90_000)),
        (pod("a"), pod("b")),  # chance, that is the uid
    ],
)
def test_who_goes_first(first, second):
    for pods in ([first, second], [second, first]):
        assert rank(pods, pods, NOW) == [first, second]


def test_pods_that_share_a_node_with_relatives_go_first():
    alone, crowded = pod("a", node="n1"), pod("z", node="n2")
    related = [alone, crowded, pod("sibling", node="n2")]
    assert rank([alone, crowded], related, NOW) == [crowded, alone]


def test_readiness_counts_by_order_of_magnitude():
    # 1000 and 1010 seconds are the same to us: then restarts decide, not the ten seconds.
    assert (
        rank([pod("a", ready=1000), pod("b", ready=1010, restarts=1)], [], NOW)[0].metadata.name
        == "b"
    )


def test_a_new_pod_is_the_template():
    made = new_pod(replica_set())
    assert made.metadata.generateName == "web-1-"
    assert made.metadata.name is None
    assert made.metadata.labels == {"app": "web"}
    assert made.metadata.annotations == {"a": "b"}
    assert made.metadata.finalizers == ["example.com/f"]
    owner = made.metadata.ownerReferences[0]
    assert (owner.kind, owner.name, owner.uid, owner.controller) == (
        "ReplicaSet", "web-1", "rs", True,
    )  # fmt: skip


def test_the_status_counts():
    pods = [
        pod("a", ready=100),
        pod("b", ready=5),
        pod("c", ready=None),
        pod("d", ready=100, deleting=True),
        pod("e", phase="Failed", ready=None),
        pod("f", ready=100, labels={"app": "web", "more": "x"}),
        pod("g", ready=100, labels={}),
    ]
    found = status(replica_set(minReadySeconds=30), pods, NOW, None)
    one = found.status
    assert (one.replicas, one.fullyLabeledReplicas) == (5, 4)
    assert (one.readyReplicas, one.availableReplicas) == (4, 3)
    assert (one.terminatingReplicas, one.observedGeneration) == (1, 4)
    assert found.check_after == 25.0


def test_zeros_are_left_out_but_replicas():
    from kybern.api import codec

    one = status(replica_set(), [], NOW, None).status
    assert codec.to_tree(one) == {"replicas": 0, "observedGeneration": 4, "terminatingReplicas": 0}


def test_failures_are_reported_once_and_taken_back():
    owner = replica_set()
    failure = Failure("FailedCreate", "exceeded quota")
    owner.status = status(owner, [], NOW, failure).status
    condition = owner.status.conditions[0]
    assert (condition.type, condition.status, condition.reason, condition.message) == (
        "ReplicaFailure", "True", "FailedCreate", "exceeded quota",
    )  # fmt: skip
    later = status(owner, [], NOW + 60, Failure("FailedCreate", "other words"))
    assert not changed(owner, later.status)
    owner.status.conditions.append(ReplicaSetCondition(type="Other", status="True"))
    after = status(owner, [], NOW + 120, None).status
    assert [c.type for c in after.conditions] == ["Other"]
