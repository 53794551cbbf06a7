"""The node's pod network, as it is written down."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kybern.network import cni, ledger, rules
from kybern.network.config import NetworkConfig
from kybern.network.filter import NodeFilter
from kybern.network.ledger import Ledger
from kybern.network.nft import FilterError

CONFIG = NetworkConfig(Path("/d"), bridge="kb9", pod_cidr="10.9.1.0/24", cluster_cidr="10.9.0.0/16")


def test_the_plugins_get_their_own_state() -> None:
    found = cni.conflist(CONFIG)
    assert found["name"] == "kybern-kb9"
    [bridge] = found["plugins"]
    assert (bridge["bridge"], bridge["hairpinMode"], bridge["ipMasq"]) == ("kb9", True, False)
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.9.1.0/24"}]]
    assert bridge["ipam"]["dataDir"] == "/d/cni/state"
    assert "mtu" not in bridge


def test_without_nft_the_plugins_do_it_all() -> None:
    bridge, portmap = cni.conflist(CONFIG, with_nft=False)["plugins"]
    assert bridge["ipMasq"]
    assert portmap["capabilities"] == {"portMappings": True}


def test_the_configuration_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cni, "_allow_forwarding", lambda _: None)
    config = NetworkConfig(tmp_path)
    cni.prepare(config)
    cni.configure(config)
    [file] = config.conf_dir.iterdir()
    before = file.stat().st_ino
    assert json.loads(file.read_text())["cniVersion"] == "0.4.0"
    cni.configure(config)
    assert file.stat().st_ino == before


def test_the_configuration_is_checked() -> None:
    assert CONFIG.check() == []
    assert CONFIG.gateway == "10.9.1.1"
    bad = NetworkConfig(Path("/d"), bridge="much-too-long-name", pod_cidr="x", cluster_cidr="::/64")
    assert len(bad.check()) == 3


PORTS = [
    rules.HostPort("tcp", 8080, "", "10.9.1.5", 80),
    rules.HostPort("udp", 53, "192.0.2.1", "10.9.1.5", 5353),
]


def test_host_ports_are_elements_of_maps() -> None:
    text = rules.add_ports(CONFIG, PORTS)
    assert "ports { tcp . 8080 : 10.9.1.5 . 80 }" in text
    assert "address_ports { 192.0.2.1 . udp . 53 : 10.9.1.5 . 5353 }" in text
    assert rules.remove_ports(CONFIG, PORTS) == text.replace("add element", "delete element")


def test_pods_leave_the_cluster_with_the_nodes_address() -> None:
    assert "ip saddr 10.9.0.0/16 ip daddr != { 10.9.0.0/16, 224.0.0.0/4 } masquerade" in (
        rules.table(CONFIG)
    )


def test_loopback_leads_to_host_ports_and_pods_cannot_use_that() -> None:
    text = rules.table(CONFIG)
    assert f'ip saddr {{ 10.9.0.0/16, 127.0.0.0/8 }} oifname "{CONFIG.bridge}" masquerade' in text
    assert f'iifname "{CONFIG.bridge}" ip daddr 127.0.0.0/8 drop' in text
    here = [rules.HostPort("tcp", 1, ip, "10.9.1.5", 1).is_on_loopback for ip in (
        "", "0.0.0.0", "127.0.0.1", "192.0.2.1"
    )]  # fmt: skip
    assert here == [True, True, True, False]


@pytest.mark.e2e
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft")
def test_the_kernel_takes_the_rules(tmp_path: Path) -> None:
    config = replace(CONFIG, data_dir=tmp_path)

    def listed() -> str:
        done = subprocess.run(
            ["nft", "list", "table", "ip", CONFIG.table], capture_output=True, text=True
        )
        return done.stdout

    async def story() -> None:
        node = NodeFilter(config)
        await node.start()
        await node.open("u-1", [tuple(p) for p in PORTS])
        await node.open("u-1", [tuple(p) for p in PORTS])
        assert "tcp . 8080 : 10.9.1.5 . 80" in listed()
        await node.open("u-1", [tuple(PORTS[1])])
        assert "8080" not in listed()
        await node.start()
        assert "192.0.2.1 . udp . 53" in listed()
        await node.close("u-1")
        assert "5353" not in listed()
        # they stay open while the program starts again, and a pod that went meanwhile makes room
        await node.open("u-1", [tuple(p) for p in PORTS])
        node = NodeFilter(config)
        await node.start()
        assert "tcp . 8080 : 10.9.1.5 . 80" in listed()
        await node.open("u-3", [("tcp", 8080, "0.0.0.0", "10.9.1.6", 80)])
        assert "tcp . 8080 : 10.9.1.6 . 80" in listed()
        assert "5353" not in listed()
        await node.close("u-1")
        assert "tcp . 8080 : 10.9.1.6 . 80" in listed()
        with pytest.raises(FilterError):
            await node.open("u-2", [("tcp", 1, "not an address", "x", 1)])

    try:
        asyncio.run(story())
    finally:
        subprocess.run(["nft", "-f", "-"], input=rules.remove_table(CONFIG), text=True, check=True)
    assert listed() == ""


def test_what_is_open_is_known_until_the_machine_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state/ports.json"
    assert Ledger(path).load() == {}
    Ledger(path).save({"u": tuple(PORTS)})
    assert Ledger(path).load() == {"u": tuple(PORTS)}
    monkeypatch.setattr(ledger, "BOOT_ID", tmp_path / "none")
    assert Ledger(path).load() == {}
    path.write_text("[")
    assert Ledger(path).load() == {}
