"""One more control plane gets what control planes share, and nobody else does."""

import msgspec
import pytest
from tests.unit.cluster.test_join import World

from kybern.api import errors
from kybern.api.core.v1 import Secret
from kybern.client.config import ClientConfig
from kybern.client.rest import Client
from kybern.client.tls import TlsTransport
from kybern.cluster import certificates, join_bundle, join_tokens
from kybern.cluster.join_discovery import JoinError
from kybern.cluster.join_server import NAME, join_server, needs_shared, offer
from kybern.cluster.settings import Settings
from kybern.lib.clock import SYSTEM


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    for name in ("ca", "cert", "key", "encryption"):
        (tmp_path / name).write_text(f"the {name} for etcd")
    made.shared = msgspec.structs.replace(
        made.settings,
        store=f"etcd://10.0.0.1:2379?cafile={tmp_path}/ca&certfile={tmp_path}/cert"
        f"&keyfile={tmp_path}/key&prefix=/here",
        service_cidr="10.99.0.0/16",
        token="a-static-token",
        encryption_provider_config=f"{tmp_path}/encryption",
    )
    return made


def test_the_keys_of_the_cluster_and_its_settings_arrive(world, live):
    async def story(admin):
        token = await offer(admin, world.home, world.shared, ttl=60.0)
        found = await join_server(world.settings.server, token, "", world.there)
        for name in join_bundle.FILES:
            assert (world.there.pki / name).read_bytes() == (world.home.pki / name).read_bytes()
        assert (world.there.pki / "ca.key").stat().st_mode & 0o777 == 0o600
        assert (world.there.pki / "etcd/keyfile").read_text() == "the key for etcd"
        pki = world.there.pki
        assert found["store"] == (
            f"etcd://10.0.0.1:2379?cafile={pki}/etcd/cafile&certfile={pki}/etcd/certfile"
            f"&keyfile={pki}/etcd/keyfile&prefix=/here"
        )
        assert found["encryption_provider_config"] == f"{pki}/encryption.yaml"
        assert (pki / "encryption.yaml").read_text() == "the encryption for etcd"
        chosen = Settings(data_dir=str(world.there.root), **found)
        assert (chosen.service_cidr, chosen.token) == ("10.99.0.0/16", "a-static-token")
        certificates.ensure(world.there, chosen)  # what follows from the keys can be made

    live(world.run(story))


def test_only_the_token_may_read_it_and_only_its_key_opens_it(world, live):
    async def story(admin):
        token = await offer(admin, world.home, world.shared, ttl=60.0)
        server, about = world.settings.server, token[:6]
        nodes = join_tokens.text(await join_tokens.create(admin))
        transport = TlsTransport(ClientConfig(server, ca=world.authority, token=nodes))
        with pytest.raises(errors.Forbidden):
            await Client(transport, SYSTEM).get(Secret, NAME + about, "kube-system")
        await transport.close()
        with pytest.raises(JoinError, match="is one for nodes"):
            await join_server(server, nodes, "", world.there)
        with pytest.raises(JoinError, match="not the key"):
            await join_server(server, token[:-64] + "0" * 64, "", world.there)
        secret = await admin.get(Secret, NAME + about, "kube-system")
        assert secret.metadata.ownerReferences[0].name == f"bootstrap-token-{about}"
        await join_tokens.delete(admin, about)
        with pytest.raises(JoinError, match="may have expired"):
            await join_server(server, token, world.ca_hash, world.there)
        assert list(world.there.pki.iterdir()) == []

    live(world.run(story))


def test_a_store_of_ones_own_cannot_be_joined(world, live):
    async def story(admin):
        with pytest.raises(JoinError, match=r"in memory.*`kybern store migrate`"):
            await offer(admin, world.home, world.settings, ttl=60.0)
        assert await join_tokens.listing(admin) == []

    live(world.run(story))
    assert "in one SQLite file" in needs_shared(Settings(data_dir="/x"))
    assert needs_shared(world.shared) == ""


def test_a_bundle_opens_only_as_what_it_was_sealed_as():
    bundle, key = join_bundle.Bundle({"store": "x"}, {"ca.crt": b"\0"}), join_bundle.new_key()
    sealed = join_bundle.seal(bundle, key, "abcdef")
    assert join_bundle.unseal(sealed, key, "abcdef") == bundle
    for data, with_key, about in (
        (sealed, key, "abcdeg"),
        (sealed, join_bundle.new_key(), "abcdef"),
        (sealed[:-1] + b"\0", key, "abcdef"),
        (b"", key, "abcdef"),
    ):
        with pytest.raises(join_bundle.SealError):
            join_bundle.unseal(data, with_key, about)


def test_a_bundle_writes_nowhere_else(world):
    files = {"../evil": b"x", "etcd/../../evil": b"x", "ca.crt": b"y"}
    join_bundle.unpack(join_bundle.Bundle({"store": "etcd://a:1"}, files), world.there)
    assert [path.name for path in world.there.pki.iterdir()] == ["ca.crt"]
    assert not (world.there.root / "evil").exists()
