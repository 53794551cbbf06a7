"""Which endpoints a Service leads to."""

from kybern.api.core.v1 import Service, ServicePort, ServiceSpec
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
    assert model.set_slice(slice_) == "shop/web"
    assert model.drop_slice(slice_) == "shop/web"
    assert model.frontends("shop/web")[0].targets == ()
    model.drop_service(service())
    assert model.frontends("shop/web") == []
