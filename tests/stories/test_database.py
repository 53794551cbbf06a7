"""A database of three members, each with a claim on its node's disk, through what happens to nodes.

Beside it an autoscaled workload, because its measures take their time. Member 0 takes the writes and answers when they are on its disk; the others copy it. All the while
somebody writes, and keeps a list of what was acknowledged: at the end every member has all of it.
"""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from kybern.cluster import settings, wires

from .conftest import ROOT, eventually, fleet_of, traces

IMAGE = "kybern.local/redis:1"
SCRIPT = """
role=
[ "$HOSTNAME" = db-0 ] || role="--replicaof db-0.db.default.svc.cluster.local 6379"
exec redis-server --dir /data --appendonly yes --appendfsync always --protected-mode no \
  --repl-diskless-sync-delay 0 --repl-timeout 5 $role
"""
READY = "redis-cli ping | grep -q PONG && ! redis-cli info replication | grep -q link_status:down"
TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute",
     "tolerationSeconds": 5}
    for key in ("not-ready", "unreachable")
]  # fmt: skip


def kind(api_version, name, spec, title="db"):
    return {"apiVersion": api_version, "kind": name, "metadata": {"name": title}, "spec": spec}


def pod_of(app, container, **spec):
    """Return a template for pods that avoid each other's nodes."""
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}
    weighted = {"weight": 1, "podAffinityTerm": term}
    apart = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}}
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {
            "affinity": apart, "tolerations": TOLERATIONS, "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "c", "image": IMAGE, **container}], **spec,
        },
    }  # fmt: skip


def database():
    container = {
        "command": ["sh", "-c", SCRIPT],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"exec": {"command": ["sh", "-c", READY]}, "periodSeconds": 1},
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    labels, port = {"app": "db"}, {"port": 6379}
    return [
        kind("v1", "Service", {
            "clusterIP": "None", "selector": labels, "ports": [port],
            "publishNotReadyAddresses": True,
        }),
        kind("v1", "Service", {
            "selector": {"statefulset.kubernetes.io/pod-name": "db-0"}, "ports": [port],
        }, "writes"),
        kind("policy/v1", "PodDisruptionBudget", {
            "selector": {"matchLabels": labels}, "minAvailable": 3,
        }),
        kind("apps/v1", "StatefulSet", {
            "serviceName": "db", "replicas": 3, "selector": {"matchLabels": labels},
            "template": pod_of("db", container),
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        }),
    ]  # fmt: skip


class Writer(threading.Thread):
    """Writes rows, one after the other, and remembers those that were acknowledged."""

    def __init__(self, address):
        super().__init__()
        self.address = address
        self.acknowledged = []
        self.ended = threading.Event()
        self._rows = (f"row:{number}".encode() for number in itertools.count())

    def run(self):
        while not self.ended.wait(0.1):
            with contextlib.suppress(OSError):
                self._write()

    def _write(self):
        with socket.create_connection((self.address, 6379), timeout=2) as connection:
            for row in self._rows:
                connection.sendall(b"SET %b %b\r\n" % (row, row[::-1]))
                if connection.recv(100) != b"+OK\r\n":
                    return  # it is starting or stopping: this row is nobody's
                self.acknowledged.append(row.decode())
                if self.ended.wait(0.005):
                    return

    def goes_on(self):
        """Wait until something more is acknowledged."""
        count = len(self.acknowledged)
        eventually(lambda: len(self.acknowledged) > count, 60)


@pytest.fixture(scope="module")
def archive():
    path = Path(tempfile.mkstemp(suffix=".tar")[1])
    tool = [sys.executable, str(ROOT / "tools/busybox_image.py"), str(path), IMAGE]
    subprocess.run([*tool, "--add=redis-server", "--add=redis-cli"], check=True)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def k(archive):
    times = ("--node-monitor-grace-period", "8s", "--horizontal-pod-autoscaler-sync-period", "5s")
    with fleet_of(3, archive, *times) as cluster:

        def kubectl(*words, **more):
            return cluster.kubectl(*words, **more)

        kubectl.get, kubectl.cluster = cluster.get, cluster
        kubectl.nodes = [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]
        yield kubectl


class Load(threading.Thread):
    """Asks for work, until told to stop."""

    def __init__(self, address):
        super().__init__()
        self.url = f"http://{address}/cgi-bin/work"
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.01):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(self.url, timeout=10).close()


@pytest.fixture(scope="module")
def load(k):
    """A Deployment that is scaled by its use of processors, and somebody who uses it."""
    k("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List",
                                            "items": worker()}))  # fmt: skip
    load = Load(k.get("service", "worker")["spec"]["clusterIP"])
    load.start()
    try:
        yield load
    finally:
        load.ended.set()
        load.join()


def worker():
    work = "#!/bin/sh\necho; head -c 1000000 /dev/zero | md5sum\n"
    script = f"mkdir -p /www/cgi-bin; printf '{work}' >/www/cgi-bin/work; chmod +x /www/cgi-bin/*;"
    container = {
        "command": ["sh", "-c", script + "exec httpd -f -p 8080 -h /www"],
        "resources": {"requests": {"cpu": "20m"}, "limits": {"cpu": "60m"}},
    }
    labels = {"app": "worker"}
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    at_once = {"stabilizationWindowSeconds": 0}
    return [
        kind("apps/v1", "Deployment", {
            "selector": {"matchLabels": labels}, "template": pod_of("worker", container),
        }, "worker"),
        kind("v1", "Service", {
            "selector": labels, "ports": [{"port": 80, "targetPort": 8080}],
        }, "worker"),
        kind("autoscaling/v2", "HorizontalPodAutoscaler", {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"},
            "maxReplicas": 3, "metrics": [{"type": "Resource", "resource": cpu}],
            "behavior": {"scaleDown": at_once, "scaleUp": at_once},
        }, "worker"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def db(k, load):
    """The database, its first member not on the node that has the control plane."""
    k("cordon", k.nodes[0])
    k("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List",
                                            "items": database()}))  # fmt: skip
    k("wait", "--for=condition=PodScheduled", "pod/db-0", "--timeout=30s")
    k("uncordon", k.nodes[0])
    k("rollout", "status", "statefulset/db", "--timeout=90s")
    writer = Writer(k.get("service", "writes")["spec"]["clusterIP"])
    writer.start()
    try:
        writer.goes_on()
        k.writer = writer
        yield k
    finally:
        writer.ended.set()
        writer.join()


def member(k, number):
    return k.get("pod", f"db-{number}")


def ready(pod):
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])
    )


def replaced(k, number, uid):
    """Whether a member is ready, and another pod than that one."""
    [pod] = [p for p in k.get("pods", "-l", "app=db")["items"]
             if p["metadata"]["name"] == f"db-{number}"] or [None]  # fmt: skip
    return pod and pod["metadata"]["uid"] != uid and ready(pod) and pod


def everything_is_there(k):
    """Compare what was acknowledged with what each member has."""
    k.writer.goes_on()
    wanted = list(k.writer.acknowledged)
    for number in range(3):

        def missing(number=number):
            keys = k("exec", f"db-{number}", "--", "redis-cli", "--scan").split()
            return sorted(set(wanted) - set(keys))

        eventually(lambda missing=missing: not missing(), 20)
    values = k("exec", "db-2", "--", "redis-cli", "mget", *wanted[-3:]).split()
    assert values == [row[::-1] for row in wanted[-3:]]


def test_members_live_apart_with_claims_of_their_own(db):
    members = [member(db, number) for number in range(3)]
    assert sorted(m["spec"]["nodeName"] for m in members) == sorted(db.nodes)
    for m in members:
        claim = db.get("pvc", f"data-{m['metadata']['name']}")
        volume = db.get("pv", claim["spec"]["volumeName"])
        [term] = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        [wanted] = term["matchExpressions"]
        assert wanted["values"] == [m["spec"]["nodeName"]]


def test_no_row_is_lost_when_a_pod_is_deleted(db):
    before = member(db, 0)
    db("delete", "pod", "db-0")
    after = eventually(lambda: replaced(db, 0, before["metadata"]["uid"]), 60)
    assert after["spec"]["nodeName"] == before["spec"]["nodeName"]
    everything_is_there(db)


def test_a_drain_waits_for_the_budget_and_no_row_is_lost(db):
    before = member(db, 0)
    node, uid = before["spec"]["nodeName"], before["metadata"]["uid"]
    drain = ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data"]
    refused = db(*drain, "--timeout=1s", check=False)
    assert refused.returncode
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused.stderr
    assert member(db, 0)["metadata"]["uid"] == uid
    allow = {"spec": {"minAvailable": 2}}
    db("patch", "pdb", "db", "--type=merge", "-p", json.dumps(allow))
    eventually(lambda: db.get("pdb", "db")["status"]["disruptionsAllowed"] == 1)
    assert f"node/{node} drained" in db(*drain, "--timeout=60s")

    eventually(lambda: "node affinity" in db("get", "events", "--field-selector",
                                             "involvedObject.name=db-0"))  # fmt: skip
    told = db("describe", "pod", "db-0")
    assert "1 node(s) were unschedulable" in told
    db("uncordon", node)
    after = eventually(lambda: replaced(db, 0, uid), 60)
    assert after["spec"]["nodeName"] == node
    everything_is_there(db)


def test_replicas_rise_with_the_load(db, load):
    eventually(lambda: db.get("deployment", "worker")["status"].get("readyReplicas") == 3, 120)
    told = db("describe", "hpa", "worker")
    assert "reason: cpu resource utilization (percentage of request) above target" in told
    assert "the HPA was able to successfully calculate a replica count from cpu" in told
    load.ended.set()


def test_a_rolling_update_loses_no_row(db):
    before = {m["metadata"]["uid"] for m in (member(db, number) for number in range(3))}
    db("set", "env", "statefulset/db", "VERSION=2")
    db("rollout", "status", "statefulset/db", "--timeout=90s")
    now = [member(db, number) for number in range(3)]
    assert not before & {m["metadata"]["uid"] for m in now}
    assert all({"name": "VERSION", "value": "2"} in m["spec"]["containers"][0]["env"] for m in now)
    everything_is_there(db)


def test_replicas_fall_when_the_load_ends(db, load):
    load.ended.set()
    eventually(lambda: db.get("deployment", "worker")["spec"]["replicas"] == 1, 120)
    assert "reason: All metrics below target" in db("describe", "hpa", "worker")


def test_a_node_is_cut_off_and_comes_back(db):
    """Its connections are dead without a word; nothing is started again."""
    index = 3
    cable = wires.cable(settings.load(db.cluster.directory / "cluster.json"), index)

    def heard():
        conditions = db.get("node", db.nodes[index - 1])["status"]["conditions"]
        return next(c["status"] for c in conditions if c["type"] == "Ready") == "True"

    subprocess.run(["ip", "link", "set", cable, "down"], check=True)
    try:
        eventually(lambda: not heard(), 60)
    finally:
        subprocess.run(["ip", "link", "set", cable, "up"], check=True)
    eventually(heard, 60)
    eventually(lambda: all(ready(member(db, number)) for number in range(3)), 60)
    everything_is_there(db)


def test_a_node_dies_and_comes_back(db):
    """What has no data moves to other nodes; the member comes back with its node, and its rows."""
    container = {"command": ["sleep", "100000"]}
    web = kind("apps/v1", "Deployment", {
        "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
        "template": pod_of("web", container),
    }, "web")  # fmt: skip
    db("apply", "-f", "-", stdin=json.dumps(web))
    db("rollout", "status", "deployment/web", "--timeout=60s")
    before = member(db, 0)
    node = before["spec"]["nodeName"]

    def elsewhere():
        found = [p for p in db.get("pods", "-l", "app=web")["items"]
                 if "deletionTimestamp" not in p["metadata"] and ready(p)]  # fmt: skip
        return len(found) == 3 and all(p["spec"]["nodeName"] != node for p in found)

    assert not elsewhere()
    power_off(db.cluster, db.nodes.index(node) + 1)
    eventually(elsewhere, 90)
    left = eventually(lambda: "deletionTimestamp" in (m := member(db, 0))["metadata"] and m)
    assert left["metadata"]["uid"] == before["metadata"]["uid"]  # nobody takes its place
    assert "1 node started" in db.cluster.kybern("up").stderr
    after = eventually(lambda: replaced(db, 0, before["metadata"]["uid"]), 90)
    assert after["spec"]["nodeName"] == node
    db("rollout", "status", "statefulset/db", "--timeout=60s")
    everything_is_there(db)


def power_off(cluster, index):
    """Kill everything that runs on a node: its programs, and what is in its containers."""
    place = cluster.directory / f"nodes/{index}"
    group = settings.load(place / "cluster.json").cgroup_root.strip("/") + "/"
    state = json.loads((place / "run/state.json").read_text())
    doomed = [state["pid"], *(child["pid"] for child in state["children"])]
    deadline = time.monotonic() + 20
    while doomed:
        assert time.monotonic() < deadline, f"still there: {doomed}"
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shims = [int(line.split()[1].rstrip(":")) for line in traces(place) if "process" in line]
        doomed = shims + [pid for pid in processes() if group in cgroup(pid)]


def processes():
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def cgroup(pid):
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""
