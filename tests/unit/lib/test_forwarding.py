"""Letting the kernel forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kybern.lib import forwarding

if TYPE_CHECKING:
    from pathlib import Path


def put(root: Path, **settings: str) -> None:
    for name, value in settings.items():
        place = root / name.replace("__", "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{value}\n")


def test_what_listens_to_routers_goes_on(tmp_path: Path) -> None:
    put(
        tmp_path, ipv6__conf__all__forwarding="0", ipv6__conf__all__accept_ra="1",
        ipv6__conf__default__accept_ra="1", ipv6__conf__eth0__accept_ra="1",
        ipv6__conf__eth1__accept_ra="0",
    )  # fmt: skip
    forwarding.enable(6, tmp_path)
    conf = tmp_path / "ipv6/conf"
    assert (conf / "all/forwarding").read_text() == "1"
    found = {d.name: (d / "accept_ra").read_text().strip() for d in conf.iterdir()}
    assert found == {"all": "1", "default": "2", "eth0": "2", "eth1": "0"}


def test_what_forwards_already_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path, ipv6__conf__all__forwarding="1", ipv6__conf__eth0__accept_ra="1")
    forwarding.enable(6, tmp_path)
    assert (tmp_path / "ipv6/conf/eth0/accept_ra").read_text() == "1\n"


def test_ipv4_and_bridges(tmp_path: Path) -> None:
    put(tmp_path, ipv4__ip_forward="0")
    forwarding.enable(4, tmp_path)
    assert (tmp_path / "ipv4/ip_forward").read_text() == "1"
    with pytest.raises(FileNotFoundError):
        forwarding.see_bridged(6, tmp_path)
    (tmp_path / "bridge").mkdir()
    for name in ("iptables", "ip6tables"):
        (tmp_path / f"bridge/bridge-nf-call-{name}").write_text("0")
    forwarding.see_bridged(6, tmp_path)
    assert (tmp_path / "bridge/bridge-nf-call-iptables").read_text() == "0"
    assert (tmp_path / "bridge/bridge-nf-call-ip6tables").read_text() == "1"
