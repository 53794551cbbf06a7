"""A machine joins a cluster that runs in this process, over TLS."""

import asyncio

import pytest
from tests.ports import free_port

from kybern.api.core.v1 import Node, Secret
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.config import load_kubeconfig
from kybern.client.rest import Client
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.cluster import certificates, join, join_tokens, kubeconfigs
from kybern.cluster.directory import Directory
from kybern.cluster.join_discovery import JoinError, discover
from kybern.cluster.settings import Settings
from kybern.cmd.control_plane import control_plane
from kybern.lib import pki
from kybern.lib.clock import SYSTEM


class World:
    """A control plane, and an empty directory for the machine that joins."""

    def __init__(self, root):
        self.home, self.there = Directory(root / "home"), Directory(root / "there")
        self.settings = Settings(
            data_dir=str(self.home.root), port=free_port(), control_plane_only=True, store="memory",
            node_monitor_grace=20.0,
        )  # fmt: skip
        for directory in (self.home, self.there):
            directory.make()
        certificates.ensure(self.home, self.settings)
        kubeconfigs.write(self.home, self.settings)
        self.authority = (self.home.pki / "ca.crt").read_bytes()
        self.ca_hash = pki.public_key_hash(self.authority)

    async def run(self, story):
        """Run the story beside the control plane, with an administrator's client."""
        serving = asyncio.create_task(control_plane(self.home, self.settings))
        admin = as_in(self.home.admin_kubeconfig)
        try:
            while True:
                try:
                    await admin.raw("GET", "/readyz")
                    break
                except Unreachable:
                    await asyncio.sleep(0.02)
            return await story(admin)
        finally:
            await admin.transport.close()
            serving.cancel()
            await asyncio.wait([serving])

    async def join(self, token, ca_hash="", name="worker"):
        return await join.join_node(
            self.settings.server, token, ca_hash, name, self.there, ("127.0.0.1",)
        )


def as_in(path):
    return Client(TlsTransport(load_kubeconfig(path)), SYSTEM)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_machine_becomes_a_node_and_holds_only_what_is_its_own(world, live):
    async def story(admin):
        secret = await join_tokens.create(admin)
        facts = await world.join(join_tokens.text(secret))
        assert facts.service_cidr == world.settings.service_cidr
        assert facts.dns_ip == world.settings.dns_ip
        assert facts.cluster_cidr == world.settings.cluster_cidr
        assert facts.node_monitor_grace == world.settings.node_monitor_grace == 20.0
        subject, _, _ = pki.parse_certificate((world.there.pki / "kubelet-client.crt").read_bytes())
        assert (subject.common_name, subject.organizations) == (
            "system:node:worker", ("system:nodes",)
        )  # fmt: skip
        serving, _, _ = pki.parse_certificate((world.there.pki / "kubelet.crt").read_bytes())
        assert serving.ip_addresses == ("127.0.0.1",)
        files = {path.name for path in world.there.pki.iterdir()}
        assert files == {
            "ca.crt", "kubelet-client.crt", "kubelet-client.key", "kubelet.crt", "kubelet.key"
        }  # fmt: skip
        proxy = as_in(world.there.kubeconfigs / "proxy.kubeconfig")
        try:
            for path in (
                "/api/v1/services", "/api/v1/nodes", "/apis/discovery.k8s.io/v1/endpointslices",
            ):  # fmt: skip
                await proxy.raw("GET", path)
            await join_tokens.delete(admin, join_tokens.text(secret))
            before = (world.there.pki / "kubelet-client.crt").read_bytes()
            await world.join("")  # the token is not needed again
            assert (world.there.pki / "kubelet-client.crt").read_bytes() == before
        finally:
            await proxy.transport.close()

    live(world.run(story))


def test_a_certificate_that_runs_out_is_renewed_without_a_token(world, live, monkeypatch):
    async def story(admin):
        secret = await join_tokens.create(admin)
        await world.join(join_tokens.text(secret))
        before = (world.there.pki / "kubelet-client.crt").read_bytes()
        monkeypatch.setattr(join, "RENEW_BEFORE", 400 * pki.DAY)
        await world.join("")
        assert (world.there.pki / "kubelet-client.crt").read_bytes() != before

    live(world.run(story))


def test_the_authority_is_proved_by_the_token_or_by_its_hash(world, live):
    async def story(admin):
        token = join_tokens.text(await join_tokens.create(admin))
        server = world.settings.server
        assert await discover(server, token, "") == world.authority
        assert await discover(server, join_tokens.invent(), world.ca_hash) == world.authority
        with pytest.raises(JoinError, match="is not the one whose --ca-hash"):
            await discover(server, token, "sha256:" + "0" * 64)
        with pytest.raises(JoinError, match="does not prove that it knows the token"):
            await discover(server, token[:7] + "0" * 16, "")
        with pytest.raises(JoinError, match="looks like abcdef"):
            await discover(server, "rubbish", "")

    live(world.run(story))


def test_a_cluster_that_is_not_there_is_one_sentence(world, live):
    with pytest.raises(JoinError, match="no API server answers at https://127.0.0.1:1:"):
        live(discover("https://127.0.0.1:1", join_tokens.invent(), ""))


def test_who_may_not_join_is_told_why(world, live):
    async def story(admin):
        with pytest.raises(JoinError, match="does not know the token"):
            await world.join(join_tokens.invent(), world.ca_hash)
        node = Node(metadata=ObjectMeta(name="worker"))
        node = await admin.create(node)
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        await admin.patch(Node, "worker", "", {"status": ready}, subresource="status")
        token = join_tokens.text(await join_tokens.create(admin))
        with pytest.raises(JoinError, match="has a node worker already"):
            await world.join(token, world.ca_hash)
        assert not (world.there.pki / "kubelet-client.crt").exists()

    live(world.run(story))


def test_tokens_are_listed_and_deleted(world, live):
    async def story(admin):
        secret = await join_tokens.create(admin, ttl=60.0, description="for the cellar")
        assert isinstance(secret, Secret)
        (found,) = await join_tokens.listing(admin)
        assert found.token == join_tokens.text(secret)
        assert found.usages == ("authentication", "signing")
        assert found.groups == (join_tokens.NODES,)
        assert found.description == "for the cellar"
        assert 0 < found.expires - SYSTEM.now() <= 60
        assert await join_tokens.delete(admin, found.token)
        assert not await join_tokens.delete(admin, found.token)

    live(world.run(story))
