"""Flags with one value for each IP family, and what follows from them."""

from __future__ import annotations

import argparse

import pytest

from kybern.cluster import slots
from kybern.cluster.settings import Settings
from kybern.cmd import apiserver, flags, kubelet, node, proxy


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("10.0.0.0/16", "10.0.0.0/16"),
        ("10.0.0.0/16, fd00::/112", "10.0.0.0/16,fd00::/112"),
        ("fd00::/112,10.0.0.0/16", "fd00::/112,10.0.0.0/16"),
    ],
)
def test_networks(text: str, want: str) -> None:
    assert flags.networks(text) == want


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/16,", "10.0.0.0/16,10.1.0.0/16", "10.0.0.1/16", "a,b", "fd00::/64,x"]
)
def test_what_are_no_networks(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        flags.networks(text)


def test_addresses() -> None:
    assert flags.addresses("192.0.2.1,2001:db8::1") == "192.0.2.1,2001:db8::1"
    with pytest.raises(argparse.ArgumentTypeError, match="one of IPv4 and one of IPv6"):
        flags.addresses("192.0.2.1,192.0.2.2")
    config = kubelet.config_of(kubelet.parse(["--node-ip=192.0.2.1,2001:db8::1"]))
    assert config.node_ips == ("192.0.2.1", "2001:db8::1")


def test_the_api_server_takes_both() -> None:
    words = ["--store=memory", "--service-cluster-ip-range=10.0.0.0/16,fd00::/112"]
    assert apiserver.config_of(apiserver.parse(words)).service_cidrs == (
        "10.0.0.0/16", "fd00::/112",
    )  # fmt: skip


def test_a_proxy_for_each_family(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--cluster-cidr=10.1.0.0/16,fd01::/56",
             "--service-cluster-ip-range=fd02::/112,10.2.0.0/16"]  # fmt: skip
    found = [
        (config.family.name, config.cluster_cidr, config.service_cidr)
        for config in proxy.configs_of(proxy.parse(words))
    ]
    assert found == [("IPv4", "10.1.0.0/16", "10.2.0.0/16"), ("IPv6", "fd01::/56", "fd02::/112")]
    [only] = proxy.configs_of(proxy.parse([]))
    assert only.family.name == "IPv4"
    with pytest.raises(SystemExit):
        proxy.parse(words[:1])
    assert "of the same families" in capsys.readouterr().err


def test_the_parts_of_a_node_agree() -> None:
    settings = Settings(
        data_dir="/x", node_name="a", node_ip="192.0.2.1", node_ip6="2001:db8::1",
        **slots.networks(3, dual_stack=True),
    )  # fmt: skip
    four, six = node.proxy_configs(settings)
    assert (four.balancer_cidr, six.balancer_cidr) == settings.balancer_cidrs
    assert six.service_cidr == "fd6b:7962:3:ffff::/112"
    config = node.kubelet_config(node.Directory(node.Path("/x")), settings)
    assert config.node_ips == ("192.0.2.1", "2001:db8::1")
