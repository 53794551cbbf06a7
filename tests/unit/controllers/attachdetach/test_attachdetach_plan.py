"""Where a volume goes, and from where it is taken."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api.core.v1 import (
    AttachedVolume,
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    PersistentVolume,
    PersistentVolumeSpec,
    Pod,
    Taint,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.attachdetach.plan import (
    EXCLUSIVE,
    LONGEST_WAIT,
    Place,
    Plan,
    is_shared,
    matters,
    place_of,
    plan,
    promises,
    wants,
)

NOW = 1000.0


def pod(name: str = "p", namespace: str = "default", created: str = "2026-01-01T00:00:00Z") -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace=namespace, creationTimestamp=created))


def decide(*places: Place, shared: bool = False, known: Any = frozenset()) -> Plan:
    return plan("v", places, shared=shared, known=known, now=NOW)


def here(**facts: Any) -> Place:
    return Place("a", attachment=True, **facts)


LATE = NOW - LONGEST_WAIT


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (here(pods=(pod(),), in_use=True, promised=True), Plan()),
        (here(leaving=True), Plan()),
        (Place("a"), Plan()),
        (here(promised=True), Plan(withdraw=("a",))),
        (here(), Plan(detach=("a",))),
        # Whoever uses it keeps it while its node is healthy, for however long.
        (here(in_use=True, promised=True, unwanted_since=LATE - 1), Plan()),
        (here(in_use=True, ready=False, unwanted_since=None), Plan(wait=LONGEST_WAIT)),
        (here(in_use=True, ready=False, unwanted_since=LATE + 5), Plan(wait=5.0)),
        (here(in_use=True, ready=False, promised=True, unwanted_since=LATE), Plan(withdraw=("a",))),
        (here(in_use=True, ready=False, unwanted_since=LATE), Plan(force=("a",))),
        (here(in_use=True, out_of_service=True, promised=True), Plan(withdraw=("a",))),
        (here(in_use=True, out_of_service=True), Plan(force=("a",))),
        (here(exists=False), Plan(force=("a",))),
        (here(exists=False, pods=(pod(),)), Plan(force=("a",))),
        (Place("a", (pod(),)), Plan(attach=("a",))),
        (Place("a", (pod(),), exists=False), Plan()),
        # It comes back only when it has left.
        (here(leaving=True, pods=(pod(),)), Plan()),
    ],
)
def test_one_node(place: Place, expected: Plan) -> None:
    assert decide(place) == expected


def test_a_volume_for_one_node_goes_to_whose_pod_was_first() -> None:
    late = Place("a", (pod("late", created="2026-01-02T00:00:00Z"),))
    early = Place("b", (pod("early"),))
    found = decide(late, early)
    assert (found.attach, found.blocked) == (("b",), ("a",))
    assert decide(late, early, shared=True).attach == ("a", "b")


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (Place("b", (), attachment=True), EXCLUSIVE),
        (Place("b", (), attachment=True, leaving=True), EXCLUSIVE),
        (Place("b", (pod("x"), pod("y")), attachment=True), "already used by pod(s) x, y"),
        (Place("b", (pod("x", "n"),), attachment=True), "used by 1 pod(s) in different namespaces"),
        (
            Place("b", (pod("x"), pod("y", "n")), attachment=True),
            "used by pod(s) x and 1 pod(s) in different namespaces",
        ),
    ],
)
def test_a_volume_is_never_on_two_nodes(other: Place, text: str) -> None:
    waiting = Place("a", (pod(),))
    found = decide(waiting, other)
    assert (found.attach, found.blocked) == ((), ("a",))
    assert [each.pod for each in found.told] == list(waiting.pods)
    assert found.told[0].message.startswith('Multi-Attach error for volume "v" Volume is already ')
    assert found.told[0].message.endswith(text)
    assert decide(waiting, other, known={"a"}).told == ()
    assert decide(waiting, other, shared=True).attach == ("a",)


def volume(*modes: str) -> PersistentVolume:
    return PersistentVolume(spec=PersistentVolumeSpec(accessModes=list(modes)))


@pytest.mark.parametrize(
    ("modes", "shared"),
    [
        ((), True), (("ReadWriteOnce",), False), (("ReadWriteOncePod",), False),
        (("ReadWriteMany",), True), (("ReadOnlyMany", "ReadWriteOnce"), True),
    ],
)  # fmt: skip
def test_access_modes_say_who_shares(modes: tuple[str, ...], shared: bool) -> None:
    assert is_shared([volume(*modes)]) is shared


def node(**facts: Any) -> Node:
    ready = NodeCondition(type="Ready", status=facts.pop("ready", "True"))
    taints = [Taint(key=facts["taint"], effect="NoExecute")] if facts.get("taint") else None
    return Node(
        metadata=ObjectMeta(name="a", annotations=facts.get("annotations")),
        spec=NodeSpec(taints=taints),
        status=NodeStatus(
            conditions=[ready],
            volumesInUse=facts.get("in_use"),
            volumesAttached=[AttachedVolume(name=each) for each in facts.get("attached", ())],
        ),
    )


def ended(phase: str = "", deleted: bool = False, states: Any = ()) -> Pod:
    statuses = [{"name": "c", "state": state} for state in states]
    from kybern.api import codec

    tree = {
        "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {},
        "status": {"phase": phase, "containerStatuses": statuses},
    }
    return codec.from_tree(tree, Pod)


RUNNING: Any = {"running": {}}
OVER: Any = {"terminated": {"exitCode": 0}}


@pytest.mark.parametrize(
    ("it", "wanted"),
    [
        (ended(), True), (ended("Running", states=[RUNNING]), True),
        (ended("Succeeded"), False), (ended("Failed"), False),
        (ended("Running", deleted=True, states=[RUNNING]), True),
        (ended("Running", deleted=True, states=[RUNNING, OVER]), True),
        (ended("Running", deleted=True, states=[OVER, {"waiting": {}}]), False),
        (ended("Pending", deleted=True), False),
    ],
)  # fmt: skip
def test_a_pod_wants_its_volumes_until_it_has_ended(it: Pod, wanted: bool) -> None:
    assert wants(it, node()) is wanted
    keeps = node(annotations={"volumes.kubernetes.io/keep-terminated-pod-volumes": "true"})
    assert wants(it, keeps)


def test_what_a_node_says() -> None:
    found = node(in_use=["n"], attached=["n"], ready="Unknown", taint="x")
    place = place_of("a", found, "n", [pod()], attachment=True, leaving=False, unwanted_since=1.0)
    assert place.promised
    assert place.in_use
    assert not place.ready
    assert not place.out_of_service
    assert place.unwanted_since == 1.0
    other = place_of("a", found, "m", [], attachment=True, leaving=False, unwanted_since=None)
    assert not other.promised
    assert not other.in_use
    gone = place_of("a", None, "n", [], attachment=True, leaving=False, unwanted_since=None)
    assert not gone.exists
    down = node(taint="node.kubernetes.io/out-of-service")
    place = place_of("a", down, "n", [], attachment=True, leaving=False, unwanted_since=None)
    assert place.out_of_service


def test_what_a_node_may_rely_on() -> None:
    found = node(attached=["x", "y"])
    assert promises(found, ["y", "x"], frozenset()) is None
    assert promises(found, ["y", "x"], {"y"}) == [AttachedVolume(name="x", devicePath="")]
    assert promises(found, [], frozenset()) == []


def test_what_matters_about_a_node() -> None:
    assert not matters(node(), node(annotations={"a": "b"}))
    assert matters(node(), node(in_use=["x"]))
    assert matters(node(), node(attached=["x"]))
    assert matters(node(), node(ready="False"))
    assert matters(node(), node(taint="t"))
