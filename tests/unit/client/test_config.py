"""Kubeconfigs, pods' credentials, and what is wrong with them."""

from __future__ import annotations

import ssl

import pytest

from kybern.client.config import (
    ClientConfig,
    ConfigError,
    in_cluster,
    load_kubeconfig,
    parse_kubeconfig,
    ssl_context,
)
from kybern.client.tls import Token
from kybern.client.transport import Unreachable

CONFIG = """
apiVersion: v1
kind: Config
current-context: one
contexts:
- name: one
  context: {cluster: c, user: u, namespace: shop}
- name: two
  context: {cluster: files, user: f}
- name: nobody
  context: {cluster: c}
- name: broken
  context: {cluster: missing, user: u}
- name: plugin
  context: {cluster: c, user: exec}
clusters:
- name: c
  cluster:
    server: https://127.0.0.1:6443/
    certificate-authority-data: Q0E=
    tls-server-name: kubernetes
- name: files
  cluster: {server: "https://[::1]:6443", certificate-authority: ca.pem}
users:
- name: u
  user: {token: secret, as: jane, as-groups: [dev]}
- name: f
  user: {tokenFile: token, client-certificate: cert.pem, client-key: key.pem}
- name: exec
  user: {exec: {command: x}}
"""


def test_data_and_names():
    config = parse_kubeconfig(CONFIG)
    assert config.server == "https://127.0.0.1:6443"
    assert (config.ca, config.token, config.namespace) == (b"CA", "secret", "shop")
    assert config.server_name == "kubernetes"
    assert (config.impersonate_user, config.impersonate_groups) == ("jane", ("dev",))
    assert "secret" not in repr(config)


def test_files_are_looked_for_beside_the_kubeconfig(tmp_path):
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "config").write_text(CONFIG)
    config = load_kubeconfig(tmp_path / "config", "two")
    assert (config.ca, config.certificate, config.key) == (b"ca.pem", b"cert.pem", b"key.pem")
    assert config.token_file == str(tmp_path / "token")
    assert config.namespace == "default"


def test_the_environment_says_which(tmp_path, monkeypatch):
    (tmp_path / "config").write_text(CONFIG)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'config'}:/nowhere")
    assert load_kubeconfig().token == "secret"


def test_a_context_without_a_user():
    assert parse_kubeconfig(CONFIG, context="nobody").token == ""


@pytest.mark.parametrize(
    ("text", "context", "sentence"),
    [
        ("", "", "empty"),
        ("{", "", "not YAML"),
        ("{contexts: []}", "", "no current-context"),
        (CONFIG, "three", "no context named 'three'"),
        (CONFIG, "broken", "no cluster named 'missing'"),
        (CONFIG, "plugin", "'exec', which is not supported"),
        (CONFIG, "two", "cannot read certificate-authority"),
        (CONFIG.replace("server: https://127.0.0.1:6443/", "x: y"), "one", "has no server"),
        (CONFIG.replace("Q0E=", "'%%%'"), "one", "not base64"),
    ],
)
def test_what_is_wrong(text, context, sentence):
    with pytest.raises(ConfigError, match=sentence):
        parse_kubeconfig(text, context=context)


def test_no_such_file():
    with pytest.raises(ConfigError, match="cannot read the kubeconfig /nowhere"):
        load_kubeconfig("/nowhere")


def test_in_a_pod(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match="not in a cluster"):
        in_cluster(tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ConfigError, match="not in a cluster"):
        in_cluster(tmp_path)
    (tmp_path / "ca.crt").write_bytes(b"CA")
    (tmp_path / "namespace").write_text("shop\n")
    config = in_cluster(tmp_path)
    assert (config.server, config.namespace) == ("https://[fd00::1]:443", "shop")
    assert config.token_file == str(tmp_path / "token")


def test_ssl_contexts():
    assert ssl_context(ClientConfig("http://127.0.0.1:8080")) is None
    insecure = ssl_context(ClientConfig("https://x", insecure=True))
    assert insecure.verify_mode is ssl.CERT_NONE
    assert ssl_context(ClientConfig("https://x")).verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(ConfigError, match="not a PEM certificate"):
        ssl_context(ClientConfig("https://x", ca=b"nonsense"))
    with pytest.raises(ConfigError, match="cannot be used"):
        ssl_context(ClientConfig("https://x", insecure=True, certificate=b"x", key=b"y"))


def test_a_token_in_a_file_is_read_again(tmp_path):
    import os

    file = tmp_path / "token"
    token = Token("", str(file))
    with pytest.raises(Unreachable, match="cannot read the token"):
        token.value()
    file.write_text("one\n")
    assert token.value() == "one"
    file.write_text("two\n")
    os.utime(file, (1, 1))
    assert token.value() == "two"
    file.unlink()
    assert token.value() == "two"  # the old one may still be good
