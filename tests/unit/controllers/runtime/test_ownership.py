"""Whose an object is."""

from __future__ import annotations

import pytest

from kybern.api import selectors
from kybern.api.apps.v1 import ReplicaSet
from kybern.api.core.v1 import Pod
from kybern.api.meta.v1 import ObjectMeta, OwnerReference
from kybern.controllers.runtime.ownership import controller_of, reference_to, sort_out

OWNER = ReplicaSet(metadata=ObjectMeta(name="rs", namespace="default", uid="me"))
DYING = ReplicaSet(
    metadata=ObjectMeta(name="rs", namespace="default", uid="me", deletionTimestamp="now")
)
SELECTOR = selectors.parse("app=web")


def pod(owner="", labels="web", deleting=False, controller=True) -> Pod:
    reference = OwnerReference(kind="ReplicaSet", name="x", uid=owner, controller=controller)
    return Pod(
        metadata=ObjectMeta(
            name="p",
            labels={"app": labels},
            ownerReferences=[reference] if owner else None,
            deletionTimestamp="now" if deleting else None,
        )
    )


@pytest.mark.parametrize(
    ("owner", "candidate", "verdict"),
    [
        (OWNER, pod("me"), "owned"),
        (OWNER, pod("me", deleting=True), "owned"),
        (OWNER, pod("me", "other"), "release"),
        (OWNER, pod("other"), None),
        (OWNER, pod(), "adopt"),
        (OWNER, pod("other", controller=False), "adopt"),
        (OWNER, pod(labels="other"), None),
        (OWNER, pod(deleting=True), None),
        (DYING, pod(), None),
        (DYING, pod("me", "other"), None),
        (DYING, pod("me"), "owned"),
    ],
)
def test_verdicts(owner, candidate, verdict):
    claim = sort_out(owner, SELECTOR, [candidate])
    found = [name for name in ("owned", "adopt", "release") if getattr(claim, name)]
    assert found == ([verdict] if verdict else [])


def test_references():
    reference = reference_to(OWNER)
    assert (reference.apiVersion, reference.kind, reference.name) == ("apps/v1", "ReplicaSet", "rs")
    assert reference.controller is True
    assert reference.blockOwnerDeletion is True
    assert controller_of(pod("me")).uid == "me"
    assert controller_of(pod("me", controller=False)) is None
