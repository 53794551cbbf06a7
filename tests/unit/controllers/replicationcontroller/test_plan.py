"""A ReplicationController is a ReplicaSet under an older name."""

from __future__ import annotations

from kybern.api.apps.v1 import ReplicaSetCondition, ReplicaSetStatus
from kybern.api.core.v1 import ReplicationController, ReplicationControllerSpec
from kybern.controllers.replicationcontroller.plan import selector, status


def test_the_selector_is_a_map():
    chosen = selector(
        ReplicationController(spec=ReplicationControllerSpec(selector={"app": "web"}))
    )
    assert chosen.matches({"app": "web", "more": "yes"})
    assert not chosen.matches({"app": "db"})


def test_without_a_selector_it_selects_nothing():
    chosen = selector(ReplicationController())
    assert not chosen.everything
    assert not chosen.matches({})


def test_the_status_keeps_everything_but_pods_on_their_way_out():
    failure = ReplicaSetCondition(type="ReplicaFailure", status="True", reason="FailedCreate")
    found = status(
        ReplicaSetStatus(
            replicas=3, readyReplicas=2, availableReplicas=1, fullyLabeledReplicas=3,
            terminatingReplicas=4, observedGeneration=5, conditions=[failure],
        )
    )  # fmt: skip
    assert (found.replicas, found.readyReplicas, found.availableReplicas) == (3, 2, 1)
    assert (found.fullyLabeledReplicas, found.observedGeneration) == (3, 5)
    assert [(c.type, c.status, c.reason) for c in found.conditions] == [
        ("ReplicaFailure", "True", "FailedCreate")
    ]
    assert not hasattr(found, "terminatingReplicas")
