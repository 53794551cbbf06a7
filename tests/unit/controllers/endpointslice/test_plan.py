"""What the slices of a Service should be."""

from __future__ import annotations

import pytest

from kybern.api.core.v1 import (
    Container,
    ContainerPort,
    Pod,
    PodCondition,
    PodIP,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.endpointslice.endpoints import address_types, facts
from kybern.controllers.endpointslice.plan import plan


def service(**spec) -> Service:
    spec.setdefault("clusterIP", "10.96.0.1")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ports", [ServicePort(name="http", port=80, targetPort="web")])
    metadata = ObjectMeta(name="svc", namespace="ns", uid="s", labels={"team": "a"})
    return Service(metadata=metadata, spec=ServiceSpec(selector={"a": "b"}, **spec))


def pod(name, *ips, ready=True, port=8080, node="n1", phase="Running", deleting=False, **spec):
    ports = [ContainerPort(name="web", containerPort=port)]
    addresses = ips or (f"10.0.0.{len(name)}",)
    return Pod(
        metadata=ObjectMeta(
            name=name, namespace="ns", uid=name, deletionTimestamp="now" if deleting else None
        ),
        spec=PodSpec(nodeName=node, containers=[Container(name="c", ports=ports)], **spec),
        status=PodStatus(
            phase=phase,
            podIP=addresses[0],
            podIPs=[PodIP(ip=ip) for ip in addresses],
            conditions=[PodCondition(type="Ready", status="True" if ready else "False")],
        ),
    )


def zone(node: str) -> str | None:
    return {"n1": "z1", "n2": "z2"}.get(node)


def only(steps):
    assert (steps.update, steps.delete) == ([], [])
    (one,) = steps.create
    return one


@pytest.mark.parametrize(
    ("one", "want"),
    [
        (service(), ("IPv4",)),
        (service(ipFamilies=["IPv6", "IPv4"]), ("IPv6", "IPv4")),
        (service(ipFamilies=None), ("IPv4",)),
        (service(ipFamilies=None, clusterIP="fd00::1"), ("IPv6",)),
        (service(ipFamilies=None, clusterIP="None"), ("IPv4", "IPv6")),
    ],
)
def test_families(one, want):
    assert address_types(one) == want


def test_a_slice_in_full():
    one = only(plan(service(), [pod("a")], [], zone, 100))
    assert one.metadata.generateName == "svc-"
    assert one.metadata.labels == {
        "team": "a",
        "kubernetes.io/service-name": "svc",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert (one.metadata.ownerReferences[0].kind, one.metadata.ownerReferences[0].uid) == (
        "Service", "s",
    )  # fmt: skip
    (endpoint,) = one.endpoints
    assert (endpoint.addresses, endpoint.nodeName, endpoint.zone) == (["10.0.0.1"], "n1", "z1")
    assert (endpoint.targetRef.kind, endpoint.targetRef.name) == ("Pod", "a")
    assert [(p.name, p.port, p.protocol) for p in one.ports] == [("http", 8080, "TCP")]


@pytest.mark.parametrize(
    ("member", "publish", "want"),
    [
        (pod("a"), False, (True, True, False)),
        (pod("a", ready=False), False, (False, False, False)),
        (pod("a", deleting=True), False, (False, True, True)),
        (pod("a", ready=False, deleting=True), False, (False, False, True)),
        (pod("a", ready=False), True, (True, False, False)),
        (pod("a", deleting=True), True, (True, True, True)),
    ],
)
def test_conditions(member, publish, want):
    one = only(plan(service(publishNotReadyAddresses=publish), [member], [], zone, 100))
    conditions = one.endpoints[0].conditions
    assert (conditions.ready, conditions.serving, conditions.terminating) == want


def test_pods_that_have_nothing_to_offer():
    gone = pod("a", phase="Succeeded")
    starting = pod("b")
    starting.status.podIP = starting.status.podIPs = None
    one = only(plan(service(), [gone, starting], [], zone, 100))
    assert (one.endpoints, one.ports) == ([], [])


def test_named_ports_can_differ_by_pod():
    steps = plan(service(), [pod("a"), pod("bb", port=9090), pod("ccc")], [], zone, 100)
    found = {one.ports[0].port: [e.targetRef.name for e in one.endpoints] for one in steps.create}
    assert found == {8080: ["a", "ccc"], 9090: ["bb"]}


def test_a_pod_without_the_port_has_an_address_all_the_same():
    spec = service(ports=[ServicePort(name="x", port=1, targetPort="unknown")])
    one = only(plan(spec, [pod("a")], [], zone, 100))
    assert one.ports == []
    assert len(one.endpoints) == 1


def test_two_families():
    steps = plan(
        service(ipFamilies=["IPv4", "IPv6"]), [pod("a", "10.0.0.1", "fd00::2")], [], zone, 9
    )
    found = {one.addressType: one.endpoints[0].addresses for one in steps.create}
    assert found == {"IPv4": ["10.0.0.1"], "IPv6": ["fd00::2"]}


def test_a_family_that_is_dropped():
    both = plan(
        service(ipFamilies=["IPv4", "IPv6"]), [pod("a", "10.0.0.1", "fd00::2")], [], zone, 9
    )
    steps = plan(service(), [pod("a", "10.0.0.1", "fd00::2")], both.create, zone, 9)
    assert [one.addressType for one in steps.delete] == ["IPv6"]
    assert (steps.create, steps.update) == ([], [])


def test_nothing_changes_twice():
    pods = [pod(f"p{n}", f"10.0.1.{n}") for n in range(30)]
    first = plan(service(), pods, [], zone, 10)
    assert len(first.create) == 3
    again = plan(service(), list(reversed(pods)), first.create, zone, 10)
    assert (again.create, again.update, again.delete) == ([], [], [])


def test_the_placeholder_stays_until_it_is_filled():
    first = plan(service(), [], [], zone, 10)
    again = plan(service(), [], first.create, zone, 10)
    assert (again.create, again.update, again.delete) == ([], [], [])
    filled = plan(service(), [pod("a")], first.create, zone, 10)
    assert (len(filled.create), filled.delete) == (1, first.create)


def test_labels_follow_the_service():
    first = plan(service(), [pod("a")], [], zone, 10)
    other = service(clusterIP="None")
    other.metadata.labels = {"team": "b"}
    (one,) = plan(other, [pod("a")], first.create, zone, 10).update
    assert one.metadata.labels["team"] == "b"
    assert one.metadata.labels["service.kubernetes.io/headless"] == ""


def test_hostnames_of_headless_services():
    member = pod("a", hostname="db-0", subdomain="svc")
    assert only(plan(service(), [member], [], zone, 10)).endpoints[0].hostname == "db-0"
    member = pod("a", hostname="db-0", subdomain="other")
    assert only(plan(service(), [member], [], zone, 10)).endpoints[0].hostname is None


def test_hints():
    near = service(trafficDistribution="PreferSameNode")
    one = only(plan(near, [pod("a"), pod("bb", node="n2", ready=False)], [], zone, 10))
    first, second = one.endpoints
    assert [z.name for z in first.hints.forZones] == ["z1"]
    assert [n.name for n in first.hints.forNodes] == ["n1"]
    assert second.hints is None
    nowhere = only(plan(near, [pod("a"), pod("bb", node="n3")], [], zone, 10))
    assert all(e.hints is None for e in nowhere.endpoints)


def test_what_matters_of_a_pod():
    assert facts(pod("a")) == facts(pod("a"))
    for other in (pod("a", ready=False), pod("a", "1.1.1.1"), pod("a", deleting=True)):
        assert facts(other) != facts(pod("a"))
