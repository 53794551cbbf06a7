"""The Service under which pods find DNS, and whose server answers."""

import asyncio

from tests.unit.controllers.cluster import cluster

from kybern.api.core.v1 import Node, NodeAddress, NodeCondition, NodeStatus, Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.rbac.v1 import Role
from kybern.cluster.settings import Settings
from kybern.cmd import cluster_dns
from kybern.lib.clock import run_virtual

SETTINGS = Settings(data_dir="/x", dns_ip="10.96.0.10")


async def told_in(story):
    async with cluster(nodes=False) as it:
        await it.namespace("kube-system")
        await story(it)


def node(name, address, port="10055", ready="True"):
    return Node(
        metadata=ObjectMeta(name=name, annotations={cluster_dns.ANNOTATION: port}),
        status=NodeStatus(
            addresses=[NodeAddress(type="InternalIP", address=address)],
            conditions=[NodeCondition(type="Ready", status=ready)],
        ),
    )


def test_each_node_has_an_endpoint_for_its_own_pods():
    found = cluster_dns.endpoint_slice(node("box", "10.1.2.3"))
    [endpoint] = found.endpoints
    assert (endpoint.addresses, endpoint.nodeName) == (["10.1.2.3"], "box")
    assert [each.name for each in endpoint.hints.forNodes] == ["box"]
    assert endpoint.conditions.ready
    assert {(p.name, p.port, p.protocol) for p in found.ports} == {
        ("dns", 10055, "UDP"), ("dns-tcp", 10055, "TCP"),
    }  # fmt: skip
    service = cluster_dns.service("10.96.0.10")
    assert {p.name for p in found.ports} == {p.name for p in service.spec.ports}
    assert found.metadata.labels["kubernetes.io/service-name"] == service.metadata.name


def test_a_node_that_is_lost_answers_nobody():
    lost = cluster_dns.endpoint_slice(node("box", "10.1.2.3", ready="Unknown"))
    assert not lost.endpoints[0].conditions.ready


def test_a_node_without_a_server_has_no_endpoint():
    assert cluster_dns.endpoint_slice(node("box", "10.1.2.3", port="")) is None
    assert cluster_dns.endpoint_slice(node("box", "10.1.2.3", port="no")) is None


def test_nodes_that_come_move_and_go_are_followed():
    async def story(it):
        keeper = cluster_dns.Keeper(it.client, it.informers, SETTINGS)
        it.tasks.spawn_forever(keeper.run, "dns")
        client = it.client

        async def addresses():
            slices, _ = await client.list(EndpointSlice, "kube-system")
            return {s.metadata.name: s.endpoints[0].addresses for s in slices}

        await client.create(node("one", "10.1.2.3"))
        await client.create(node("two", "10.1.2.4"))
        await client.create(node("three", "10.1.2.5", port=""))
        await asyncio.sleep(1)
        wanted = {"kube-dns-one": ["10.1.2.3"], "kube-dns-two": ["10.1.2.4"]}
        assert await addresses() == wanted
        found = await client.get(Service, "kube-dns", "kube-system")
        assert found.spec.clusterIP == "10.96.0.10"
        role = await client.get(Role, "kybern:dns-config", "kube-system")
        assert role.rules[0].resourceNames == ["kybern-dns"]
        body = {"status": {"addresses": [{"type": "InternalIP", "address": "10.9.9.9"}]}}
        await client.patch(Node, "one", "", body, subresource="status")
        await client.delete(Node, "two")
        await asyncio.sleep(1)
        assert await addresses() == {"kube-dns-one": ["10.9.9.9"]}

    run_virtual(told_in(story))


def test_a_node_says_where_its_server_listens():
    async def story(it):
        client = it.client
        cluster_dns.publish(client, it.informers, it.tasks, "one", 10055)
        for name in ("one", "two"):
            await client.create(Node(metadata=ObjectMeta(name=name)))
        await asyncio.sleep(1)
        told = {
            n.metadata.name: (n.metadata.annotations or {}).get(cluster_dns.ANNOTATION)
            for n in (await client.list(Node))[0]
        }
        assert told == {"one": "10055", "two": None}

    run_virtual(told_in(story))
