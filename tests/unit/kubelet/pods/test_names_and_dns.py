"""Host names, hosts files, resolver configurations, image names, pull secrets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.unit.kubelet.making import pod

from kybern.api.core.v1 import Secret
from kybern.kubelet.pods import names
from kybern.kubelet.pods.dns import Resolver, parse_resolv_conf, pod_dns
from kybern.kubelet.pods.image_names import BadImageName, registry, with_tag
from kybern.kubelet.pods.pull_secrets import credentials_for

NODE = Resolver(("1.1.1.1",), ("corp.test",), ("timeout:2", "ndots:1"))


def test_host_names() -> None:
    assert names.host_name(pod(), "vm") == "web"
    assert names.host_name(pod(hostname="other"), "vm") == "other"
    assert names.host_name(pod(hostNetwork=True), "vm") == "vm"
    assert names.short_name(pod(name="a" * 62 + "-b")) == "a" * 62
    sub = pod(subdomain="sub")
    assert names.sandbox_host_name(sub, "vm", "cluster.local") == "web"
    full = pod(subdomain="sub", setHostnameAsFQDN=True)
    assert names.sandbox_host_name(full, "vm", "c.l") == "web.sub.shop.svc.c.l"
    with pytest.raises(ValueError, match="too long"):
        names.sandbox_host_name(full, "vm", "x" * 60)


def test_hosts_files() -> None:
    aliases = [{"ip": "9.9.9.9", "hostnames": ["nine", "neuf"]}]
    text = names.hosts_file(pod(subdomain="sub", hostAliases=aliases), ("10.0.0.5",), "c.l", "")
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "10.0.0.5\tweb.sub.shop.svc.c.l\tweb\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n9.9.9.9\tnine\tneuf\n")
    text = names.hosts_file(pod(hostNetwork=True), ("1.2.3.4",), "c.l", "127.0.0.1 vm\n")
    assert text == "# Kubernetes-managed hosts file (host network).\n127.0.0.1 vm\n"


def test_resolv_conf_is_parsed() -> None:
    text = "# c\nnameserver 1.1.1.1\nnameserver ::1 ; c\nsearch a.test. b.test\noptions ndots:2 x\n"
    assert parse_resolv_conf(text) == Resolver(
        ("1.1.1.1", "::1"), ("a.test", "b.test"), ("ndots:2", "x")
    )


@pytest.mark.parametrize(
    ("spec", "servers", "searches", "options"),
    [
        (
            {},
            ["10.96.0.10"],
            ["shop.svc.c.l", "svc.c.l", "c.l", "corp.test"],
            ["ndots:5", "timeout:2"],
        ),
        ({"dnsPolicy": "Default"}, ["1.1.1.1"], ["corp.test"], ["timeout:2", "ndots:1"]),
        ({"hostNetwork": True}, ["1.1.1.1"], ["corp.test"], ["timeout:2", "ndots:1"]),
        (
            {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
            ["10.96.0.10"],
            ["shop.svc.c.l", "svc.c.l", "c.l", "corp.test"],
            ["ndots:5", "timeout:2"],
        ),
        (
            {
                "dnsPolicy": "None",
                "dnsConfig": {
                    "nameservers": ["8.8.8.8"],
                    "searches": ["x.test"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
                },
            },
            ["8.8.8.8"],
            ["x.test"],
            ["ndots:2", "edns0"],
        ),
        (
            {"dnsConfig": {"searches": ["c.l", "y"], "options": [{"name": "ndots", "value": "3"}]}},
            ["10.96.0.10"],
            ["shop.svc.c.l", "svc.c.l", "c.l", "corp.test", "y"],
            ["ndots:3", "timeout:2"],
        ),
    ],
)
def test_dns_of_pods(spec: Any, servers: Any, searches: Any, options: Any) -> None:
    config = pod_dns(pod(**spec), NODE, ("10.96.0.10",), "c.l")
    assert (config.servers, config.searches, config.options) == (servers, searches, options)


def test_dns_without_a_cluster_dns_is_the_nodes() -> None:
    assert pod_dns(pod(), NODE, (), "c.l").servers == ["1.1.1.1"]


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1.36", "busybox:1.36"),
        ("reg.test:5000/a/b", "reg.test:5000/a/b:latest"),
        ("reg.test:5000/a/b:1", "reg.test:5000/a/b:1"),
        ("a@sha256:" + "0" * 64, "a@sha256:" + "0" * 64),
        ("localhost/x", "localhost/x:latest"),
    ],
)
def test_image_names(name: str, full: str) -> None:
    assert with_tag(name) == full


@pytest.mark.parametrize("name", ["", "Upper", "a b", "a:", "a//b", "-x", "a:b:c", "a@sha256:12"])
def test_bad_image_names(name: str) -> None:
    with pytest.raises(BadImageName) as bad:
        with_tag(name)
    assert str(bad.value).startswith(
        f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": invalid'
    )


def test_registries() -> None:
    assert registry("busybox:1") == "docker.io"
    assert registry("library/busybox") == "docker.io"
    assert registry("reg.test/x") == "reg.test"
    assert registry("localhost:5000/x") == "localhost:5000"


def test_credentials_fit_their_registry() -> None:
    pair = base64.b64encode(b"ann:pw").decode()
    auths = {
        "https://reg.test/v2/": {"auth": pair},
        "reg.test/team": {"username": "bob", "password": "x"},
        "https://index.docker.io/v1/": {"username": "hub", "password": "y"},
    }
    data = base64.b64encode(json.dumps({"auths": auths}).encode()).decode()
    secret = Secret(data={".dockerconfigjson": data})
    assert [a.username for a in credentials_for("reg.test/team/x:1", [secret])] == ["bob", "ann"]
    assert [a.username for a in credentials_for("reg.test/x:1", [secret])] == ["ann"]
    assert [a.username for a in credentials_for("busybox:1", [secret])] == ["hub"]
    assert credentials_for("other.test/x", [secret]) == []
    broken = Secret(data={".dockerconfigjson": "bm90anNvbg=="})
    assert credentials_for("busybox", [broken]) == []
