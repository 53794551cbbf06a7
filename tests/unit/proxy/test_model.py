"""Which endpoints a Service leads to."""

from kybern.api.core.v1 import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.proxy.endpoints import Target
from kybern.proxy.model import Model


def service(**spec):
    spec = {"clusterIP": "10.96.0.7", "ports": [ServicePort(port=80, name="http")]} | spec
    return Service(metadata=ObjectMeta(name="web", namespace="shop"), spec=ServiceSpec(**spec))


def endpoint(ip, node="one", **conditions):
    return Endpoint(addresses=[ip], nodeName=node, conditions=EndpointConditions(**conditions))


def piece(*endpoints, name="web-1", port=8080):
    meta = ObjectMeta(name=name, namespace="shop", labels={"kubernetes.io/service-name": "web"})
    ports = [EndpointPort(name="http", port=port)]
    return EndpointSlice(metadata=meta, addressType="IPv4", endpoints=list(endpoints), ports=ports)


def targets(*pieces, **spec):
    model = Model("one")
    for slice_ in pieces:
        model.set_slice(slice_)
    model.set_service(service(**spec))
    (front,) = model.frontends("shop/web")
    return front


def test_only_ready_endpoints_get_traffic():
    front = targets(piece(endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", ready=False)))
    assert front.targets == (Target("10.0.0.1", 8080),)


def test_terminating_endpoints_serve_while_there_is_no_other():
    leaving = endpoint("10.0.0.2", ready=False, serving=True, terminating=True)
    assert targets(piece(leaving)).targets == (Target("10.0.0.2", 8080),)
    assert targets(piece(leaving, endpoint("10.0.0.1", ready=True))).targets == (
        Target("10.0.0.1", 8080),
    )


def test_slices_are_joined_and_duplicates_dropped():
    one = piece(endpoint("10.0.0.1", ready=True), name="web-1")
    two = piece(endpoint("10.0.0.1", ready=True), endpoint("10.0.0.3", ready=True), name="web-2")
    assert [t.ip for t in targets(one, two).targets] == ["10.0.0.1", "10.0.0.3"]


def test_local_policies():
    both = piece(endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", "two", ready=True))
    front = targets(both, internalTrafficPolicy="Local", externalTrafficPolicy="Local")
    assert [t.ip for t in front.internal_targets] == ["10.0.0.1"]
    assert [t.ip for t in front.external_targets] == ["10.0.0.1"]


def test_headless_and_external_names_are_not_ours():
    model = Model("one")
    model.set_service(service(clusterIP="None"))
    assert model.frontends("shop/web") == []
    model.set_service(service(type="ExternalName", clusterIP=None))
    assert model.frontends("shop/web") == []
    assert model.frontends("shop/unknown") == []


def test_forgetting():
    model = Model("one")
    model.set_service(service())
    slice_ = piece(endpoint("10.0.0.1", ready=True))
    assert model.set_slice(slice_) == {"shop/web"}
    assert model.drop_slice(slice_) == {"shop/web"}
    assert model.frontends("shop/web")[0].targets == ()
    model.drop_service(service())
    assert model.frontends("shop/web") == []


def named(name, **spec):
    made = service(**spec)
    made.metadata.name = name
    return made


def test_an_external_address_is_the_first_ones():
    model = Model("one")
    first = named("first", clusterIP="10.96.0.8", externalIPs=["192.0.2.7"])
    second = named("second", clusterIP="10.96.0.9", externalIPs=["192.0.2.7", "192.0.2.8"])
    model.set_service(first)
    model.set_service(second)
    assert model.frontends("shop/first")[0].external_ips == ("192.0.2.7",)
    assert model.frontends("shop/second")[0].external_ips == ("192.0.2.8",)
    assert model.drop_service(first) == {"shop/first", "shop/second"}
    assert model.frontends("shop/second")[0].external_ips == ("192.0.2.7", "192.0.2.8")


def test_nobody_takes_a_cluster_ip():
    model = Model("one")
    thief = named("thief", clusterIP="10.96.0.8", externalIPs=["10.96.0.7"])
    model.set_service(thief)
    assert model.set_service(service()) == {"shop/web", "shop/thief"}
    assert model.frontends("shop/thief")[0].external_ips == ()


def test_addresses_of_load_balancers():
    made = service(type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8", " 192.0.2.0/24"])
    ingress = [
        LoadBalancerIngress(ip="192.0.2.9", ipMode="VIP"),
        LoadBalancerIngress(ip="192.0.2.10", ipMode="Proxy"),
        LoadBalancerIngress(hostname="lb.example.com"),
    ]
    made.status = ServiceStatus(loadBalancer=LoadBalancerStatus(ingress=ingress))
    model = Model("one")
    model.set_service(made)
    (front,) = model.frontends("shop/web")
    assert front.balancer_ips == ("192.0.2.9",)
    assert front.sources == ("10.0.0.0/8", "192.0.2.0/24")


def test_what_load_balancers_are_told():
    made = service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31000)
    model = Model("one")
    model.set_service(made)
    assert model.check("shop/web") == (31000, 0)
    leaving = endpoint("10.0.0.3", ready=False, serving=True, terminating=True)
    model.set_slice(
        piece(endpoint("10.0.0.1", ready=True), endpoint("10.0.0.2", "two", ready=True), leaving)
    )
    assert model.check("shop/web") == (31000, 1)
    made.spec.externalTrafficPolicy = "Cluster"
    assert model.check("shop/web") is None


def test_affinity():
    model = Model("one")
    model.set_service(service(sessionAffinity="ClientIP"))
    assert model.frontends("shop/web")[0].affinity == 10800
    model.set_service(service(sessionAffinity="None"))
    assert model.frontends("shop/web")[0].affinity == 0
