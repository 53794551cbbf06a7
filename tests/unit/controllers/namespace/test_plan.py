"""What the deletion of a namespace tells about itself."""

from __future__ import annotations

from collections import Counter

from kybern.api.core.v1 import Namespace
from kybern.api.scheme import SCHEME
from kybern.client.metadata import Partial, PartialMetadata
from kybern.controllers.namespace.plan import (
    Findings,
    Remaining,
    conditions,
    order,
    pause,
    remains,
)

NOW = 1_800_000_000.0
PODS = SCHEME.by_resource("", "v1", "pods")
DEPLOYMENTS = SCHEME.by_resource("apps", "v1", "deployments")


def told(found: Findings) -> dict[str, tuple[str, str, str]]:
    listed = conditions(Namespace(), found, NOW)
    return {c.type: (c.status, c.reason, c.message) for c in listed}


def test_pods_come_first():
    first, others = order(SCHEME.kinds)
    assert first == [PODS]
    assert DEPLOYMENTS in others
    assert all(kind.namespaced for kind in others)
    assert not any(kind.plural in ("bindings", "nodes") for kind in others)


def test_everything_is_fine():
    assert told(Findings()) == {
        "NamespaceDeletionDiscoveryFailure": (
            "False", "ResourcesDiscovered", "All resources successfully discovered",
        ),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False", "ParsedGroupVersions", "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            "False", "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": (
            "False", "ContentRemoved", "All content successfully removed",
        ),
        "NamespaceFinalizersRemaining": (
            "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished",
        ),
    }  # fmt: skip
    assert Findings().done


def test_what_is_left_is_named():
    found = Findings(
        remaining=[
            Remaining(PODS, 2, Counter({"example.com/a": 1}), 15.0),
            Remaining(DEPLOYMENTS, 1, Counter({"example.com/a": 1, "example.com/b": 1}), 15.0),
        ]
    )
    assert told(found)["NamespaceContentRemaining"] == (
        "True", "SomeResourcesRemain",
        "Some resources are remaining: deployments.apps has 1 resource instances, "
        "pods. has 2 resource instances",
    )  # fmt: skip
    assert told(found)["NamespaceFinalizersRemaining"] == (
        "True", "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: "
        "example.com/a in 2 resource instances, example.com/b in 1 resource instances",
    )  # fmt: skip
    assert found.estimate == 15.0
    assert not found.done


def test_failures_are_named():
    found = Findings(undiscovered=[("metrics.k8s.io/v1beta1", "stale GroupVersion discovery")])
    found.errors.append("no")
    assert told(found)["NamespaceDeletionDiscoveryFailure"] == (
        "True", "DiscoveryFailed",
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of "
        "server APIs: metrics.k8s.io/v1beta1: stale GroupVersion discovery",
    )  # fmt: skip
    assert told(found)["NamespaceDeletionContentFailure"] == (
        "True", "ContentDeletionFailed", "Failed to delete all resource types, 1 remaining: no",
    )  # fmt: skip


def test_times_stay_while_the_status_does():
    namespace = Namespace()
    namespace.status.conditions = conditions(namespace, Findings(), NOW)
    later = conditions(namespace, Findings(errors=["no"]), NOW + 60)
    moved = {c.type for c in later if c.lastTransitionTime != "2027-01-15T08:00:00Z"}
    assert moved == {"NamespaceDeletionContentFailure"}


def test_how_long_to_wait():
    assert remains(PODS, []) is None
    graceful = Partial(metadata=PartialMetadata(name="a", deletionGracePeriodSeconds=30))
    held = Partial(metadata=PartialMetadata(name="b", finalizers=["x", "y"]))
    assert remains(PODS, [graceful]).estimate == 30
    rest = remains(PODS, [held])
    assert (rest.count, rest.estimate, dict(rest.finalizers)) == (1, 15.0, {"x": 1, "y": 1})
    assert remains(PODS, [Partial()]).estimate == 1.0


def test_the_first_looks_follow_soon_unless_pods_are_left():
    held = Partial(metadata=PartialMetadata(name="b", finalizers=["x"]))
    found = Findings(remaining=[remains(DEPLOYMENTS, [held])])
    assert [pause(found, looks) for looks in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 8.5, 8.5]
    graceful = Partial(metadata=PartialMetadata(name="a", deletionGracePeriodSeconds=30))
    assert pause(Findings(remaining=[remains(PODS, [graceful])]), 0) == 16
