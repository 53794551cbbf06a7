"""What the Endpoints of a Service should be."""

from __future__ import annotations

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
from kybern.controllers.endpoints.plan import MOST, plan


def service(**spec) -> Service:
    spec.setdefault("clusterIP", "10.96.0.1")
    spec.setdefault("ports", [ServicePort(name="http", port=80, targetPort="web")])
    metadata = ObjectMeta(name="svc", namespace="ns", labels={"team": "a"})
    return Service(metadata=metadata, spec=ServiceSpec(selector={"a": "b"}, **spec))


def pod(name, *ips, ready=True, port=8080, deleting=False, phase="Running", **spec) -> Pod:
    ports = [ContainerPort(name="web", containerPort=port)]
    return Pod(
        metadata=ObjectMeta(
            name=name, namespace="ns", uid=name, deletionTimestamp="now" if deleting else None
        ),
        spec=PodSpec(nodeName="n1", containers=[Container(name="c", ports=ports)], **spec),
        status=PodStatus(
            phase=phase,
            podIP=ips[0],
            podIPs=[PodIP(ip=ip) for ip in ips],
            conditions=[PodCondition(type="Ready", status="True" if ready else "False")],
        ),
    )


def shape(endpoints):
    return [
        (
            [a.ip for a in subset.addresses or ()],
            [a.ip for a in subset.notReadyAddresses or ()],
            [(p.name, p.port) for p in subset.ports or ()],
        )
        for subset in endpoints.subsets or ()
    ]


def test_ready_and_not_ready():
    pods = [pod("b", "10.0.0.2"), pod("a", "10.0.0.1"), pod("c", "10.0.0.3", ready=False)]
    made = plan(service(), pods, None)
    assert shape(made) == [(["10.0.0.1", "10.0.0.2"], ["10.0.0.3"], [("http", 8080)])]
    assert made.metadata.labels == {
        "team": "a", "endpoints.kubernetes.io/managed-by": "endpoint-controller",
    }  # fmt: skip
    address = made.subsets[0].addresses[0]
    assert (address.nodeName, address.targetRef.kind, address.targetRef.name) == ("n1", "Pod", "a")
    assert plan(service(), pods, made) is None


def test_pods_on_their_way_out_are_not_listed_unless_asked_for():
    leaving = pod("a", "10.0.0.1", deleting=True)
    done = pod("b", "10.0.0.2", phase="Failed")
    assert shape(plan(service(), [leaving, done], None)) == []
    made = plan(service(publishNotReadyAddresses=True), [leaving, done], None)
    assert shape(made) == [(["10.0.0.1"], [], [("http", 8080)])]


def test_ports_with_the_same_addresses_share_a_subset():
    ports = [
        ServicePort(name="b", port=2, targetPort=2),
        ServicePort(name="a", port=1, targetPort=1),
        ServicePort(name="web", port=80, targetPort="web"),
    ]
    made = plan(service(ports=ports), [pod("a", "10.0.0.1"), pod("b", "10.0.0.2", port=9)], None)
    assert shape(made) == [
        (["10.0.0.1", "10.0.0.2"], [], [("a", 1), ("b", 2)]),
        (["10.0.0.1"], [], [("web", 8080)]),
        (["10.0.0.2"], [], [("web", 9)]),
    ]


def test_headless_without_ports():
    made = plan(service(ports=None, clusterIP="None"), [pod("a", "10.0.0.1")], None)
    assert shape(made) == [(["10.0.0.1"], [], [])]
    assert made.metadata.labels["service.kubernetes.io/headless"] == ""


def test_the_family_of_the_service():
    both = pod("a", "10.0.0.1", "fd00::1")
    assert shape(plan(service(ipFamilies=["IPv6"]), [both], None))[0][0] == ["fd00::1"]
    assert shape(plan(service(clusterIP="fd00::9"), [both], None))[0][0] == ["fd00::1"]
    assert shape(plan(service(ipFamilies=["IPv6"]), [pod("a", "10.0.0.1")], None)) == []


def test_unnamed_ports_have_no_name():
    made = plan(service(ports=[ServicePort(port=80, targetPort=80)]), [pod("a", "10.0.0.1")], None)
    assert shape(made)[0][2] == [(None, 80)]


def test_more_than_fit():
    pods = [pod(f"p{n:04}", f"10.{n // 250}.0.{n % 250}", ready=n % 2 == 0) for n in range(1500)]
    made = plan(service(), pods, None)
    (subset,) = made.subsets
    assert (len(subset.addresses), len(subset.notReadyAddresses)) == (750, MOST - 750)
    assert made.metadata.annotations == {"endpoints.kubernetes.io/over-capacity": "truncated"}
    fewer = plan(service(), pods[:10], made)
    assert fewer.metadata.annotations is None
