"""Services of type LoadBalancer get addresses, against the real API server."""

from __future__ import annotations

import asyncio

from tests.unit.controllers.cluster import cluster

from kybern.api.core.v1 import Event, Service, ServicePort, ServiceSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import run_virtual


def balancers(story, pool="192.0.2.0/30"):
    async def main():
        options = {"load_balancer_cidrs": (pool,)}
        async with cluster("service", nodes=False, **options) as it:
            await story(it)
            await it.quiet()

    run_virtual(main())


def service(name, kind="LoadBalancer", **spec):
    ports = [ServicePort(port=80)]
    return Service(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=ServiceSpec(type=kind, ports=ports, **spec),
    )


async def shown(it):
    await asyncio.sleep(5)
    found = {}
    for one in (await it.client.list(Service, "default"))[0]:
        if one.metadata.name != "kubernetes":
            ingress = (one.status.loadBalancer and one.status.loadBalancer.ingress) or []
            found[one.metadata.name] = [i.ip for i in ingress]
    return found


async def told(it, name):
    await asyncio.sleep(5)
    events = (await it.client.list(Event, "default"))[0]
    return {e.reason: e.message for e in events if e.involvedObject.name == name}


def test_addresses_come_and_go():
    async def story(it):
        for name in ("a", "b"):
            await it.client.create(service(name))
        await it.client.create(service("c", loadBalancerClass="example.com/other"))
        found = await shown(it)
        assert sorted(found["a"] + found["b"]) == ["192.0.2.1", "192.0.2.2"]
        assert found["c"] == []
        assert await told(it, "a") == {
            "EnsuringLoadBalancer": "Ensuring load balancer",
            "EnsuredLoadBalancer": "Ensured load balancer",
        }
        await it.restart_controllers()
        assert await shown(it) == found
        # a third waits until an address is given back
        await it.client.create(service("d"))
        assert (await shown(it))["d"] == []
        assert (await told(it, "d"))["SyncLoadBalancerFailed"] == (
            "Error syncing load balancer: failed to ensure load balancer: "
            "no address of the pool 192.0.2.0/30 is free"
        )
        await it.client.delete(Service, "a", "default")
        assert (await shown(it))["d"] == found["a"]
        # another type gives it back, too
        change = {"spec": {"type": "ClusterIP"}}
        await it.client.patch(Service, "d", "default", change, type="merge")
        assert (await shown(it))["d"] == []
        assert "DeletedLoadBalancer" in await told(it, "d")

    balancers(story)


def test_wishes_and_what_others_gave():
    async def story(it):
        await it.client.create(service("a", loadBalancerIP="192.0.2.2"))
        await it.client.create(service("b", loadBalancerIP="203.0.113.1"))
        assert await shown(it) == {"a": ["192.0.2.2"], "b": []}
        assert "203.0.113.1 is not in the pool" in (await told(it, "b"))["SyncLoadBalancerFailed"]
        body = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}
        await it.client.patch(Service, "b", "default", body, type="merge", subresource="status")
        assert (await shown(it))["b"] == ["203.0.113.1"]

    balancers(story)
