"""The node's side of storage drivers: what happens when its agent or the driver itself goes away.

The driver is that of tests/csi, told not to need attaching: what is left is between it and the node.
"""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from tests.csi.process import driver as running

from .conftest import IMAGE, ROOT, eventually

NAME = "node.csi.kybern.io"
IN_POD = "pod.csi.kybern.io"
OBJECTS = f"""
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {{name: {NAME}}}
spec:
  attachRequired: false
  podInfoOnMount: true
  fsGroupPolicy: File
  volumeLifecycleModes: [Persistent, Ephemeral]
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: of-the-node}}
provisioner: {NAME}
"""


@pytest.fixture
def driver(cluster):
    (node,) = cluster.get("nodes")["items"]
    with tempfile.TemporaryDirectory(prefix="kyb-csi-") as data:
        name = node["metadata"]["name"]
        arguments = (cluster.directory / "kubelet", Path(data), NAME, name)
        with running(*arguments, "--no-attach", "--max-volumes", "7") as process:
            cluster.kubectl("apply", "-f", "-", stdin=OBJECTS)
            eventually(lambda: NAME in registered(cluster))
            assert registered(cluster)[NAME]["allocatable"] == {"count": 7}
            yield process
            cluster.kubectl("delete", "-f", "-", stdin=OBJECTS)
        eventually(lambda: NAME not in registered(cluster))


def registered(cluster):
    (node,) = cluster.get("csinodes")["items"]
    return {each["name"]: each for each in node["spec"].get("drivers") or []}


def claim(name, mode):
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "of-the-node",
            "resources": {"requests": {"storage": "16Mi"}}, "volumeMode": mode,
        },
    }  # fmt: skip


def pod(script):
    mounts = [("data", "/data"), ("scratch", "/scratch")]
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {
            "securityContext": {"fsGroup": 4242},
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "c", "image": IMAGE, "command": ["sh", "-c", script],
                "volumeMounts": [
                    *({"name": name, "mountPath": path} for name, path in mounts),
                    {"name": "data", "mountPath": "/part", "subPath": "inner/part"},
                ],
                "volumeDevices": [{"name": "disk", "devicePath": "/dev/disk"}],
            }],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}},
                {"name": "scratch", "csi": {
                    "driver": NAME, "volumeAttributes": {"flavour": "vanilla"},
                }},
            ],
        },
    }  # fmt: skip


def mounts(cluster):
    """Return what the driver has mounted on the node."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    ours = str(cluster.directory / "kubelet")
    return [point for point in points if point.startswith(ours) and "/csi" in point]


@pytest.mark.skipif(not os.path.exists("/dev/loop-control"), reason="no loop devices")
def test_agent_and_driver_come_and_go(k, cluster, driver):
    script = "echo block >/dev/disk; echo file >/data/file; touch /part/here; exec sleep 10000"
    items = [claim("data", "Filesystem"), claim("disk", "Block"), pod(script)]
    driver.fail({"NodeStageVolume": {"code": "INTERNAL", "message": "no luck", "times": 1}})
    k("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    k("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    assert "failed for volume" in k("describe", "pod", "p")
    assert "desc = no luck" in k("describe", "pod", "p")
    assert "flavour=vanilla" in k("exec", "p", "--", "cat", "/scratch/attributes")
    assert k("exec", "p", "--", "head", "-c", "5", "/dev/disk") == "block"
    assert k("exec", "p", "--", "stat", "-c", "%g", "/data/file").strip() == "4242"
    assert k("exec", "p", "--", "ls", "/data/inner/part").split() == ["here"]
    raw = cluster.kubectl("get", "--raw", nodes_path(cluster, "stats/summary"))
    (ours,) = [
        each for each in json.loads(raw)["pods"] if each["podRef"]["namespace"] == k.namespace
    ]
    assert {each["name"]: each["usedBytes"] for each in ours["volume"]
                           if "pvcRef" in each} == {"data": 5}  # fmt: skip

    # the agent dies: volumes and container stay, and the driver is asked again, which is no harm
    before = (k.get("pod", "p")["status"]["containerStatuses"][0]["containerID"], mounts(cluster))
    asked = len(driver.calls("NodePublishVolume"))
    agent = cluster.pid("node")
    os.kill(agent, signal.SIGKILL)
    eventually(lambda: cluster.pid("node") not in (0, agent), 30)
    eventually(lambda: len(driver.calls("NodePublishVolume")) >= asked + 3, 30)
    after = (k.get("pod", "p")["status"]["containerStatuses"][0]["containerID"], mounts(cluster))
    assert after == before
    assert k("exec", "p", "--", "cat", "/data/file").strip() == "file"

    # without its driver a pod cannot give its volumes back, and waits
    driver.stop()
    eventually(lambda: NAME not in registered(cluster))
    k("delete", "pod", "p", "--wait=false")
    eventually(lambda: not k.get("pod", "p")["status"]["containerStatuses"][0]["ready"])
    assert mounts(cluster) == before[1]
    driver.start()
    k("wait", "--for=delete", "pod/p", "--timeout=60s")
    assert mounts(cluster) == []
    k("delete", "pvc", "--all", "--timeout=60s")
    eventually(lambda: driver.state()["volumes"] == {})


def in_a_pod(cluster, data):
    """Return a DaemonSet that runs the driver, for which it borrows the node's programs."""
    kubelet = str(cluster.directory / "kubelet")
    socket = f"{kubelet}/plugins/{IN_POD}/csi.sock"
    words = [
        sys.executable, "-m", "tests.csi.driver", "--name", IN_POD, "--socket", socket,
        "--data", data, "--kubelet", kubelet, "--node", "$(NODE)", "--no-attach",
    ]  # fmt: skip
    container = {
        "name": "driver", "image": IMAGE, "securityContext": {"privileged": True},
        "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "command": ["chroot", "/host", "/usr/bin/env", f"--chdir={ROOT}", *words],
        "volumeMounts": [
            {"name": "host", "mountPath": "/host"},
            {"name": "kubelet", "mountPath": f"/host{kubelet}",
             "mountPropagation": "Bidirectional"},
        ],
    }  # fmt: skip
    template = {
        "metadata": {"labels": {"app": "driver"}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [container],
            "volumes": [
                {"name": "host", "hostPath": {"path": "/"}},
                {"name": "kubelet", "hostPath": {"path": kubelet}},
            ],
        },
    }
    spec = {"selector": {"matchLabels": {"app": "driver"}}, "template": template}
    return {
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "driver"}, "spec": spec,
    }  # fmt: skip


def test_a_driver_in_a_pod(k, cluster):
    about = {
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": IN_POD},
        "spec": {
            "attachRequired": False, "volumeLifecycleModes": ["Ephemeral"], "podInfoOnMount": True,
        },
    }  # fmt: skip
    volume = {"name": "v", "csi": {"driver": IN_POD, "volumeAttributes": {"flavour": "cherry"}}}
    container = {
        "name": "c", "image": IMAGE, "command": ["sleep", "10000"],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }  # fmt: skip
    spec = {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 1}
    user = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user"}, "spec": spec}
    with tempfile.TemporaryDirectory(prefix="kyb-csi-") as data:
        for each in (about, in_a_pod(cluster, data), user):
            k("apply", "-f", "-", stdin=json.dumps(each))
        k("wait", "--for=condition=Ready", "pod/user", "--timeout=60s")
        # what the driver has mounted in its container is seen on the node and in another one
        assert "flavour=cherry" in k("exec", "user", "--", "cat", "/v/attributes")
        k("delete", "pod", "user", "--timeout=60s")
        assert mounts(cluster) == []
        k("delete", "daemonset", "driver")
        k("wait", "--for=delete", "pod", "-l", "app=driver", "--timeout=60s")
        k("delete", "csidriver", IN_POD)
        eventually(lambda: IN_POD not in registered(cluster))


def nodes_path(cluster, path):
    (node,) = cluster.get("nodes")["items"]
    return f"/api/v1/nodes/{node['metadata']['name']}/proxy/{path}"
