"""`kybern` itself: what a user sees when things go right, and when they go wrong."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import KYBERN, Cluster, short_directory, traces


def kybern(*words, env=None, **more):
    return subprocess.run(
        [*KYBERN, *words], capture_output=True, text=True, env={**os.environ, **(env or {})},
        timeout=120, check=False, **more,
    )  # fmt: skip


@pytest.fixture
def directory():
    path = Path(short_directory())
    yield path
    kybern("down", "--purge", "--data-dir", str(path))
    shutil.rmtree(path, ignore_errors=True)
    assert traces(path) == []


def one_sentence(done):
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_status_and_kubeconfig_of_a_running_cluster(cluster):
    status = cluster.kybern("status").stdout
    for word in ("containerd", "control-plane", "node", "ready", "Ready"):
        assert word in status
    assert "current-context: kybern" in cluster.kybern("kubeconfig").stdout
    again = cluster.up()
    assert "running already" in again.stderr
    assert f"export KUBECONFIG={cluster.directory}" in again.stdout


def test_control_plane_only_keeps_its_data(directory):
    cluster = Cluster(directory, 27443)
    cluster.up("--control-plane-only")
    cluster.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    assert oct((directory / "pki/ca.key").stat().st_mode)[-3:] == "600"
    cluster.kybern("down")
    assert cluster.kybern("status", check=False).returncode == 1
    cluster.up("--control-plane-only")
    assert cluster.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"
    cluster.kybern("down", "--purge")
    assert not directory.exists()
    directory.mkdir()


def test_several_ups_at_once_make_one_cluster(directory):
    words = [*KYBERN, "up", "--control-plane-only", "--data-dir", str(directory), "--port", "27444"]
    started = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert sum("running already" in err for _, err in said) == 2
    status = kybern("status", "--data-dir", str(directory)).stdout
    assert len([line for line in traces(directory) if "supervisor.py" in line]) == 1, status


def test_a_taken_port(directory):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = kybern("up", "--control-plane-only", "--data-dir", str(directory), "--port", port)
    assert f"port {port} is taken" in one_sentence(done)


def kybern_where(patch, *words):
    """Run `kybern` in a process in which something has been changed first."""
    code = f"import os; {patch}; from kybern.cmd.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )


def test_not_root(directory):
    done = kybern_where("os.geteuid = lambda: 1000", "up", "--data-dir", str(directory))
    assert "needs root" in one_sentence(done)
    assert "--control-plane-only" in done.stderr


def test_no_containerd(directory):
    patch = (
        "from kybern.cluster import prerequisites as p; real = p.find;"
        "p.find = lambda n: None if n == 'containerd' else real(n)"
    )
    done = kybern_where(patch, "up", "--data-dir", str(directory))
    assert "apt-get install containerd" in one_sentence(done)


def test_wrong_usage():
    assert kybern("up", "--port", "99999").returncode == 2
    assert kybern("up", "--nodes", "0").returncode == 2
    assert kybern("fly").returncode == 2
    assert kybern("up", "--token", "x").returncode == 2


@pytest.mark.parametrize("name", ["store/state.db", "pki/ca.key", "cluster.json"])
def test_a_corrupt_data_directory(directory, name):
    cluster = Cluster(directory, 27443)
    cluster.up("--control-plane-only")
    cluster.kybern("down")
    path = directory / name
    path.write_bytes(b"rubbish" * 1000)
    done = kybern("up", "--control-plane-only", "--port", "27443", "--data-dir", str(directory))
    last = one_sentence(done)
    assert name.split("/")[-1].split(".")[0] in done.stderr
    assert last


def test_disk_full(directory):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(directory)], check=True)
    try:
        (directory / "filler").write_bytes(b"x" * 60_000)
        done = kybern("up", "--control-plane-only", "--port", "27443", "--data-dir", str(directory))
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        kybern("down", "--data-dir", str(directory))
        subprocess.run(["umount", "-l", str(directory)], check=True)


def test_nothing_to_stop(directory):
    done = kybern("down", "--data-dir", str(directory))
    assert done.returncode == 0
    assert "nothing to stop" in done.stderr


def test_purge_refuses_a_directory_that_is_not_ours(tmp_path):
    (tmp_path / "precious").write_text("x")
    done = kybern("down", "--purge", "--data-dir", str(tmp_path))
    assert "not a data directory" in one_sentence(done)
    assert (tmp_path / "precious").exists()


def test_two_clusters_side_by_side(cluster, directory):
    other = Cluster(directory, 27443)
    other.up()
    assert "Ready" in other.kubectl("get", "nodes")
    assert "Ready" in cluster.kubectl("get", "nodes")
    other.kybern("down")
    assert "Ready" in cluster.kubectl("get", "nodes")
