"""A cluster is saved while it runs, lost, and brought back: here, and on another machine."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port

from .conftest import KYBERN, Cluster, eventually, short_directory, traces


@pytest.fixture
def control_plane():
    path = Path(short_directory())
    cluster = Cluster(path, free_port())
    cluster.up("--control-plane-only")
    yield cluster
    for directory in (path.with_name(path.name + "-2"), path):
        subprocess.run([*KYBERN, "down", "--purge", "--data-dir", str(directory)], check=False)
        shutil.rmtree(directory, ignore_errors=True)
        assert traces(directory) == []


def objects(cluster):
    """Return everything that clients can list of some kinds, without what time changes."""
    found = cluster.get("configmaps,secrets,serviceaccounts,clusterroles,namespaces", "-A")["items"]
    return {item["metadata"]["uid"]: item for item in found}


def whoami(cluster, token):
    """Ask as the owner of a token and nobody else."""
    server = f"https://127.0.0.1:{cluster.port}"
    ca = str(cluster.directory / "pki/ca.crt")
    return cluster.kubectl(
        "--kubeconfig=/dev/null", f"--server={server}", f"--certificate-authority={ca}",
        f"--token={token}", "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}",
    )  # fmt: skip


def test_saved_running_and_restored_after_loss(control_plane, tmp_path):
    cluster, saved = control_plane, tmp_path / "saved"
    cluster.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    token = cluster.kubectl("create", "token", "default").strip()
    before = objects(cluster)
    said = cluster.kybern("snapshot", "save", str(saved)).stderr
    assert "The cluster's keys are in it" in said
    assert saved.stat().st_mode & 0o777 == 0o600

    cluster.kubectl("delete", "configmap", "kept")
    cluster.kubectl("create", "configmap", "lost")
    known = cluster.get("configmap", "lost")["metadata"]["resourceVersion"]
    refused = cluster.kybern("snapshot", "restore", str(saved), check=False)
    assert refused.returncode == 1
    assert "is running: stop it with `kybern down" in refused.stderr

    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(cluster.directory / "admin.kubeconfig")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with watcher:
        assert "lost" in watcher.stdout.readline()
        cluster.kybern("down")
        cluster.kybern("snapshot", "restore", str(saved))
        cluster.up()
        assert json.loads(watcher.stdout.readline()) == 410
        recovered = json.loads(watcher.stdout.readline())
    assert "kept" in recovered
    assert "lost" not in recovered
    assert objects(cluster) == {**before, **pods_later(cluster, before)}
    assert whoami(cluster, token) == "system:serviceaccount:default:default"
    cluster.kubectl("create", "configmap", "new")
    new = cluster.get("configmap", "new")["metadata"]["resourceVersion"]
    assert int(new) > int(known) + 1_000_000
    assert len(list(cluster.directory.glob("before-restore-*/store/state.db"))) == 1


def pods_later(cluster, before):
    """Return what a control plane adds by itself when it starts again."""
    return {uid: item for uid, item in objects(cluster).items() if uid not in before}


WATCHER = """
import json, sys, time
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
api = client.CoreV1Api()
listed = api.list_namespaced_config_map("default")
print(json.dumps([item.metadata.name for item in listed.items]), flush=True)
version = listed.metadata.resource_version
while True:
    try:
        answer = api.list_namespaced_config_map(
            "default", watch=True, resource_version=version, _preload_content=False
        )
        for line in answer:
            event = json.loads(line)
            if event["type"] == "ERROR":
                print(event["object"]["code"], flush=True)
                names = [i.metadata.name for i in api.list_namespaced_config_map("default").items]
                print(json.dumps(names), flush=True)
                sys.exit()
            version = event["object"]["metadata"]["resourceVersion"]
    except Exception:
        time.sleep(0.1)
"""


def test_restored_on_another_machine(control_plane, tmp_path):
    cluster, saved = control_plane, tmp_path / "saved"
    cluster.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    token = cluster.kubectl("create", "token", "default").strip()
    cluster.kybern("down")
    cluster.kybern("snapshot", "save", str(saved))
    there = Cluster(f"{cluster.directory}-2", cluster.port)
    there.kybern("snapshot", "restore", str(saved))
    there.up()
    assert there.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"
    assert whoami(there, token) == "system:serviceaccount:default:default"
    assert list(there.directory.glob("before-restore-*")) == []
    # the administrator's credentials of the lost machine are good here
    assert eventually(lambda: cluster.kubectl("get", "--raw", "/readyz")) == "ok"


def test_what_cannot_be_restored_changes_nothing(control_plane, tmp_path):
    cluster, saved = control_plane, tmp_path / "saved"
    cluster.kybern("snapshot", "save", str(saved))
    cluster.kybern("down")
    store = cluster.directory / "store/state.db"
    was = store.read_bytes()
    data = saved.read_bytes()
    saved.write_bytes(data.replace(b"kube-system", b"cube-system"))
    refused = cluster.kybern("snapshot", "restore", str(saved), check=False)
    assert refused.returncode == 1
    assert "is a damaged snapshot" in refused.stderr
    assert "Traceback" not in refused.stderr
    missing = cluster.kybern("snapshot", "restore", str(tmp_path / "none"), check=False)
    assert "there is no file" in missing.stderr
    assert store.read_bytes() == was
    assert list(cluster.directory.glob("*restore-*")) == []
