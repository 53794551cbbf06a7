"""The Service under which pods find DNS."""

import asyncio

from kybern.api.core.v1 import Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.api.errors import NotFound
from kybern.cluster.settings import Settings
from kybern.cmd import cluster_dns

SETTINGS = Settings(
    data_dir="/x", dns_ip="10.98.0.10", dns_port=10055, node_ip="10.1.2.3", node_name="box"
)


class Client:
    """Keeps objects by kind."""

    def __init__(self, *objects):
        self.kept = {type(obj): obj for obj in objects}
        self.calls = []

    async def get(self, what, name, namespace):
        assert namespace == "kube-system"
        if what not in self.kept:
            raise NotFound("there is none", {})
        return self.kept[what]

    async def create(self, obj):
        self.calls.append("create")
        self.kept[type(obj)] = obj

    async def update(self, obj):
        assert obj.metadata.resourceVersion == self.kept[type(obj)].metadata.resourceVersion
        self.calls.append("update")
        self.kept[type(obj)] = obj


def test_service_and_endpoint_lead_to_the_nodes_server():
    client = Client()
    asyncio.run(cluster_dns.ensure(client, SETTINGS))
    service, endpoints = client.kept[Service], client.kept[EndpointSlice]
    assert service.spec.clusterIP == "10.98.0.10"
    assert {(p.port, p.targetPort, p.protocol) for p in service.spec.ports} == {
        (53, 10055, "UDP"), (53, 10055, "TCP"),
    }  # fmt: skip
    assert endpoints.endpoints[0].addresses == ["10.1.2.3"]
    assert {(p.name, p.port) for p in endpoints.ports} == {
        (p.name, p.targetPort) for p in service.spec.ports
    }
    assert endpoints.metadata.labels["kubernetes.io/service-name"] == service.metadata.name


def test_a_node_that_moved_is_followed():
    moved = cluster_dns.endpoint_slice(SETTINGS)
    moved.endpoints[0].addresses = ["10.9.9.9"]
    moved.metadata.resourceVersion = "7"
    client = Client(cluster_dns.service(SETTINGS), moved)
    asyncio.run(cluster_dns.ensure(client, SETTINGS))
    assert "create" not in client.calls
    assert client.kept[EndpointSlice].endpoints[0].addresses == ["10.1.2.3"]
