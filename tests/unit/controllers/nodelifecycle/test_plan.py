"""Taints, zones, and when a node was last heard of."""

from __future__ import annotations

import pytest

from kybern.api.coordination.v1 import Lease, LeaseSpec
from kybern.api.core.v1 import Node, NodeCondition, NodeSpec, NodeStatus, Taint
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.nodelifecycle.health import Healths
from kybern.controllers.nodelifecycle.plan import silent_conditions, taints, wanted_execute
from kybern.controllers.nodelifecycle.zones import Limiter, Rates, ZoneState, state, zone_of

NOW = 1_800_000_000.0


def node(ready="True", *, heartbeat="1", spec=None, **others) -> Node:
    conditions = [NodeCondition(type="Ready", status=ready, lastHeartbeatTime=heartbeat)]
    conditions += [NodeCondition(type=kind, status=status) for kind, status in others.items()]
    return Node(
        metadata=ObjectMeta(name="n"),
        spec=spec or NodeSpec(),
        status=NodeStatus(conditions=conditions if ready is not None else None),
    )


def ids(found):
    return None if found is None else {(t.key.split("/")[1], t.effect) for t in found}


@pytest.mark.parametrize(
    ("one", "execute", "want"),
    [
        (node(), None, None),
        (node("False"), "not-ready", {("not-ready", "NoSchedule"), ("not-ready", "NoExecute")}),
        (node("False"), None, {("not-ready", "NoSchedule")}),
        (node("Unknown"), None, {("unreachable", "NoSchedule")}),
        (node(MemoryPressure="True"), None, {("memory-pressure", "NoSchedule")}),
        (node(MemoryPressure="Unknown"), None, None),
        (node(NetworkUnavailable="True"), None, {("network-unavailable", "NoSchedule")}),
        (node(PIDPressure="True", DiskPressure="True"), None,
         {("pid-pressure", "NoSchedule"), ("disk-pressure", "NoSchedule")}),
        (node(spec=NodeSpec(unschedulable=True)), None, {("unschedulable", "NoSchedule")}),
        (node(None), None, None),
    ],
)  # fmt: skip
def test_taints(one, execute, want):
    key = f"node.kubernetes.io/{execute}" if execute else None
    assert ids(taints(one, key, NOW)) == want


def test_taints_of_others_stay_and_ours_go():
    mine = Taint(key="example.com/x", effect="NoExecute")
    ours = Taint(key="node.kubernetes.io/not-ready", effect="NoExecute", timeAdded="t")
    foreign = Taint(key="node.kubernetes.io/not-ready", effect="PreferNoSchedule")
    one = node(spec=NodeSpec(taints=[mine, ours, foreign]))
    assert taints(one, None, NOW) == [mine, foreign]
    one = node("False", spec=NodeSpec(taints=[mine, ours]))
    found = taints(one, "node.kubernetes.io/not-ready", NOW)
    assert found[:2] == [mine, ours]  # with its old time
    assert found[2].timeAdded == "2027-01-15T08:00:00Z"


def test_which_taint_drives_off():
    assert wanted_execute(node("True")) is None
    assert wanted_execute(node(None)) is None
    assert wanted_execute(node("False")).endswith("not-ready")
    assert wanted_execute(node("Unknown")).endswith("unreachable")


def test_conditions_of_the_silent():
    found = {c.type: c for c in silent_conditions(node("False", MemoryPressure="Unknown"), NOW)}
    assert set(found) == {"Ready", "DiskPressure", "PIDPressure"}
    assert (found["Ready"].reason, found["Ready"].lastHeartbeatTime) == ("NodeStatusUnknown", "1")
    assert found["DiskPressure"].reason == "NodeStatusNeverUpdated"


@pytest.mark.parametrize(
    ("ready", "not_ready", "want"),
    [
        (3, 0, ZoneState.NORMAL),
        (0, 0, ZoneState.NORMAL),
        (0, 1, ZoneState.FULL),
        (1, 2, ZoneState.NORMAL),
        (2, 3, ZoneState.PARTIAL),
        (3, 3, ZoneState.NORMAL),
    ],
)
def test_zone_states(ready, not_ready, want):
    assert state(ready, not_ready, 0.55) is want


def test_rates():
    limiter = Limiter(Rates(normal=0.1, partial=0.01, threshold=0.55, big=50))
    limiter.update({"a": (3, 1), "b": (0, 4), "c": (20, 40), "d": (2, 5)})
    assert [limiter.rate(zone) for zone in "abcd"] == [0.1, 0.1, 0.01, 0.0]
    assert not limiter.all_down
    limiter.update({"a": (0, 1), "b": (0, 4)})
    assert limiter.all_down
    assert limiter.wait("a", NOW) is None


def test_turns():
    limiter = Limiter(Rates(normal=0.1, partial=0.01, threshold=0.55, big=50))
    limiter.update({"a": (3, 2)})
    assert limiter.wait("a", NOW) == 0
    assert limiter.wait("a", NOW + 4) == 6
    assert limiter.wait("a", NOW + 10) == 0
    limiter.give_back("a")
    assert limiter.wait("a", NOW + 11) == 0


def test_signs_of_life():
    healths = Healths()
    healths.saw_node(node(), 0)
    assert healths.get("n", 99).heard_at == 0
    healths.saw_node(node(), 10)
    assert healths.get("n", 99).heard_at == 0
    healths.saw_node(node(heartbeat="2"), 20)
    assert healths.get("n", 99).heard_at == 20
    lease = Lease(metadata=ObjectMeta(name="n"), spec=LeaseSpec(renewTime="x"))
    healths.saw_lease(lease, 30)
    healths.saw_lease(lease, 40)
    assert healths.get("n", 99).heard_at == 30
    healths.saw_node(node("Unknown", heartbeat="3"), 50)
    assert healths.get("n", 99).heard_at == 30
    healths.pardon(60)
    assert healths.get("n", 99).heard_at == 60
    healths.forget("n")
    assert healths.get("n", 99).heard_at == 99


def test_zones():
    one = node()
    assert zone_of(one) == "/"
    one.metadata.labels = {
        "topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z",
    }  # fmt: skip
    assert zone_of(one) == "r/z"
