"""Ingresses, IngressClasses, ServiceCIDRs and IPAddresses, as objects."""

from __future__ import annotations

from tests.conformance.marks import conforms
from tests.conformance.operations import operations, served
from tests.conformance.wire import MERGE
from tests.conformance.world import World, refused, world

GROUP = "networking.k8s.io/v1"


@conforms("[sig-network] Ingress API should support creating Ingress API operations [Conformance]")
@world()
async def test_ingresses(w: World) -> None:
    await served(w, GROUP, "ingresses", "ingresses/status")
    ingresses = w.resource(GROUP, "ingresses", await w.namespace())
    backend = {"service": {"name": "default-backend", "port": {"name": "http", "number": 0}}}
    backend["service"]["port"].pop("number")
    body = {
        "spec": {
            "defaultBackend": backend,
            "rules": [
                {
                    "host": "foo.bar.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/", "pathType": "Prefix",
                                "backend": {
                                    "service": {
                                        "name": "test-backend", "port": {"number": 8080},
                                    }
                                },
                            }
                        ]
                    },
                }
            ],
        }
    }  # fmt: skip
    await operations(
        w, ingresses, body, subresources=("status",),
        status=(
            {"loadBalancer": {"ingress": [{"ip": "169.1.1.1"}]}},
            {"loadBalancer": {"ingress": [{"ip": "169.1.1.2"}]}},
        ),
    )  # fmt: skip
    no_path = {"spec": {"rules": [{"http": {"paths": []}}]}}
    with refused(422, "Invalid", "spec.rules[0].http.paths: Required value"):
        await ingresses.create({"metadata": {"name": "none"}, **no_path})


@conforms(
    "[sig-network] IngressClass API should support creating IngressClass API operations"
    " [Conformance]"
)
@world()
async def test_ingress_classes(w: World) -> None:
    classes = w.resource(GROUP, "ingressclasses")
    parameters = {"apiGroup": "ab.example.com", "kind": "Setting", "name": "one"}
    body = {"spec": {"controller": "example.com/controller", "parameters": parameters}}
    await operations(w, classes, body)
    made = await classes.create({"metadata": {"name": "one"}, **body})
    assert made["spec"]["parameters"] == {**parameters, "scope": "Cluster"}
    with refused(422, "Invalid", "spec.controller"):
        await classes.patch("one", {"spec": {"controller": "example.com/another"}})


@conforms(
    "[sig-network] ServiceCIDR and IPAddress API should support ServiceCIDR API operations"
    " [Conformance]"
)
@world()
async def test_service_cidrs(w: World) -> None:
    ranges = w.resource(GROUP, "servicecidrs")
    body = {"spec": {"cidrs": ["10.240.10.0/24"]}}
    condition = {"type": "Tested", "status": "True", "reason": "test", "message": "by a test",
                 "lastTransitionTime": "2026-01-02T03:04:05Z"}  # fmt: skip
    await operations(
        w, ranges, body, subresources=("status",),
        status=({"conditions": [condition]}, {"conditions": [{**condition, "status": "False"}]}),
    )  # fmt: skip
    kubernetes = await ranges.get("kubernetes")
    assert kubernetes["spec"]["cidrs"] == ["10.96.0.0/12"]
    with refused(422, "Invalid", "spec.cidrs"):
        await ranges.patch("kubernetes", {"spec": {"cidrs": ["10.97.0.0/16"]}})


@conforms(
    "[sig-network] ServiceCIDR and IPAddress API should support IPAddress API operations"
    " [Conformance]"
)
@world()
async def test_ip_addresses(w: World) -> None:
    addresses = w.resource(GROUP, "ipaddresses")
    parent = {"resource": "services", "namespace": "default", "name": "foo"}
    body = {"spec": {"parentRef": parent}}
    names = ["192.168.1.2", "192.168.1.3", "2001:db7::2"]
    await operations(w, addresses, body, names=names)
    for wrong in ("192.168.1.02", "2001:db7:0::2", "2001:DB7::2", "somewhere"):
        with refused(422, "Invalid", "metadata.name"):
            await addresses.create({"metadata": {"name": wrong}, **body})
    await addresses.create({"metadata": {"name": names[0]}, **body})
    with refused(422, "Invalid", "spec.parentRef"):
        await addresses.patch(names[0], {"spec": {"parentRef": {"name": "bar"}}}, MERGE)


@conforms(
    "[sig-network] EndpointSlice should support creating EndpointSlice API operations [Conformance]"
)
@world()
async def test_endpoint_slices(w: World) -> None:
    slices = w.resource("discovery.k8s.io/v1", "endpointslices", await w.namespace())
    body = {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["1.2.3.4", "5.6.7.8"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 80}],
    }
    await operations(w, slices, body)
    made = await slices.create({"metadata": {"name": "one"}, **body})
    assert made["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    with refused(422, "Invalid", "addressType"):
        await slices.patch("one", {"addressType": "IPv6"})
