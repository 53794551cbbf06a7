"""From the settings of a cluster to the settings of its parts; what keeps them from starting."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ports import free_port

from kybern.cli.errors import Failed
from kybern.cluster import certificates, kubeconfigs
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings
from kybern.cmd import control_plane, images, node, stores
from kybern.cmd.process import Fatal
from kybern.kubelet.images import ImageError

DIRECTORY = Directory(Path("/data"))
SETTINGS = Settings(
    data_dir="/data", slot=2, port=7443, token="a-long-token", node_name="box",
    node_ip="10.1.2.3", service_cidr="10.98.0.0/16", cluster_cidr="10.246.0.0/16",
    dns_ip="10.98.0.10", dns_port=10055, kubelet_port=10251, bridge="kybern2",
    nft_table="kybern-2",
)  # fmt: skip


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    made.make()
    settings = Settings(data_dir=str(tmp_path), port=free_port(), control_plane_only=True)
    settings_file.save(settings, made.settings)
    certificates.ensure(made, settings)
    kubeconfigs.write(made, settings)
    return made


def test_the_api_server_knows_its_cluster(directory):
    config = control_plane.api_config(directory, SETTINGS)
    assert config.check() == []
    assert (config.port, config.service_cidr) == (7443, "10.98.0.0/16")
    assert (config.token, config.advertise_address) == ("a-long-token", "10.1.2.3")
    assert config.service_account_key == (directory.pki / "sa.key").read_bytes()
    assert config.kubelet_certificate.exists()
    assert config.kubelet_ca.exists()


def test_the_nodes_parts_agree_with_each_other():
    kubelet = node.kubelet_config(DIRECTORY, SETTINGS)
    [proxy], dns = node.proxy_configs(SETTINGS), node.dns_config(SETTINGS)
    assert kubelet.check() == dns.check() == []
    assert kubelet.node_name == proxy.node_name == "box"
    assert kubelet.cluster_dns == dns.cluster_ips == ("10.98.0.10",)
    assert kubelet.cluster_domain == dns.domain
    assert (kubelet.pod_cidr, proxy.cluster_cidr) == ("", "10.246.0.0/16")
    assert (proxy.table, proxy.service_cidr) == ("kybern-2", "10.98.0.0/16")
    assert [str(a) for a in dns.listen] == ["10.1.2.3:10055"]
    assert kubelet.port == 10251


def test_two_clusters_do_not_share_cgroups():
    other = node.kubelet_config(DIRECTORY, Settings(data_dir="/other"))
    assert node.kubelet_config(DIRECTORY, SETTINGS).cgroup_root != other.cgroup_root


def test_heartbeats_follow_how_long_a_node_may_be_silent():
    assert node.kubelet_config(DIRECTORY, SETTINGS).lease_seconds == 40
    hasty = Settings(data_dir="/data", node_monitor_grace=8.0)
    assert node.kubelet_config(DIRECTORY, hasty).lease_seconds == 6


def test_the_runtime_is_ours_unless_another_is_named(tmp_path):
    directory = Directory(tmp_path)
    assert node.endpoint(directory, SETTINGS).endswith("/containerd.sock")
    named = Settings(data_dir="/data", runtime_endpoint="unix:///run/crio.sock")
    assert node.endpoint(directory, named) == "unix:///run/crio.sock"


def test_missing_cni_plugins_are_one_sentence(monkeypatch):
    monkeypatch.setattr(node.prerequisites, "cni_directory", lambda: None)
    with pytest.raises(Fatal, match="install containernetworking-plugins"):
        node.network_config(DIRECTORY, SETTINGS)


def test_a_damaged_store_is_one_sentence(directory, live):
    directory.store.write_bytes(b"this is not a database" * 1000)
    settings = settings_file.load(directory.settings)
    with pytest.raises(Fatal, match=str(directory.store)) as error:
        live(stores.open_store(control_plane.place_of(directory, settings)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("module", ["control_plane", "node", "cleanup"])
def test_a_program_without_settings_says_one_sentence(tmp_path, module):
    done = subprocess.run(
        [sys.executable, "-m", f"kybern.cmd.{module}", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert "there is no cluster in" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_control_plane_on_a_taken_port_says_one_sentence(directory):
    port = settings_file.load(directory.settings).port
    with socket.socket() as taken:
        taken.bind(("", port))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "kybern.cmd.control_plane", str(directory.root)],
            capture_output=True, text=True, check=False, timeout=30, env=os.environ,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot listen on port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_image_that_cannot_be_loaded_is_a_failure_of_the_verb(monkeypatch, tmp_path):
    async def refuse(path, socket_path, ctr):
        await asyncio.sleep(0)
        raise ImageError("x.tar is no image archive: make one with `docker save`.")

    monkeypatch.setattr(images.images, "load", refuse)
    with pytest.raises(Failed, match="docker save"):
        images.load(Directory(tmp_path), tmp_path / "x.tar")
