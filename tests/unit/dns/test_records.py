"""What a Service is called, case by case of the specification."""

from __future__ import annotations

import pytest

from kybern.api.core.v1 import Service, ServicePort, ServiceSpec
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.dns import records, wire

DOMAIN = wire.encode_name("cluster.local")
META = ObjectMeta(name="web", namespace="shop")


def name(text):
    return wire.encode_name(text + ".shop.svc.cluster.local")


def ip(text):
    return wire.address(text)[1]


def endpoint(*addresses, ready=True, hostname=None):
    return Endpoint(
        addresses=list(addresses), conditions=EndpointConditions(ready=ready), hostname=hostname
    )


def slice_of(*endpoints, family="IPv4", ports=(("http", 8080),)):
    return EndpointSlice(
        addressType=family,
        endpoints=list(endpoints),
        ports=[EndpointPort(name=n, port=p, protocol="TCP") for n, p in ports],
    )


def of(spec, *slices):
    return records.of_service(Service(metadata=META, spec=spec), slices, DOMAIN)


def test_a_cluster_ip_has_addresses_ports_and_a_reverse_name():
    found = of(
        ServiceSpec(
            clusterIP="10.96.0.1",
            clusterIPs=["10.96.0.1", "fd00::1"],
            ports=[
                ServicePort(name="http", port=80, protocol="TCP"),
                ServicePort(port=53, protocol="UDP"),
            ],
        )
    )
    assert found.forward[name("web")] == {
        wire.A: (ip("10.96.0.1"),),
        wire.AAAA: (ip("fd00::1"),),
        wire.SRV: (wire.srv(0, 100, 80, name("web")), wire.srv(0, 100, 53, name("web"))),
    }
    assert found.forward[name("_http._tcp.web")] == {wire.SRV: (wire.srv(0, 100, 80, name("web")),)}
    assert set(found.forward) == {name("web"), name("_http._tcp.web")}
    assert found.reverse == {
        wire.encode_name("1.0.96.10.in-addr.arpa"): (name("web"),),
        wire.reverse_name(ip("fd00::1")): (name("web"),),
    }


def test_a_service_without_an_address_yet_has_no_name_yet():
    spec = ServiceSpec(ports=[ServicePort(name="http", port=80, protocol="TCP")])
    assert of(spec) == records.Records()


def test_a_headless_service_has_one_record_per_ready_endpoint():
    found = of(
        ServiceSpec(clusterIP="None"),
        slice_of(endpoint("10.1.0.1"), endpoint("10.1.0.2", ready=False)),
        slice_of(endpoint("10.1.0.3", hostname="db-0"), endpoint("10.1.0.1")),
        slice_of(endpoint("fd00::3", hostname="db-0"), family="IPv6"),
        slice_of(endpoint("example.org"), family="FQDN"),
    )
    assert found.forward[name("web")][wire.A] == (ip("10.1.0.1"), ip("10.1.0.3"))
    assert found.forward[name("web")][wire.AAAA] == (ip("fd00::3"),)
    assert found.forward[name("db-0.web")] == {
        wire.A: (ip("10.1.0.3"),),
        wire.AAAA: (ip("fd00::3"),),
    }
    assert found.forward[name("10-1-0-1.web")] == {wire.A: (ip("10.1.0.1"),)}
    assert found.forward[name("_http._tcp.web")][wire.SRV] == (
        wire.srv(0, 25, 8080, name("10-1-0-1.web")),
        wire.srv(0, 25, 8080, name("db-0.web")),
    )
    assert found.reverse[wire.reverse_name(ip("10.1.0.3"))] == (name("db-0.web"),)


@pytest.mark.parametrize("ready", [True, False, None])
def test_publishing_addresses_that_are_not_ready(ready):
    slices = slice_of(endpoint("10.1.0.1", ready=ready))
    published = of(ServiceSpec(clusterIP="None", publishNotReadyAddresses=True), slices)
    assert published.forward[name("web")][wire.A] == (ip("10.1.0.1"),)
    plain = of(ServiceSpec(clusterIP="None"), slices)
    assert (name("web") in plain.forward) == (ready is not False)


def test_unnamed_ports_answer_only_to_the_service_name():
    found = of(ServiceSpec(clusterIP="None"), slice_of(endpoint("10.1.0.1"), ports=((None, 80),)))
    assert set(found.forward) == {name("web"), name("10-1-0-1.web")}
    assert len(found.forward[name("web")][wire.SRV]) == 1


def test_an_external_name_is_an_alias():
    found = of(ServiceSpec(type="ExternalName", externalName="Example.ORG."))
    assert found.forward == {name("web"): {wire.CNAME: (wire.encode_name("example.org"),)}}
    literal = of(ServiceSpec(type="ExternalName", externalName="192.0.2.1"))
    assert literal.forward == {name("web"): {wire.A: (ip("192.0.2.1"),)}}
    assert of(ServiceSpec(type="ExternalName", externalName="a..b")) == records.Records()


@pytest.mark.parametrize(
    ("label", "address"),
    [("10-0-0-7", "10.0.0.7"), ("2001-db8--1", "2001:db8::1"), ("10-0-0", None), ("web", None)],
)
def test_pod_addresses_are_in_their_names(label, address):
    assert records.pod_address(label.encode()) == (address and wire.address(address))
