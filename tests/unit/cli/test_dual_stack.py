"""Clusters of both IP families: what `kybern up` and `kybern agent` are told and write down."""

from __future__ import annotations

import pytest

from kybern.cli.verbs import agent, up
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cluster.join import Facts

OFF = "IPv6 is turned off on this machine: turn it on."


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine with IPv6 where everything starts at once, in slot 2."""
    monkeypatch.setattr(up.processes, "start", lambda *_: None)
    monkeypatch.setattr(up.readiness, "wait_server", lambda *_, **__: None)
    monkeypatch.setattr(up.readiness, "wait_nodes", lambda *_, **__: None)
    monkeypatch.setattr(up.prerequisites, "missing", lambda **_: [])
    monkeypatch.setattr(up.prerequisites, "no_ipv6", lambda: "")
    monkeypatch.setattr(up.slots, "port_is_free", lambda *_, **__: True)
    monkeypatch.setattr(up.slots, "claim", lambda root, earlier=None: 2)
    monkeypatch.setattr(up.slots, "host_name", lambda: "box")
    monkeypatch.setattr(up.slots, "node_address", lambda: "10.1.2.3")
    monkeypatch.setattr(up.slots, "node_address6", lambda: "2001:db8::3")


@pytest.fixture
def start(kybern, tmp_path):
    """Run `kybern up`; return the settings, or what it said."""

    def run(*words):
        done = kybern("up", "--data-dir", tmp_path / "data", *words)
        if done.code:
            return done.err
        return settings_file.load(tmp_path / "data/cluster.json")

    return run


def test_networks_of_the_slot(start):
    chosen = start("--dual-stack")
    assert chosen.service_cidrs == ("10.98.0.0/16", "fd6b:7962:2:ffff::/112")
    assert chosen.cluster_cidrs == ("10.246.0.0/16", "fd6b:7962:2::/56")
    assert chosen.gateways == ("10.178.0.1", "fd6b:7962:2:100::1")
    assert chosen.balancer_cidrs == ("10.178.1.0/24", "fd6b:7962:2:101::/64")
    assert (chosen.node_ip, chosen.node_ip6) == ("10.1.2.3", "2001:db8::3")
    assert chosen.dns_ip == "10.98.0.10"
    assert start() == start("--dual-stack") == chosen  # what is not said stays


def test_networks_of_ones_own(start):
    chosen = start("--service-cidr", "10.50.0.0/20,fd50::/108", "--cluster-cidr",
                   "10.60.0.0/16,fd60::/48")  # fmt: skip
    assert chosen.service_cidr == "10.50.0.0/20,fd50::/108"
    assert chosen.cluster_cidr == "10.60.0.0/16,fd60::/48"
    assert chosen.node_cidrs == ("10.178.0.0/24", "fd6b:7962:2:100::/64")
    assert (chosen.dns_ip, chosen.kubernetes_ip) == ("10.50.0.10", "10.50.0.1")
    assert start() == chosen


def test_one_network_brings_the_other(start):
    chosen = start("--service-cidr", "10.50.0.0/20,fd50::/108")
    assert chosen.cluster_cidr == "10.246.0.0/16,fd6b:7962:2::/56"


def test_one_family_of_ones_own(start):
    chosen = start("--cluster-cidr", "10.60.0.0/16")
    assert (chosen.cluster_cidr, chosen.service_cidr) == ("10.60.0.0/16", "10.98.0.0/16")
    assert not chosen.dual_stack
    assert chosen.node_ip6 == ""


def test_without_being_asked_there_is_no_ipv6(start):
    chosen = start()
    assert ":" not in f"{chosen.service_cidr}{chosen.cluster_cidr}{chosen.node_cidr}"
    assert (chosen.node_ip6, chosen.dual_stack) == ("", False)


@pytest.mark.parametrize("words", [("--dual-stack",), ("--cluster-cidr", "10.61.0.0/16")])
def test_a_cluster_keeps_its_networks(start, words):
    start()
    assert "has its networks for good" in start(*words)
    assert start().cluster_cidr == "10.246.0.0/16"


def test_a_running_cluster_does_too(start, tmp_path, monkeypatch):
    start()
    monkeypatch.setattr(up.processes, "find", lambda _: (1, []))
    assert "has its networks for good" in start("--dual-stack")


def test_in_memory_everything_begins_anew(start):
    start("--store", "memory")
    assert start("--dual-stack").dual_stack


def test_a_machine_without_ipv6_is_one_sentence(start, monkeypatch):
    monkeypatch.setattr(up.prerequisites, "no_ipv6", lambda: OFF)
    assert start("--dual-stack").strip() == f"kybern: {OFF}"
    assert not start().dual_stack


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--cluster-cidr", "10.60.0.0/16,10.61.0.0/16"), "one of IPv4 and one of IPv6"),
        (("--cluster-cidr", "fd60::/48,10.60.0.0/16"), "in this order"),
        (("--cluster-cidr", "fd60::/48"), "name a network of IPv4"),
        (("--cluster-cidr", "pods"), "--cluster-cidr pods cannot be"),
        (("--cluster-cidr", "10.60.0.0/16,fd60::/80"), "fd60::/80 is too small: use a /64"),
        (("--service-cidr", "10.60.0.0/29"), "10.60.0.0/29 is too small: use a /28"),
        (("--service-cidr", "10.60.0.0/16", "--dual-stack"), "of the same IP families"),
        (
            ("--service-cidr", "10.60.0.0/16", "--cluster-cidr", "10.60.0.0/20"),
            "10.60.0.0/16 and 10.60.0.0/20 overlap",
        ),
    ],
)
def test_networks_that_cannot_be(start, tmp_path, words, said):
    assert said in " ".join(start(*words).replace("│", " ").split())
    assert not (tmp_path / "data").exists()


def test_networks_that_the_slot_has_for_nodes(start):
    assert "10.178.0.0/24 and 10.178.0.0/16 overlap" in start("--cluster-cidr", "10.178.0.0/16")


def test_a_control_plane_alone(start):
    chosen = start("--control-plane-only", "--service-cidr", "10.50.0.0/20,fd50::/108")
    assert (chosen.service_cidr, chosen.dns_ip) == ("10.50.0.0/20,fd50::/108", "10.50.0.10")


class TestAgent:
    FACTS = Facts("10.98.0.0/16,fd98::/112", "10.246.0.0/16,fd46::/56", "example.org",
                  "10.98.0.10", 20.0)  # fmt: skip

    @pytest.fixture
    def join(self, kybern, tmp_path, monkeypatch):
        async def joined(*_):
            return self.FACTS

        monkeypatch.setattr(agent, "join_node", joined)
        monkeypatch.setattr(agent, "_address_towards", lambda _: "192.0.2.9")
        words = ("--join", "192.0.2.1", "--token", "t.t")
        return lambda: kybern("agent", "--data-dir", tmp_path / "a", *words)

    def test_a_node_has_the_families_of_its_cluster(self, join, tmp_path):
        assert join().code == 0
        chosen = settings_file.load(Directory(tmp_path / "a").settings)
        assert chosen.cluster_cidrs == ("10.246.0.0/16", "fd46::/56")
        assert (chosen.node_ip, chosen.node_ip6) == ("192.0.2.9", "2001:db8::3")
        assert len(chosen.node_cidrs) == 2

    def test_a_machine_without_ipv6_is_one_sentence(self, join, monkeypatch):
        monkeypatch.setattr(agent.prerequisites, "no_ipv6", lambda: OFF)
        done = join()
        assert done.code == 1
        assert done.err.strip().endswith(OFF)
