"""A machine gets a certificate for a token, and nobody reads secrets from the disk."""

import base64
import json
import secrets
import shutil
from pathlib import Path

import pytest

from kybern.lib import pki
from tests.ports import free_port

from .conftest import Cluster, eventually, short_directory, traces

TOKEN = "abcdef.0123456789abcdef"
NEEDLE = "correct horse battery staple"


@pytest.fixture
def cluster():
    directory = Path(short_directory())
    made = Cluster(directory, free_port())
    yield made
    made.kybern("down", "--purge", check=False)
    shutil.rmtree(directory, ignore_errors=True)
    assert traces(directory) == []


def configuration(*providers):
    listed = [
        {name: {"keys": [{"name": key, "secret": secret}]} if key else {}}
        for name, key, secret in providers
    ]
    return json.dumps(
        {
            "kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1",
            "resources": [{"resources": ["secrets"], "providers": listed}],
        }
    )  # fmt: skip


def on_disk(cluster):
    return b"".join(file.read_bytes() for file in (cluster.directory / "store").iterdir())


def test_secrets_are_encrypted_and_keys_rotated(cluster, tmp_path):
    file = tmp_path / "encryption.json"
    old, new = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    file.write_text(configuration(("aesgcm", "old", old), ("identity", "", "")))
    said = ("--control-plane-only", "--encryption-provider-config", str(file))
    cluster.up(*said)
    cluster.kubectl("create", "secret", "generic", "s", f"--from-literal=a={NEEDLE}")
    encoded = base64.b64encode(NEEDLE.encode()).decode()
    assert encoded.encode() not in on_disk(cluster)
    assert b"k8s:enc:aesgcm:v1:old:" in on_disk(cluster)
    cluster.kybern("down")

    file.write_text(configuration(("secretbox", "new", new), ("aesgcm", "old", old)))
    cluster.up()
    everything = cluster.kubectl("get", "secrets", "-A", "-o", "json")
    cluster.kubectl("replace", "-f", "-", stdin=everything)
    assert b"k8s:enc:secretbox:v1:new:" in on_disk(cluster)
    assert cluster.get("secret", "s")["data"] == {"a": encoded}
    assert encoded.encode() not in on_disk(cluster)


def test_a_token_becomes_a_certificate(cluster, tmp_path):
    cluster.up("--control-plane-only")
    group = "system:bootstrappers:kubeadm:default-node-token"
    values = {
        "token-id": TOKEN[:6], "token-secret": TOKEN[7:], "auth-extra-groups": group,
        "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
    }  # fmt: skip
    cluster.kubectl(
        "-n", "kube-system", "create", "secret", "generic", f"bootstrap-token-{TOKEN[:6]}",
        "--type=bootstrap.kubernetes.io/token",
        *(f"--from-literal={key}={value}" for key, value in values.items()),
    )  # fmt: skip

    kubeconfig = tmp_path / "joining.kubeconfig"
    server = f"--server=https://127.0.0.1:{cluster.port}"
    trust = ("--embed-certs", f"--certificate-authority={cluster.directory}/pki/ca.crt")
    mine = ("--kubeconfig", str(kubeconfig))
    for words in (
        ("set-cluster", "c", server, *trust),
        ("set-credentials", "u", f"--token={TOKEN}"),
        ("set-context", "x", "--cluster=c", "--user=u"),
        ("use-context", "x"),
    ):
        cluster.kubectl("config", *words, *mine)
    info = cluster.get("configmap", "cluster-info", namespace="kube-public")["data"]
    assert f":{cluster.port}" in info["kubeconfig"]
    eventually(lambda: cluster.get("configmap", "cluster-info", namespace="kube-public")["data"]
               .get(f"jws-kubeconfig-{TOKEN[:6]}"))  # fmt: skip

    key = pki.make_key()
    wanted = pki.Subject("system:node:far", ("system:nodes",))
    body = {
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": "far"},
        "spec": {
            "request": base64.b64encode(pki.make_request(wanted, key)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        },
    }  # fmt: skip
    cluster.kubectl(*mine, "create", "-f", "-", stdin=json.dumps(body))
    issued = eventually(lambda: cluster.get("csr", "far")["status"].get("certificate"))
    certificate, private = tmp_path / "far.crt", tmp_path / "far.key"
    certificate.write_bytes(base64.b64decode(issued))
    private.write_bytes(key)
    shown = (f"--client-certificate={certificate}", f"--client-key={private}")
    cluster.kubectl("config", "set-credentials", "node", *shown, *mine)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "far"}}
    me = ("--user=node", *mine)
    cluster.kubectl(*me, "create", "-f", "-", stdin=json.dumps(node))
    node["metadata"]["name"] = "near"
    refused = cluster.kubectl(*me, "create", "-f", "-", stdin=json.dumps(node), check=False)
    assert 'node "far" is not allowed to modify node "near"' in refused.stderr

    cluster.kubectl("-n", "kube-system", "delete", "secret", f"bootstrap-token-{TOKEN[:6]}")
    refused = cluster.kubectl(*mine, "get", "csr", check=False)
    assert "You must be logged in to the server" in refused.stderr
