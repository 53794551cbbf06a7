"""IPv6 on the machine: whether there is any, our address, cables of two families."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from kybern.cluster import certificates, prerequisites, slots, wires
from kybern.cluster.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_kernel_without_ipv6(tmp_path: Path) -> None:
    assert "kernel has no IPv6" in prerequisites.no_ipv6(tmp_path / "conf")


@pytest.mark.parametrize(("everywhere", "new"), [("0", "0"), ("1", "1"), ("0", "1")])
def test_ipv6_that_is_turned_off(tmp_path: Path, everywhere: str, new: str) -> None:
    for name, value in (("all", everywhere), ("default", new)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "disable_ipv6").write_text(f"{value}\n")
    said = prerequisites.no_ipv6(tmp_path)
    off = "all" if everywhere == "1" else "default" if new == "1" else ""
    assert (f"sysctl -w net.ipv6.conf.{off}.disable_ipv6=0" in said) is bool(off)
    assert said.count(".") == 0 or said.endswith(".")


def test_an_address_that_others_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoRoute:
        def __enter__(self) -> NoRoute:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def connect(self, _where: object) -> None:
            raise OSError(101, "Network is unreachable")

    listing = tmp_path / "if_inet6"
    monkeypatch.setattr(slots.socket, "socket", lambda *_: NoRoute())
    monkeypatch.setattr(slots, "INTERFACES6", listing)
    assert slots.node_address6() == ""
    lines = [
        f"{1:032x} 01 80 10 80       lo",
        "fe80000000000000000000fffe000001 04 40 20 80     eth0",
        "fd6b7962000101000000000000000001 09 40 00 80 kybern1-nodes",
    ]
    listing.write_text("\n".join(lines))
    assert slots.node_address6() == ""
    listing.write_text("\n".join([*lines, "fd000000000000000000000000000002 04 40 00 80     eth0"]))
    assert slots.node_address6() == "fd00::2"


def test_networks_of_slots_do_not_overlap() -> None:
    found = []
    for slot in range(slots.SLOTS):
        chosen = Settings(data_dir="/x", **slots.networks(slot, dual_stack=True))
        assert chosen.check() == []
        six = (chosen.service_cidrs[1], chosen.cluster_cidrs[1], chosen.node_cidrs[1])
        found += [ipaddress.ip_network(text) for text in (*six, chosen.balancer_cidrs[1])]
    assert all(not one.overlaps(other) for at, one in enumerate(found) for other in found[at + 1 :])
    assert all(network.is_private for network in found)


BOTH = Settings(
    data_dir="/x", node_name="box", node_ip="192.0.2.9", node_ip6="2001:db8::9", nodes=2,
    **slots.networks(2, dual_stack=True),
)  # fmt: skip


def test_cables_of_two_families(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []

    def run(words: list[str], text: str = "") -> str:
        told.append((" ".join(words), text))
        return "[]"

    monkeypatch.setattr(wires, "_run", run)
    wires.lay(BOTH, [2])
    said = "\n".join(f"{words}\n{text}" for words, text in told)
    for wanted in (
        "address replace fd6b:7962:2:100::1/64 dev kybern2-nodes nodad",
        "address replace fd6b:7962:2:100::2/64 dev eth0 nodad",
        "route replace default via fd6b:7962:2:100::1 dev eth0",
        "route replace 2001:db8::9/128 dev eth0 scope link",
        "route replace 192.0.2.9/32 dev eth0 scope link",
        "neigh replace proxy 2001:db8::9 dev kybern2-nodes",
        "tee /proc/sys/net/ipv6/conf/kybern2-nodes/proxy_ndp",
        "ip netns exec kybern2-2 tee /proc/sys/net/ipv6/conf/eth0/keep_addr_on_down",
        "ip6 saddr fd6b:7962:2:100::/64 ip6 daddr != { fd6b:7962:2:100::/64, fd6b:7962:2::/56, "
        "ff00::/8 } masquerade",
    ):
        assert wanted in said
    told.clear()
    wires.remove(BOTH)
    assert "delete table ip6 kybern-nodes-2" in told[-1][1]


def test_certificates_are_for_both_addresses() -> None:
    found = {each.name: each.subject.ip_addresses for each in certificates.wanted(BOTH)}
    assert {"192.0.2.9", "2001:db8::9", "10.178.0.1", "fd6b:7962:2:100::1"} <= {*found["apiserver"]}
    assert found["kubelet"] == ("192.0.2.9", "2001:db8::9")
