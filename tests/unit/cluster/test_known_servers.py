"""A node knows the API servers there are, also after a restart."""

import asyncio

from tests.unit.apiserver.harness import Server

from kybern.client.in_process import InProcessTransport
from kybern.client.informer import Informers
from kybern.client.rest import Client
from kybern.client.transport import MASTER
from kybern.cluster import known_servers
from kybern.cluster.directory import Directory
from kybern.lib.clock import SYSTEM
from kybern.lib.tasks import Tasks

FIRST = "https://127.0.0.1:6443"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


def a_slice(name, service, *addresses, port=6443):
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]} for address in addresses],
        "ports": [{"name": "https", "port": port}],
    }


def test_servers_are_learned_and_remembered(live, tmp_path):
    async def story():
        directory = Directory(tmp_path)
        servers = known_servers.load(directory, FIRST)
        assert servers.urls == (FIRST,)
        async with Server(advertise_address="192.0.2.1") as server, Tasks("test") as tasks:
            client = Client(InProcessTransport(server.api.app, MASTER), SYSTEM)
            informers = Informers(client, tasks)
            known_servers.follow(informers, servers, directory)
            await informers.wait_synced()
            assert servers.urls == (FIRST, "https://192.0.2.1:6443")
            await server.post(
                SLICES, a_slice("kubernetes-7443", "kubernetes", "192.0.2.2", port=7443)
            )
            await server.post(SLICES, a_slice("other", "other", "192.0.2.9"))
            everybody = (FIRST, "https://192.0.2.1:6443", "https://192.0.2.2:7443")
            while servers.urls != everybody:
                await asyncio.sleep(0)
            servers.failed(FIRST)
            assert servers.current == "https://192.0.2.1:6443"
        assert known_servers.load(directory, FIRST).urls == everybody

    live(story())


def test_a_damaged_list_is_no_reason_not_to_start(tmp_path):
    (tmp_path / "servers.json").write_text("rubbish")
    assert known_servers.load(Directory(tmp_path), FIRST).urls == (FIRST,)
