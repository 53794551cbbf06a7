"""What the node says about itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from kybern.api.core.v1 import Node, NodeSpec, NodeStatus
from kybern.api.meta.v1 import ObjectMeta
from kybern.kubelet.config import KubeletConfig
from kybern.kubelet.node import facts
from kybern.kubelet.node.conditions import Measured, node_conditions, ready
from kybern.kubelet.node.registration import (
    allocatable,
    base_status,
    capacity,
    label_changes,
    new_node,
    parse_taint,
)
from kybern.kubelet.runtime.messages.service import RuntimeCondition

MACHINE = facts.Machine(
    "vm", "192.0.2.7", 4, 8 << 30, 100 << 30, 1000, {"2Mi": 4 << 20}, 0, "amd64", "6.1", "Debian",
    "m", "s", "b",
)  # fmt: skip
CONFIG = KubeletConfig(
    "one", Path("/d"), "", labels={"disk": "ssd"}, taints=("a=b:NoSchedule",),
    reserved={"cpu": "500m", "memory": "1Gi"},
)  # fmt: skip
FINE = Measured(1 << 30, 50, 100, 500, 1000, 100, 1000)


def test_resources() -> None:
    assert capacity(MACHINE, CONFIG) == {
        "cpu": "4",
        "memory": "8388608Ki",
        "ephemeral-storage": "104857600Ki",
        "pods": "110",
        "hugepages-2Mi": "4194304",
    }
    found = allocatable(MACHINE, CONFIG)
    assert found["cpu"] == "3500m"
    assert found["memory"] == "7164Mi"


def test_the_node_as_it_is_created() -> None:
    status = base_status(MACHINE, CONFIG, "containerd://1", ("192.0.2.7",), 10250)
    node = new_node(MACHINE, CONFIG, status)
    labels = node.metadata.labels or {}
    assert labels["disk"] == "ssd"
    assert labels["kubernetes.io/arch"] == "amd64"
    assert node.spec.podCIDRs == ["10.244.0.0/24"]
    assert [(t.key, t.value, t.effect) for t in node.spec.taints or ()] == [
        ("a", "b", "NoSchedule")
    ]
    assert status.daemonEndpoints is not None
    assert status.daemonEndpoints.kubeletEndpoint is not None
    assert status.daemonEndpoints.kubeletEndpoint.Port == 10250


def test_an_old_node_gets_what_it_lacks() -> None:
    node = new_node(MACHINE, CONFIG, NodeStatus())
    assert label_changes(node, MACHINE, CONFIG) == {}
    old = Node(metadata=ObjectMeta(labels={"mine": "x", "disk": "hdd"}), spec=NodeSpec())
    changes = label_changes(old, MACHINE, CONFIG)
    assert changes["metadata"]["labels"]["disk"] == "ssd"
    assert "mine" not in changes["metadata"]["labels"]
    assert changes["spec"]["podCIDR"] == "10.244.0.0/24"


def test_taints_are_parsed() -> None:
    assert parse_taint("k:NoExecute").value is None
    for bad in ("k", "k=v", "k=v:Never", ":NoSchedule"):
        with pytest.raises(ValueError, match="is no taint"):
            parse_taint(bad)


def test_conditions() -> None:
    works = [RuntimeCondition("RuntimeReady", True), RuntimeCondition("NetworkReady", True)]
    first = node_conditions(FINE, works, (), 0.0)
    assert [(c.type, c.status, c.reason) for c in first] == [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID"),
        ("Ready", "True", "KubeletReady"),
    ]
    tight = Measured(1 << 20, 5, 100, 10, 1000, 995, 1000)
    later = node_conditions(tight, works, first, 60.0)
    assert [c.status for c in later] == ["True", "True", "True", "True"]
    assert later[0].lastTransitionTime == "1970-01-01T00:01:00Z"
    assert later[3].lastTransitionTime == "1970-01-01T00:00:00Z"
    assert later[3].lastHeartbeatTime == "1970-01-01T00:01:00Z"


def test_a_broken_runtime_makes_the_node_unready() -> None:
    assert ready(None).message == "container runtime is down"
    broken = RuntimeCondition("NetworkReady", False, "NetworkPluginNotReady", "no config")
    assert ready([broken]).message == (
        "container runtime network not ready: NetworkReady=false "
        "reason:NetworkPluginNotReady message:no config"
    )


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    machine = facts.read_machine(tmp_path / "not" / "there")
    assert machine.cpus > 0
    assert machine.memory > 1 << 20
    assert machine.disk > 0
    assert machine.boot_id
    assert 0 < facts.memory_available() <= machine.memory
    now, limit = facts.processes()
    assert 0 < now < limit
