"""Services and their endpoints."""

from __future__ import annotations

from typing import Any

from tests.conformance.marks import conforms
from tests.conformance.operations import operations, served
from tests.conformance.wire import JSON, MERGE, STRATEGIC, Resource
from tests.conformance.workloads import pod
from tests.conformance.world import World, refused, world

SLICES = "discovery.k8s.io/v1"


def service(
    name: str, selector: dict | None = None, labels: dict | None = None, **spec: Any
) -> dict:
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80}]
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"selector": selector or {}, "ports": ports, **spec},
    }


@conforms("[sig-network] API Server should provide secure master service [Conformance]")
@world()
async def test_the_service_of_the_api_server(w: World) -> None:
    found = await w.resource("v1", "services", "default").get("kubernetes")
    ports = [(p["name"], p["port"], p["protocol"]) for p in found["spec"]["ports"]]
    assert ports == [("https", 443, "TCP")]
    assert found["spec"]["clusterIP"] == "10.96.0.1"


@conforms(
    "[sig-network] API Server should have Endpoints and EndpointSlices pointing to API Server"
    " [Conformance]"
)
@world()
async def test_the_endpoints_of_the_api_server(w: World) -> None:
    endpoints = await w.resource("v1", "endpoints", "default").get("kubernetes")
    slices = w.resource(SLICES, "endpointslices", "default")
    (found,) = await slices.items("kubernetes.io/service-name=kubernetes")
    (subset,) = endpoints["subsets"]
    addresses = {a["ip"] for a in subset["addresses"]}
    assert addresses == {"192.0.2.1"}
    assert {a for e in found["endpoints"] for a in e["addresses"]} == addresses
    assert found["addressType"] == "IPv4"
    ports = {(p["name"], p["port"], p["protocol"]) for p in subset["ports"]}
    assert {(p["name"], p["port"], p["protocol"]) for p in found["ports"]} == ports
    # whoever changes them sees them put right
    await w.resource("v1", "endpoints", "default").delete("kubernetes")
    await slices.delete(found["metadata"]["name"])

    async def back() -> bool:
        listed = await slices.items("kubernetes.io/service-name=kubernetes")
        return bool(listed) and not await w.resource("v1", "endpoints", "default").missing(
            "kubernetes"
        )

    await w.wait(back)


@conforms("[sig-network] Services should find a service from listing all namespaces [Conformance]")
@world()
async def test_services_of_all_namespaces(w: World) -> None:
    found = await w.resource("v1", "services").items()
    assert ("default", "kubernetes") in {
        (s["metadata"]["namespace"], s["metadata"]["name"]) for s in found
    }


@conforms("[sig-network] Services should complete a service status lifecycle [Conformance]")
@world()
async def test_the_status_of_a_service(w: World) -> None:
    namespace = await w.namespace()
    services = w.resource("v1", "services", namespace)
    dynamic = w.resource("v1", "services", namespace, dynamic=True)
    labels = {"test-service-static": "true"}
    async with await services.watch("test-service-static=true") as watch:
        body = service("test-service", labels=labels, type="LoadBalancer")
        made = await services.create(body)
        assert await watch.expect("ADDED") == [made]
        (found,) = await services.items("test-service-static=true", everywhere=True)
        assert {"kind": "Service", "apiVersion": "v1", **found} == made
        assert await dynamic.get("test-service", subresource="status") == made

        balancer = {"ingress": [{"ip": "203.0.113.1"}]}
        change = {
            "metadata": {"annotations": {"patchedstatus": "true"}},
            "status": {"loadBalancer": balancer},
        }
        patched = await services.patch("test-service", change, MERGE, subresource="status")
        assert await watch.expect("MODIFIED") == [patched]
        assert patched["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"
        assert patched["metadata"]["annotations"]["patchedstatus"] == "true"
        assert patched["spec"] == made["spec"]

        condition = {
            "type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "by a test",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        }  # fmt: skip
        patched["status"]["conditions"] = [condition]
        updated = await services.update(patched, subresource="status")
        assert await watch.expect("MODIFIED") == [updated]
        assert updated["status"]["conditions"] == [condition]
        found = await dynamic.get("test-service", subresource="status")
        assert found["status"] == updated["status"]

        change = {"metadata": {"labels": {"test-service": "patched"}}}
        patched = await services.patch("test-service", change, STRATEGIC)
        assert await watch.expect("MODIFIED") == [patched]
        assert patched["metadata"]["labels"]["test-service"] == "patched"
        await services.delete("test-service")
        await watch.expect("DELETED")


@conforms("[sig-network] Services should delete a collection of services [Conformance]")
@world()
async def test_services_go_together(w: World) -> None:
    services = w.resource("v1", "services", await w.namespace())
    for number, test in ((0, "a"), (1, "a"), (2, "b")):
        await services.create(service(f"e2e-svc-{number}", labels={"set": test}))
    assert len(await services.items()) == 3
    await services.delete_collection("set=a")
    assert await services.names() == ["e2e-svc-2"]


@conforms("[sig-network] Endpoints should test the lifecycle of an Endpoint [Conformance]")
@world()
async def test_endpoints_live(w: World) -> None:
    endpoints = w.resource("v1", "endpoints", await w.namespace())
    labels = {"test-endpoint-static": "true"}
    subset = {
        "addresses": [{"ip": "10.0.0.24"}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    }
    await operations(w, endpoints, {"subsets": [subset]})
    async with await endpoints.watch("test-endpoint-static=true") as watch:
        made = await endpoints.create(
            {"metadata": {"name": "testservice", "labels": labels}, "subsets": [subset]}
        )
        assert await watch.expect("ADDED") == [made]
        (found,) = await endpoints.items("test-endpoint-static=true", everywhere=True)
        found["metadata"]["labels"]["test-service"] = "updated"
        updated = await endpoints.update(found)
        assert await watch.expect("MODIFIED") == [updated]
        assert (await endpoints.get("testservice"))["metadata"]["labels"] == {
            **labels, "test-service": "updated",
        }  # fmt: skip
        other = {
            "addresses": [{"ip": "10.0.0.25"}],
            "ports": [{"name": "http-test", "port": 8080, "protocol": "TCP"}],
        }
        change = {"metadata": {"labels": {"test-service": "patched"}}, "subsets": [other]}
        patched = await endpoints.patch("testservice", change, STRATEGIC)
        assert await watch.expect("MODIFIED") == [patched]
        assert patched["subsets"] == [other]
        await endpoints.delete_collection("test-endpoint-static=true")
        await watch.expect("DELETED")
        assert await endpoints.missing("testservice")


async def there(resource: Resource, selector: str = "") -> list:
    return await resource.items(selector)


@conforms(
    "[sig-network] EndpointsController should create and delete Endpoints for a Service with a"
    " selector that matches no pods [Conformance]",
    "[sig-network] EndpointSlice should create and delete EndpointSlices for a Service with a"
    " selector that matches no pods [Conformance]",
)
@world()
async def test_endpoints_of_a_service_without_pods(w: World) -> None:
    namespace = await w.namespace()
    services = w.resource("v1", "services", namespace)
    endpoints = w.resource("v1", "endpoints", namespace)
    slices = w.resource(SLICES, "endpointslices", namespace)
    selector = "kubernetes.io/service-name=example-empty-selector"
    body = service("example-empty-selector", {"does-not-match-anything": "endpoints-should-still"})
    made = await services.create(body)

    async def created() -> bool:
        listed = await slices.items(selector)
        return bool(listed) and not await endpoints.missing("example-empty-selector")

    await w.wait(created)
    (found,) = await slices.items(selector)
    assert found.get("endpoints", []) == []
    assert found["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    managed = found["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
    assert managed == "endpointslice-controller.k8s.io"
    assert "subsets" not in await endpoints.get("example-empty-selector")

    # what is deleted by somebody else comes back
    await slices.delete_collection(selector)
    await w.wait(lambda: there(slices, selector))

    await services.delete("example-empty-selector")

    async def gone() -> bool:
        listed = await slices.items(selector)
        return not listed and await endpoints.missing("example-empty-selector")

    await w.wait(gone)


@conforms(
    "[sig-network] EndpointsController should create Endpoints for Pods matching a Service"
    " [Conformance]",
    "[sig-network] EndpointSlice should create Endpoints and EndpointSlices for Pods matching a"
    " Service [Conformance]",
)
@world(nodes=1, scheduler=True)
async def test_endpoints_of_pods(w: World) -> None:
    namespace = await w.namespace()
    services, pods = w.resource("v1", "services", namespace), w.resource("v1", "pods", namespace)
    endpoints = w.resource("v1", "endpoints", namespace)
    slices = w.resource(SLICES, "endpointslices", namespace)

    def ported(name: str, port: int, **labels: str) -> dict:
        ports = [{"name": "example-name", "containerPort": port, "protocol": "TCP"}]
        return pod(
            name, labels=labels, containers=[{"name": "c", "image": "nginx", "ports": ports}]
        )

    one = {"name": "example", "port": 80, "targetPort": 3000, "protocol": "TCP"}
    two = {"name": "example", "port": 80, "targetPort": "example-name", "protocol": "TCP"}
    await services.create(service("example-int-port", {"foo": "bar"}, ports=[one]))
    await services.create(service("example-named-port", {"shared": "yes"}, ports=[two]))
    await services.create(service("example-no-match", {"foo": "baz"}, ports=[one]))
    await pods.create(ported("pod1", 3000, foo="bar", shared="yes"))
    await pods.create(ported("pod2", 3001, shared="yes"))

    async def running() -> bool:
        return all("podIP" in p["status"] for p in await pods.items())

    await w.wait(running)
    addresses = {p["metadata"]["name"]: p["status"]["podIP"] for p in await pods.items()}

    async def ready(name: str) -> set[tuple[str, int]]:
        found = await slices.items(f"kubernetes.io/service-name={name}")
        return {
            (address, port["port"])
            for each in found
            for endpoint in each.get("endpoints", ())
            if endpoint["conditions"]["ready"]
            for address in endpoint["addresses"]
            for port in each.get("ports", ())
        }

    async def as_endpoints(name: str) -> set[tuple[str, int]]:
        found = await endpoints.get(name)
        return {
            (address["ip"], port["port"])
            for subset in found.get("subsets", ())
            for address in subset.get("addresses", ())
            for port in subset["ports"]
        }

    wanted = {
        "example-int-port": {(addresses["pod1"], 3000)},
        "example-named-port": {(addresses["pod1"], 3000), (addresses["pod2"], 3001)},
        "example-no-match": set(),
    }

    async def settled() -> bool:
        return all(
            [await ready(n) == found == await as_endpoints(n) for n, found in wanted.items()]
        )

    await w.wait(settled)
    assert len(await slices.items("kubernetes.io/service-name=example-named-port")) == 2
    for found in await slices.items("kubernetes.io/service-name=example-int-port"):
        for endpoint in found["endpoints"]:
            assert endpoint["targetRef"]["name"] == "pod1"
            assert endpoint["nodeName"] == "node-0"
    for name in wanted:
        await slices.delete_collection(f"kubernetes.io/service-name={name}")
    await w.wait(settled)


@conforms(
    "[sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create"
    " update and delete [Conformance]"
)
@world()
async def test_endpoints_are_mirrored(w: World) -> None:
    await served(w, SLICES, "endpointslices")
    namespace = await w.namespace()
    services = w.resource("v1", "services", namespace)
    endpoints = w.resource("v1", "endpoints", namespace)
    slices = w.resource(SLICES, "endpointslices", namespace)
    selector = "kubernetes.io/service-name=example-custom-endpoints"
    body = service("example-custom-endpoints")
    body["spec"].pop("selector")
    await services.create(body)
    subset = {"addresses": [{"ip": "10.1.2.3"}], "ports": [{"name": "example", "port": 80}]}
    await endpoints.create({"metadata": {"name": "example-custom-endpoints"}, "subsets": [subset]})
    await w.wait(lambda: there(slices, selector))
    (found,) = await slices.items(selector)
    managed = found["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
    assert managed == "endpointslicemirroring-controller.k8s.io"
    assert [e["addresses"] for e in found["endpoints"]] == [["10.1.2.3"]]
    assert found["ports"] == [{"name": "example", "port": 80, "protocol": "TCP"}]

    subset["ports"] = [{"name": "example", "port": 8080}]
    made = await endpoints.get("example-custom-endpoints")
    await endpoints.update({**made, "subsets": [subset]})

    async def mirrored() -> bool:
        ports = [p["port"] for s in await slices.items(selector) for p in s["ports"]]
        return ports == [8080]

    await w.wait(mirrored)
    await endpoints.delete("example-custom-endpoints")

    async def gone() -> bool:
        return not await slices.items(selector)

    await w.wait(gone)


@world()
async def test_services_change_their_type(w: World) -> None:
    """What of upstream's tests of changed types needs no packets."""
    services = w.resource("v1", "services", await w.namespace())
    made = await services.create(
        {"metadata": {"name": "s"}, "spec": {"type": "ExternalName", "externalName": "foo.example"}}
    )
    assert "clusterIP" not in made["spec"]
    port = {"port": 80, "name": "http", "protocol": "TCP"}
    made["spec"] = {"type": "NodePort", "ports": [port]}
    changed = await services.update(made)
    address, node_port = changed["spec"]["clusterIP"], changed["spec"]["ports"][0]["nodePort"]
    assert address.startswith("10.")
    assert 30000 <= node_port <= 32767
    with refused(422, "Invalid", "provided port is already allocated"):
        taken = {**port, "nodePort": node_port}
        await services.create(service("other", type="NodePort", ports=[taken]))
    changed["spec"] = {"type": "ExternalName", "externalName": "clusterip.example"}
    back = await services.update(changed)
    assert "clusterIP" not in back["spec"]
    assert "clusterIPs" not in back["spec"]
    taken = {**port, "nodePort": node_port}
    again = await services.create(
        service("other", type="NodePort", ports=[taken], clusterIP=address)
    )
    assert again["spec"]["clusterIP"] == address
    with refused(422, "Invalid", "provided IP is already allocated"):
        await services.create(service("third", clusterIP=address))


@world()
async def test_accept_of_plain_json(w: World) -> None:
    """Services, as those read them who know no protobuf."""
    answer = await w.raw("GET", "/api/v1/services", accept="*/*")
    assert answer.headers["content-type"] == JSON
