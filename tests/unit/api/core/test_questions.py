"""Questions one asks of pods, services and nodes."""

from __future__ import annotations

import pytest
from tests.unit.api.objects import container, make, pod

from kybern.api.core import nodes, pods, services
from kybern.api.core.v1 import NodeCondition, PodCondition, Taint, Toleration

NOW, THEN = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"


def asking(name="c", policy=None, limits=None, **requests):
    resources = {"requests": requests} | ({"limits": limits} if limits else {})
    found = {"name": name, "image": "i", "resources": resources}
    return found | ({"restartPolicy": policy} if policy else {})


def spec_of(containers, init=(), **fields):
    tree = {"containers": list(containers), "initContainers": list(init), **fields}
    return make("v1/Pod", {"spec": tree}).spec


def amounts(found):
    return {name: str(quantity) for name, quantity in found.items()}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (spec_of([asking(cpu="100m"), asking("d", cpu="200m")]), {"cpu": "300m"}),
        (spec_of([asking(cpu="1")], [asking("i", cpu="3"), asking("j", cpu="2")]), {"cpu": "3"}),
        (spec_of([asking(cpu="4")], [asking("i", cpu="3")]), {"cpu": "4"}),
        (
            spec_of([asking(cpu="1")], [asking("s", "Always", cpu="2"), asking("i", cpu="4")]),
            {"cpu": "6"},
        ),
        (
            spec_of([asking(cpu="1")], [asking("i", cpu="2"), asking("s", "Always", cpu="2")]),
            {"cpu": "3"},
        ),
        (spec_of([asking(cpu="1")], overhead={"cpu": "250m"}), {"cpu": "1250m"}),
        (
            spec_of([asking(cpu="1")], resources={"requests": {"cpu": "2", "memory": "1Gi"}}),
            {"cpu": "2", "memory": "1Gi"},
        ),
        (spec_of([asking()]), {}),
    ],
)
def test_what_a_pod_requests(spec, expected):
    assert amounts(pods.requests(spec)) == expected


def test_requests_as_integers():
    one = spec_of([asking(cpu="100m", memory="1Ki", **{"example.com/gpu": "2"})])
    assert pods.fit(one) == (100, 1024, 0, {"example.com/gpu": 2})
    both = spec_of([asking(cpu="100m"), asking("d", memory="1Ki")])
    assert pods.fit(both) == (100, 1024, 0, {})
    assert pods.fit(spec_of([asking()])) == (0, 0, 0, {})


def test_limits_count_overhead_only_where_there_are_any():
    spec = spec_of([asking(limits={"cpu": "1"})], overhead={"cpu": "1", "memory": "1Gi"})
    assert amounts(pods.limits(spec)) == {"cpu": "2"}


ALL = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (spec_of([asking()]), "BestEffort"),
        (spec_of([asking(cpu="1")]), "Burstable"),
        (spec_of([asking(limits=ALL)]), "Guaranteed"),
        (spec_of([asking(cpu="500m", limits=ALL)]), "Burstable"),
        (spec_of([asking(limits=ALL), asking("d")]), "Burstable"),
        (spec_of([asking(limits={"cpu": "1"})]), "Burstable"),
        (spec_of([asking(cpu="0")]), "BestEffort"),
        (spec_of([asking(limits=ALL)], [asking("i")]), "Burstable"),
        (spec_of([asking()], resources={"limits": ALL}), "Guaranteed"),
        (spec_of([asking(**{"ephemeral-storage": "1Gi"})]), "BestEffort"),
    ],
)
def test_quality_of_service(spec, expected):
    assert pods.qos_class(spec) == expected


def test_conditions_keep_the_time_of_their_last_change():
    obj = make("v1/Pod", pod())
    assert not pods.is_ready(obj)
    assert pods.set_condition(obj, PodCondition(type="Ready", status="True"), THEN)
    assert pods.is_ready(obj)
    assert not pods.set_condition(obj, PodCondition(type="Ready", status="True"), NOW)
    assert pods.condition(obj, "Ready").lastTransitionTime == THEN
    assert pods.set_condition(obj, PodCondition(type="Ready", status="False"), NOW)
    assert pods.condition(obj, "Ready").lastTransitionTime == NOW
    assert pods.condition(obj, "Other") is None


def test_where_a_pod_is_in_its_life():
    obj = make("v1/Pod", pod())
    assert pods.is_active(obj)
    assert not pods.is_scheduled(obj)
    obj.status.phase = "Failed"
    assert pods.is_terminal(obj)
    assert not pods.is_active(obj)
    obj.metadata.deletionTimestamp = NOW
    assert pods.is_terminating(obj)
    assert not pods.is_mirror(obj)
    assert not pods.is_critical(obj)
    obj.spec.priority = 2_000_000_000
    assert pods.is_critical(obj)


def test_ports_of_a_pod():
    ports = [{"name": "web", "containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]
    obj = make("v1/Pod", container(ports=ports))
    assert pods.host_ports(obj.spec) == [("TCP", "0.0.0.0", 8080)]
    assert pods.port_number(obj, "web") == 80
    assert pods.port_number(obj, "web", "UDP") is None
    assert pods.port_number(obj, 99) == 99
    assert [each.name for each in pods.containers(obj.spec)] == ["c"]


@pytest.mark.parametrize(
    ("toleration", "allows"),
    [
        (Toleration(operator="Exists"), True),
        (Toleration(key="a", operator="Exists"), True),
        (Toleration(key="b", operator="Exists"), False),
        (Toleration(key="a", value="1"), True),
        (Toleration(key="a", operator="Equal", value="2"), False),
        (Toleration(key="a", value="1", effect="NoExecute"), False),
        (Toleration(key="a", operator="Gt", value="0"), True),
        (Toleration(key="a", operator="Lt", value="0"), False),
        (Toleration(key="a", operator="Lt", value="x"), False),
    ],
)
def test_tolerations(toleration, allows):
    taint = Taint(key="a", value="1", effect="NoSchedule")
    assert pods.tolerates(toleration, taint) is allows
    assert (pods.untolerated([toleration], [taint]) is None) is allows


def test_mild_taints_do_not_count():
    taint = Taint(key="a", effect="PreferNoSchedule")
    assert pods.untolerated(None, [taint]) is None
    assert pods.untolerated(None, [taint], ("PreferNoSchedule",)) is taint


# --- services -----------------------------------------------------------------------------------


def service(**spec):
    return make("v1/Service", {"spec": {"ports": [{"port": 80}], **spec}})


def test_services():
    plain = service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"])
    assert services.has_cluster_ip(plain)
    assert services.cluster_ips(plain) == ["10.0.0.1"]
    assert services.target_port(plain.spec.ports[0]) == 80
    assert services.affinity_seconds(plain) == 10800
    headless = service(clusterIP="None")
    assert services.is_headless(headless)
    assert not services.wants_cluster_ip(headless)
    assert services.cluster_ips(headless) == []
    assert services.is_external_name(service(type="ExternalName", externalName="a.b"))
    outside = service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31)
    assert services.needs_health_check(outside)
    assert services.is_external_local(outside)
    assert services.wants_node_ports(outside)
    assert not services.wants_node_ports(
        service(type="LoadBalancer", allocateLoadBalancerNodePorts=False)
    )
    assert services.node_ports(outside) == [("TCP", 31)]
    assert services.has_session_affinity(service(sessionAffinity="ClientIP"))
    assert services.is_internal_local(service(internalTrafficPolicy="Local"))


# --- nodes --------------------------------------------------------------------------------------


def test_nodes():
    node = make(
        "v1/Node",
        {
            "metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}},
            "spec": {"podCIDR": "10.0.0.0/24", "taints": [{"key": "a", "effect": "NoExecute"}]},
            "status": {
                "capacity": {"cpu": "2"},
                "addresses": [{"type": "Hostname", "address": "h"},
                              {"type": "InternalIP", "address": "10.0.0.1"}],
            },
        },
    )  # fmt: skip
    assert nodes.roles(node) == ["control-plane"]
    assert nodes.internal_ip(node) == "10.0.0.1"
    assert nodes.address(node, "ExternalIP") is None
    assert nodes.allocatable(node, "cpu").milli == 2000
    assert not nodes.allocatable(node, "memory")
    assert nodes.pod_cidrs(node) == ["10.0.0.0/24"]
    assert nodes.is_schedulable(node)
    assert nodes.has_taint(node, "a", "NoExecute")
    assert nodes.without_taint(node.spec.taints, "a", "NoExecute") == []
    again = nodes.with_taint(node.spec.taints, Taint(key="a", effect="NoExecute", value="b"))
    assert [taint.value for taint in again] == ["b"]


def test_conditions_of_a_node():
    node = make("v1/Node", {})
    ready = NodeCondition(type="Ready", status="True", reason="Ok")
    assert nodes.set_condition(node, ready, THEN)
    assert nodes.is_ready(node)
    again = NodeCondition(type="Ready", status="True", reason="Ok", lastHeartbeatTime=NOW)
    assert not nodes.set_condition(node, again, NOW)
    assert nodes.condition(node, "Ready").lastTransitionTime == THEN
    gone = NodeCondition(type="Ready", status="Unknown")
    assert nodes.set_condition(node, gone, NOW)
    assert not nodes.is_ready(node)
