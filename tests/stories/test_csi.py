"""A storage driver of somebody else: claims, pods, data, growth, snapshots, clones, and nothing left.

The driver is that of tests/csi: a program of its own which registers with the kubelet, as any other
would. It knows nothing of Kubernetes, and Kybern's part is all that sidecars do elsewhere.
"""

import json
import os
import signal
import tempfile
from pathlib import Path

import pytest

from tests.csi.process import driver as running

from .conftest import IMAGE, eventually

NAME = "directory.csi.kybern.io"
OBJECTS = f"""
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {{name: {NAME}}}
spec: {{attachRequired: true, podInfoOnMount: true, fsGroupPolicy: File}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: directory}}
provisioner: {NAME}
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
parameters: {{kind: plain, csi.storage.k8s.io/fstype: ext4}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: at-once}}
provisioner: {NAME}
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata:
  name: directory
  annotations: {{snapshot.storage.kubernetes.io/is-default-class: "true"}}
driver: {NAME}
deletionPolicy: Delete
---
apiVersion: storage.k8s.io/v1
kind: VolumeAttributesClass
metadata: {{name: gold}}
driverName: {NAME}
parameters: {{iops: "9000"}}
"""
SNAPSHOT = """
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: before}
spec: {source: {persistentVolumeClaimName: first}}
"""
OF_SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "before"}
OF_CLAIM = {"kind": "PersistentVolumeClaim", "name": "first"}


@pytest.fixture
def driver(cluster):
    (node,) = cluster.get("nodes")["items"]
    with tempfile.TemporaryDirectory(prefix="kyb-csi-") as data:
        name = node["metadata"]["name"]
        with running(cluster.directory / "kubelet", Path(data), NAME, name) as process:
            eventually(lambda: NAME in drivers(cluster, name))
            cluster.kubectl("apply", "-f", "-", stdin=OBJECTS)
            yield process
            cluster.kubectl("delete", "-f", "-", stdin=OBJECTS)
        eventually(lambda: NAME not in drivers(cluster, name))


def drivers(cluster, node):
    found = cluster.get("csinodes", node)["spec"].get("drivers") or []
    return [each["name"] for each in found]


def bring(k, name, source=None, **spec):
    """Create a claim and a pod that uses it, and wait until it runs."""
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "directory",
            "resources": {"requests": {"storage": "32Mi"}},
            **({"dataSource": source} if source else {}), **spec,
        },
    }  # fmt: skip
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "c", "image": IMAGE, "command": ["sleep", "10000"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
        },
    }  # fmt: skip
    k(
        "apply",
        "-f",
        "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [claim, pod]}),
    )
    k("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def write(k, text):
    k("exec", "first", "--", "sh", "-c", f"echo {text} >/data/file")


def read(k, pod):
    return k("exec", pod, "--", "cat", "/data/file").strip()


def ours(cluster, kind):
    """Return the objects of a kind that have to do with the driver."""
    items = cluster.get(kind)["items"]
    return [each["metadata"]["name"] for each in items if NAME in json.dumps(each["spec"])]


def test_a_drivers_volumes_from_the_first_claim_to_the_last(k, cluster, driver):
    bring(k, "first")
    write(k, "old")
    claim = k.get("pvc", "first")
    name = f"pvc-{claim['metadata']['uid']}"
    assert claim["spec"]["volumeName"] == name
    (attachment,) = [
        each for each in cluster.get("volumeattachments")["items"]
        if each["spec"]["source"]["persistentVolumeName"] == name
    ]  # fmt: skip
    assert attachment["status"]["attached"]
    (pv,) = [each for each in cluster.get("pv")["items"] if each["metadata"]["name"] == name]
    handle = pv["spec"]["csi"]["volumeHandle"]
    assert driver.state()["volumes"][handle]["nodes"] == [attachment["spec"]["nodeName"]]
    events = k("get", "events")
    assert "ProvisioningSucceeded" in events
    assert "SuccessfulAttachVolume" in events

    # it grows while it is used, and gets other attributes
    more = {"spec": {
        "resources": {"requests": {"storage": "64Mi"}}, "volumeAttributesClassName": "gold",
    }}  # fmt: skip
    k("patch", "pvc", "first", "--type=merge", "-p", json.dumps(more))
    eventually(lambda: k.get("pvc", "first")["status"]["capacity"]["storage"] == "64Mi")
    current = "currentVolumeAttributesClassName"
    eventually(lambda: k.get("pvc", "first")["status"].get(current) == "gold")
    assert driver.state()["volumes"][handle]["size"] == 64 << 20
    assert driver.state()["volumes"][handle]["mutable"] == {"iops": "9000"}

    # what a snapshot holds stays as it was; a clone has what there is now
    k("apply", "-f", "-", stdin=SNAPSHOT)
    k("wait", "--for=jsonpath={.status.readyToUse}=true", "volumesnapshot/before", "--timeout=60s")
    columns = k("get", "vs", "before").splitlines()[1].split()
    assert columns[:3] == ["before", "true", "first"]
    assert columns[3:5] == ["64Mi", "directory"]
    write(k, "new")
    enough = {"requests": {"storage": "64Mi"}}
    bring(k, "restored", OF_SNAPSHOT, resources=enough)
    bring(k, "cloned", OF_CLAIM, resources=enough)
    assert [read(k, pod) for pod in ("first", "restored", "cloned")] == ["new", "old", "new"]

    # another pod finds the data; nobody loses it to a driver that is restarted
    driver.kill()
    driver.start()
    k("delete", "pod", "first")
    eventually(lambda: NAME in drivers(cluster, attachment["spec"]["nodeName"]))
    bring(k, "first", resources=enough, volumeAttributesClassName="gold")
    assert read(k, "first") == "new"

    # and in the end nothing is left: at the driver, in the API, on the node
    k("delete", "pod", "--all", "--timeout=60s")
    k("delete", "volumesnapshot", "before", "--timeout=60s")
    k("delete", "pvc", "--all", "--timeout=60s")
    eventually(lambda: driver.state() == {"volumes": {}, "snapshots": {}})
    for kind in ("pv", "volumeattachments", "volumesnapshotcontents"):
        eventually(lambda kind=kind: ours(cluster, kind) == [])
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(driver.options.data) not in mounts
    assert "/plugins/kubernetes.io/csi/" not in "".join(
        line for line in mounts.splitlines() if str(cluster.directory) in line
    )


def test_a_volume_that_was_being_made_when_everything_died_is_not_forgotten(k, cluster, driver):
    driver.fail({"CreateVolume": {"delay": 2, "times": 1}})
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "unlucky"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "at-once",
            "resources": {"requests": {"storage": "32Mi"}},
        },
    }  # fmt: skip
    k("apply", "-f", "-", stdin=json.dumps(claim))
    making = "kybern.io/volume-is-being-made"
    eventually(lambda: making in k.get("pvc", "unlucky")["metadata"]["finalizers"])
    before = cluster.pid("control-plane")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: cluster.pid("control-plane") != before)
    eventually(lambda: k("delete", "pvc", "unlucky", "--wait=false", check=False).returncode == 0)
    eventually(lambda: not k.get("pvc")["items"])
    driver.fail({})
    eventually(lambda: driver.calls("CreateVolume", "DeleteVolume")[-1]["method"] == "DeleteVolume")
    assert driver.state()["volumes"] == {}
    assert ours(cluster, "pv") == []
