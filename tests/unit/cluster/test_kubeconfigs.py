"""Kubeconfigs: whole, private, understood by the client."""

import stat

import pytest

from kybern.client.config import load_kubeconfig
from kybern.cluster import certificates, kubeconfigs
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings
from kybern.lib import pki


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    made.make()
    return made


def write(directory, **changes):
    settings = Settings(data_dir=str(directory.root), node_name="box", port=7443, **changes)
    certificates.ensure(directory, settings)
    kubeconfigs.write(directory, settings)


def test_the_administrators_file_needs_no_other(directory):
    write(directory)
    path = directory.admin_kubeconfig
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = load_kubeconfig(path)
    assert config.server == "https://127.0.0.1:7443"
    assert config.ca == (directory.pki / "ca.crt").read_bytes()
    assert config.key == (directory.pki / "admin.key").read_bytes()
    assert str(directory.root) not in path.read_text()


def test_everyone_speaks_as_themselves(directory):
    write(directory)
    names = {}
    for path in directory.kubeconfigs.iterdir():
        subject, _, _ = pki.parse_certificate(load_kubeconfig(path).certificate)
        names[path.name.removesuffix(".kubeconfig")] = subject.common_name
    assert names == {
        "controller-manager": "system:kube-controller-manager",
        "scheduler": "system:kube-scheduler",
        "kubelet-client": "system:node:box",
        "proxy": "system:kube-proxy",
    }


def test_without_a_node_there_are_fewer(directory):
    write(directory, control_plane_only=True)
    found = sorted(path.name for path in directory.kubeconfigs.iterdir())
    assert found == ["controller-manager.kubeconfig", "scheduler.kubeconfig"]
