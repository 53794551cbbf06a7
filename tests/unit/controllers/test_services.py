"""Services, pods, and what is written about them, against the real API server."""

from __future__ import annotations

from tests.unit.controllers.cluster import cluster, deployment

from kybern.api.apps.v1 import Deployment
from kybern.api.core.v1 import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Pod,
    Service,
    ServicePort,
    ServiceSpec,
)
from kybern.api.discovery.v1 import EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import run_virtual

ALL = (
    "deployment", "replicaset", "endpointslice", "endpoint", "endpointslicemirroring",
)  # fmt: skip


def service(name="web", selector=True, **spec):
    return Service(
        metadata=ObjectMeta(name=name, namespace="default", labels={"team": "a"}),
        spec=ServiceSpec(
            selector={"app": "web"} if selector else None,
            ports=[ServicePort(name="http", port=80, targetPort=8080)],
            **spec,
        ),
    )


async def slices(it, name="web"):
    selector = f"kubernetes.io/service-name={name}"
    return (await it.client.list(EndpointSlice, "default", label_selector=selector))[0]


def test_slices_and_endpoints_follow_the_pods():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(service())
            await it.settle(5)
            (one,) = await slices(it)
            assert not one.endpoints  # a placeholder says that nobody is there
            await it.client.create(deployment(replicas=3))
            await it.settle()
            found = await slices(it)
            assert len(found) == 1
            one = found[0]
            assert len(one.endpoints) == 3
            assert all(e.conditions.ready and e.conditions.serving for e in one.endpoints)
            assert {e.addresses[0] for e in one.endpoints} == {
                p.status.podIP for p in await it.pods()
            }
            assert [(p.name, p.port, p.protocol) for p in one.ports] == [("http", 8080, "TCP")]
            assert one.metadata.labels["team"] == "a"
            assert one.metadata.ownerReferences[0].kind == "Service"
            assert one.addressType == "IPv4"
            old = await it.client.get(Endpoints, "web", "default")
            assert len(old.subsets[0].addresses) == 3
            assert old.subsets[0].ports[0].port == 8080
            await it.client.patch(Deployment, "web", "default", {"spec": {"replicas": 1}})
            await it.settle()
            (one,) = await slices(it)
            assert len(one.endpoints) == 1
            await it.quiet()

    run_virtual(main())


def test_deleted_and_changed_slices_come_back():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(service())
            await it.client.create(deployment(replicas=2))
            await it.settle()
            (one,) = await slices(it)
            await it.client.delete(EndpointSlice, one.metadata.name, "default")
            await it.settle(5)
            (again,) = await slices(it)
            assert again.metadata.uid != one.metadata.uid
            assert len(again.endpoints) == 2
            again.endpoints = again.endpoints[:1]
            await it.client.update(again)
            await it.settle(5)
            (fixed,) = await slices(it)
            assert len(fixed.endpoints) == 2
            await it.client.delete(Endpoints, "web", "default")
            await it.settle(5)
            old = await it.client.get(Endpoints, "web", "default")
            assert len(old.subsets[0].addresses) == 2
            await it.quiet()

    run_virtual(main())


def test_pods_that_are_not_ready_are_listed_as_such():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(service())
            await it.client.create(service("all", publishNotReadyAddresses=True))
            await it.client.create(deployment(replicas=1, image="bad"))
            await it.settle()
            (one,) = await slices(it)
            conditions = one.endpoints[0].conditions
            assert (conditions.ready, conditions.serving) == (False, False)
            old = await it.client.get(Endpoints, "web", "default")
            assert old.subsets[0].addresses is None
            assert len(old.subsets[0].notReadyAddresses) == 1
            (one,) = await slices(it, "all")
            assert one.endpoints[0].conditions.ready is True
            await it.quiet()

    run_virtual(main())


def test_a_service_that_changes_its_selector():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(service())
            await it.client.create(deployment(replicas=2))
            await it.client.create(deployment("other", replicas=1))
            await it.settle()
            patch = {"spec": {"selector": {"app": "other"}}}
            await it.client.patch(Service, "web", "default", patch)
            await it.settle(5)
            (one,) = await slices(it)
            assert [e.targetRef.name.split("-")[0] for e in one.endpoints] == ["other"]
            pod = one.endpoints[0].targetRef.name
            patch = {"metadata": {"labels": {"app": "hidden"}}}
            await it.client.patch(Pod, pod, "default", patch)
            await it.settle()
            (one,) = await slices(it)
            assert len(one.endpoints) == 1  # the replacement
            assert one.endpoints[0].targetRef.name != pod
            await it.quiet()

    run_virtual(main())


def test_many_pods_fill_several_slices():
    async def main():
        async with cluster(*ALL, max_endpoints_per_slice=10) as it:
            await it.client.create(service())
            await it.client.create(deployment(replicas=25))
            await it.settle(60)
            found = await slices(it)
            assert sum(len(one.endpoints) for one in found) == 25
            assert all(len(one.endpoints) <= 10 for one in found)
            await it.client.patch(Deployment, "web", "default", {"spec": {"replicas": 0}})
            await it.settle(60)
            (one,) = await slices(it)
            assert not one.endpoints
            await it.quiet()

    run_virtual(main())


def test_hand_made_endpoints_are_mirrored():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(service("db", selector=False))
            addresses = [EndpointAddress(ip="10.9.0.1"), EndpointAddress(ip="fd00::1")]
            subset = EndpointSubset(
                addresses=addresses, ports=[EndpointPort(name="http", port=5432)]
            )
            metadata = ObjectMeta(name="db", namespace="default", labels={"x": "y"})
            await it.client.create(Endpoints(metadata=metadata, subsets=[subset]))
            await it.settle(5)
            found = {one.addressType: one for one in await slices(it, "db")}
            assert set(found) == {"IPv4", "IPv6"}
            assert found["IPv4"].endpoints[0].addresses == ["10.9.0.1"]
            assert found["IPv4"].ports[0].port == 5432
            assert found["IPv4"].metadata.labels["x"] == "y"
            patch = {"subsets": [{"addresses": [{"ip": "10.9.0.2"}], "ports": [{"port": 1}]}]}
            await it.client.patch(Endpoints, "db", "default", patch)
            await it.settle(5)
            (one,) = await slices(it, "db")
            assert one.endpoints[0].addresses == ["10.9.0.2"]
            await it.client.delete(Endpoints, "db", "default")
            await it.settle(5)
            assert await slices(it, "db") == []
            await it.quiet()

    run_virtual(main())
