"""Two families of addresses on one node: configuration, routes, packet filter, policies."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.controllers.cluster import cluster
from tests.unit.network.test_router import Kernel, NoEvents, configured, node

from kybern.api import codec
from kybern.api.core.v1 import Node, Pod
from kybern.api.networking.v1 import NetworkPolicy
from kybern.lib.clock import run_virtual
from kybern.network import cni, events, kernel, router, rules
from kybern.network.config import NetworkConfig
from kybern.network.filter import NodeFilter
from kybern.network.plan import Remote, Route
from kybern.network.policy.peers import Peers, facts_of
from kybern.network.policy.plan import EGRESS, INGRESS, Ruleset, peers_of
from kybern.network.policy.plan import plan as plan_policies
from kybern.network.policy.script import changes, empty_table

PODS4, PODS6 = "10.9.0.0/16", "fd09::/56"
CONFIG = NetworkConfig(
    Path("/d"), bridge="kb9", pod_cidr="10.9.1.0/24", cluster_cidr=PODS4, pod_cidr6="fd09:0:0:1::/64",
    cluster_cidr6=PODS6,
)  # fmt: skip
needs_nft = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft"
)


def test_pods_get_an_address_of_each_family() -> None:
    ipam = cni.conflist(CONFIG)["plugins"][0]["ipam"]
    assert ipam["ranges"] == [[{"subnet": "10.9.1.0/24"}], [{"subnet": "fd09:0:0:1::/64"}]]
    assert ipam["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
    assert CONFIG.check() == []
    assert CONFIG.holds("fd09:0:0:2::/64")
    assert not CONFIG.holds("fd0a::/64")


def test_the_node_waits_for_both_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cni, "_allow_forwarding", lambda _: None)
    monkeypatch.setattr(router, "KernelEvents", NoEvents)
    monkeypatch.setattr(router, "DirectoryEvents", NoEvents)
    machine = Kernel(monkeypatch)
    config = NetworkConfig(tmp_path, cluster_cidr6=PODS6)

    async def main() -> None:
        async with cluster(nodes=False) as it:
            await it.client.create(node("me", "192.0.2.9"))
            other = node("far", "198.51.100.7", "10.244.2.0/24")
            other.spec.podCIDRs = ["10.244.2.0/24", "fd09:0:0:2::/64"]
            await it.client.create(other)
            one = router.Router(config, "me", it.informers, it.clock)
            it.tasks.spawn_forever(one.run, "router")
            await it.settle(1)
            assert not one.configured.is_set()
            both = ["10.244.1.0/24", "fd09:0:0:1::/64"]
            await it.client.patch(Node, "me", "", {"spec": {"podCIDR": both[0], "podCIDRs": both}})
            await it.settle(1)
            assert one.configured.is_set()

    run_virtual(main())
    subnets = [each[0]["subnet"] for each in configured(tmp_path)["ipam"]["ranges"]]
    assert subnets == ["10.244.1.0/24", "fd09:0:0:1::/64"]
    end = "fd09::2:ffff:ffff:ffff:ff00"
    assert machine.routes.keys() == {"10.244.2.0/24", "fd09:0:0:2::/64"}
    assert machine.routes["fd09:0:0:2::/64"].via == end
    assert machine.remotes[end] == machine.remotes["10.244.2.0"]
    assert list(machine.outer.values()) == ["198.51.100.7"]


def test_a_route_of_ipv6_leaves_its_device_before_it_gets_another() -> None:
    direct, tunnelled = Route("fd09::/64", "fd01::5", "eth0"), Route("fd09::/64", "fd09::f", "vx")
    lines = kernel.to_change_routes(frozenset({direct}), frozenset({tunnelled}))
    assert [line.split()[1] for line in lines] == ["delete", "replace"]
    moved = Route("fd09::/64", "fd01::6", "eth0")
    [line] = kernel.to_change_routes(frozenset({direct}), frozenset({moved}))
    assert line.startswith("route replace")


def test_an_end_of_the_tunnel_stays_while_one_family_needs_it() -> None:
    four, six = Remote("10.9.2.0", "02:6b", "192.0.2.5"), Remote("fd09::f", "02:6b", "192.0.2.5")
    _, forwarding = kernel.to_change_remotes("vx", frozenset(), frozenset({four, six}))
    assert forwarding == ["fdb replace 02:6b dev vx dst 192.0.2.5"]
    neighbours, forwarding = kernel.to_change_remotes(
        "vx", frozenset({four, six}), frozenset({six})
    )
    assert (neighbours, forwarding) == (["neigh delete 10.9.2.0 dev vx"], [])
    _, forwarding = kernel.to_change_remotes("vx", frozenset({six}), frozenset())
    assert forwarding == ["fdb delete 02:6b dev vx dst 192.0.2.5"]


def _news(kind: int, *start: int) -> tuple[int, bytes]:
    return kind, struct.pack("=8B", *start, *([0] * (8 - len(start))))


@pytest.mark.parametrize(
    ("news", "want"),
    [
        (_news(events.NEW_ADDRESS, socket.AF_INET6, 64, 0, 0), True),
        (_news(events.NEW_ADDRESS, socket.AF_INET6, 64, 0, events.ON_LINK), False),
        (_news(events.NEW_ROUTE, socket.AF_INET6, 64, 0, 0, events.MAIN, 2), False),
        (_news(events.NEW_ROUTE, socket.AF_INET6, 0, 0, 0, events.MAIN, 9), True),
        (_news(events.NEW_ROUTE, socket.AF_INET, 24, 0, 0, events.MAIN, 2), True),
    ],
)
def test_cables_of_pods_are_no_news(news: tuple[int, bytes], want: bool) -> None:
    assert events.concerns(*news, frozenset()) is want


@pytest.mark.e2e
@needs_nft
def test_host_ports_of_both_families(tmp_path: Path) -> None:
    def listed(family: str) -> str:
        words = ["nft", "list", "table", family, CONFIG.table]
        return subprocess.run(words, capture_output=True, text=True).stdout

    async def story() -> None:
        filter_ = NodeFilter(replace(CONFIG, data_dir=tmp_path))
        await filter_.start()
        ports = [
            ("tcp", number, host, ip, 80)
            for number, host in ((8080, ""), (8081, "192.0.2.1"), (8082, "2001:db8::1"),
                                 (8083, "0.0.0.0"), (8084, "::"))
            for ip in ("10.9.1.5", "fd09:0:0:1::5")
        ]  # fmt: skip
        await filter_.open("u", ports)
        four, six = listed("ip"), listed("ip6")
        assert [str(n) in four for n in range(8080, 8085)] == [True, True, False, True, False]
        assert [str(n) in six for n in range(8080, 8085)] == [True, False, True, False, True]
        assert "tcp . 8080 : fd09:0:0:1::5 . 80" in six
        assert "ip6 saddr fd09::/56 ip6 daddr != { fd09::/56, ff00::/8 } masquerade" in six
        await filter_.close("u")
        assert "8080" not in listed("ip6")

    try:
        asyncio.run(story())
    finally:
        subprocess.run(["nft", "-f", "-"], input=rules.remove_table(CONFIG), text=True, check=True)
    assert listed("ip") == listed("ip6") == ""


def test_without_ipv6_there_is_no_word_of_it() -> None:
    config = NetworkConfig(Path("/d"))
    assert "6" not in rules.remove_table(config).replace("ip6", "6")
    assert "ip6" not in rules.table(config)
    assert "v6" not in empty_table("t")


# --- policies ------------------------------------------------------------------------------------


def pod(name: str, *ips: str) -> Pod:
    tree = {
        "metadata": {"namespace": "blue", "name": name, "labels": {"app": name}},
        "spec": {
            "nodeName": "n",
            "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}],
        },
        "status": {"phase": "Running", "podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]},
    }
    return codec.from_tree(tree, Pod)


def ruleset(*, ipv6: bool = True, **spec: Any) -> Ruleset:
    peers = Peers()
    peers.put_namespace("blue", {})
    for each in (pod("a", "10.9.1.2", "fd09:0:0:1::2"), pod("b", "10.9.1.3", "fd09:0:0:1::3")):
        peers.put_pod(("blue", each.metadata.name or ""), facts_of(each))
    spec = {"podSelector": {"matchLabels": {"app": "a"}}, **spec}
    tree = {"metadata": {"namespace": "blue", "name": "p"}, "spec": spec}
    policy = codec.from_tree(tree, NetworkPolicy)
    peers.keep(peers_of([policy]))
    return plan_policies({("blue", "p"): policy}, peers, "n", ipv6=ipv6)


FROM_B = {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "b"}}}],
                       "ports": [{"port": "web"}]}]}  # fmt: skip


def test_a_policy_judges_both_families() -> None:
    found = ruleset(**FROM_B)
    assert set(found.judges[INGRESS]) == {"10.9.1.2", "fd09:0:0:1::2"}
    assert found.judges[EGRESS] == {}
    [(name, lines)] = found.chains.items()
    four, six, last = lines
    assert four.startswith("ip saddr @pods_")
    assert six.startswith("ip6 saddr @pods6_")
    assert "ip6 daddr . meta l4proto . th dport @ports6_" in six
    assert last == "drop"
    sets = {name.partition("_")[0]: set(some) for name, some in found.addresses.items()}
    assert sets == {"pods": {"10.9.1.3"}, "pods6": {"fd09:0:0:1::3"}}
    script = empty_table("t", ipv6=True) + changes("t", Ruleset(), found)
    assert f"received_by6 {{ fd09:0:0:1::2 : jump {name} }}" in script


def test_a_named_port_for_everybody_is_of_both_families() -> None:
    [lines] = ruleset(ingress=[{"ports": [{"port": "web"}]}]).chains.values()
    assert [line.split()[0] for line in lines] == ["ip", "ip6", "drop"]
    [lines] = ruleset(ingress=[{"ports": [{"port": 80}]}]).chains.values()
    assert lines == ("meta l4proto tcp th dport 80 return", "drop")
    block = [{"ipBlock": {"cidr": "fd09::/16", "except": ["fd09:1::/32"]}}]
    [lines] = ruleset(ingress=[{"from": block, "ports": [{"port": "web"}]}]).chains.values()
    assert len(lines) == 2
    assert lines[0].startswith("ip6 saddr fd09::/16 ip6 saddr != { fd09:1::/32 } ip6 daddr")


def test_a_cluster_of_one_family_has_sets_of_one() -> None:
    found = ruleset(ipv6=False, **FROM_B)
    assert set(found.judges[INGRESS]) == {"10.9.1.2"}
    assert "6" not in "".join(n.partition("_")[0] for n in (*found.addresses, *found.ports))


@pytest.mark.e2e
@needs_nft
def test_the_kernel_takes_policies_of_both() -> None:
    one, two = ruleset(**FROM_B), ruleset(ingress=[{"ports": [{"port": "web"}]}], egress=[])
    script = empty_table("t", ipv6=True) + changes("t", Ruleset(), one)
    steps = [script, changes("t", one, two), changes("t", two, Ruleset())]
    lines = "\n".join(f"nft -f - <<'END' || exit 1\n{step}\nEND" for step in steps)
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f"{lines}\nnft list table inet t"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pods6_" not in done.stdout
