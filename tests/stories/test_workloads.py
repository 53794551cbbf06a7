"""What happens to pods and Deployments, with real containers."""

import json
import re
import time

import pytest

from .conftest import IMAGE, OTHER_IMAGE, eventually

DEPLOYMENT = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: {IMAGE}
          command: [sh, -c, "echo $HOSTNAME >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
          ports: [{{name: http, containerPort: 8080}}]
          readinessProbe: {{httpGet: {{port: http}}, periodSeconds: 1}}
"""


def pod(command, **spec):
    container = {"name": "c", "image": IMAGE, "command": command} | spec.pop("container", {})
    body = {"terminationGracePeriodSeconds": 1, "containers": [container]} | spec
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": body})


def ready(k, name="web"):
    return k.get("deployment", name)["status"].get("readyReplicas", 0)


@pytest.fixture
def web(k):
    k("apply", "-f", "-", stdin=DEPLOYMENT)
    k("rollout", "status", "deployment/web", "--timeout=60s")
    return k


def test_a_killed_container_is_restarted(k, cluster):
    k("apply", "-f", "-", stdin=pod(["sleep", "1000"]))
    k("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    k("exec", "p", "--", "kill", "-9", "1", check=False)  # PID 1 ignores it from inside
    status = k.get("pod", "p")["status"]["containerStatuses"][0]
    container = status["containerID"].removeprefix("containerd://")
    socket = cluster.directory / "containerd/containerd.sock"
    import subprocess

    subprocess.run(
        ["ctr", "--address", str(socket), "-n", "k8s.io", "tasks", "kill", "-s", "9", container],
        check=True,
    )
    restarted = eventually(
        lambda: (s := k.get("pod", "p")["status"]["containerStatuses"][0])["restartCount"] and s, 30
    )
    assert restarted["lastState"]["terminated"]["exitCode"] == 137
    k("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")


def test_a_deleted_pod_is_replaced(web):
    before = {p["metadata"]["name"] for p in web.get("pods")["items"]}
    web("delete", "pod", sorted(before)[0])
    eventually(lambda: ready(web) == 3 and len(web.get("pods")["items"]) == 3)
    assert {p["metadata"]["name"] for p in web.get("pods")["items"]} != before


def test_scaling_up_and_down(web):
    for size in (10, 1):
        web("scale", "deployment/web", f"--replicas={size}")
        web("rollout", "status", "deployment/web", "--timeout=90s")
        eventually(lambda size=size: len(web.get("pods")["items"]) == size)


def test_a_bad_rollout_stalls_and_is_undone(web):
    web("set", "image", "deployment/web", "web=kybern.local/there-is-none:1")
    stuck = eventually(
        lambda: [
            s["state"]["waiting"]["reason"]
            for p in web.get("pods")["items"]
            for s in p["status"].get("containerStatuses", [])
            if "waiting" in s["state"]
        ]
    )
    assert stuck[0] in ("ErrImagePull", "ImagePullBackOff", "ContainerCreating")
    eventually(lambda: "ImagePull" in web("get", "pods"))
    assert ready(web) >= 2  # 25 % of 3, rounded down, may be unavailable: none
    web("rollout", "undo", "deployment/web")
    web("rollout", "status", "deployment/web", "--timeout=60s")
    assert "there-is-none" not in web("get", "deployment", "web", "-o", "wide")
    history = web("rollout", "history", "deployment/web")
    assert len(re.findall(r"^\d+", history, re.MULTILINE)) == 2


def test_rolling_update_and_restart(web):
    web("set", "image", "deployment/web", f"web={OTHER_IMAGE}")
    web("rollout", "status", "deployment/web", "--timeout=60s")
    images = {p["spec"]["containers"][0]["image"] for p in web.get("pods")["items"]
              if "deletionTimestamp" not in p["metadata"]}  # fmt: skip
    assert images == {OTHER_IMAGE}
    before = {p["metadata"]["uid"] for p in web.get("pods")["items"]}
    web("rollout", "restart", "deployment/web")
    web("rollout", "status", "deployment/web", "--timeout=60s")
    eventually(lambda: not before & {p["metadata"]["uid"] for p in web.get("pods")["items"]})


def test_environment_and_volumes(k):
    k("create", "configmap", "settings", "--from-literal=colour=blue")
    k("create", "secret", "generic", "keys", "--from-literal=token=hidden")
    volumes = [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
        {"name": "about", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]  # fmt: skip
    mounts = [{"name": v["name"], "mountPath": f"/{v['name']}"} for v in volumes]
    env = [
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        {"name": "BOTH", "value": "$(POD)-$(COLOUR)"},
    ]
    script = (
        "echo $COLOUR $TOKEN $POD $LIMIT $BOTH; cat /settings/colour /keys/token; echo;"
        "stat -c %a /keys/..data/token; grep -c ' /memory tmpfs' /proc/mounts;"
        "echo $KUBERNETES_SERVICE_HOST; touch /scratch/x && echo written;"
        "head -c 3 /var/run/secrets/kubernetes.io/serviceaccount/token"
    )
    container = {
        "env": env, "volumeMounts": mounts, "resources": {"limits": {"memory": "64Mi"}},
    }  # fmt: skip
    k("apply", "-f", "-", stdin=pod(["sh", "-c", script], container=container, volumes=volumes,
                                    restartPolicy="Never"))  # fmt: skip
    eventually(lambda: k.get("pod", "p")["status"]["phase"] == "Succeeded", 30)
    lines = k("logs", "p").splitlines()
    assert lines[0] == "blue hidden p 67108864 p-blue"
    assert lines[1:4] == ["bluehidden", "400", "1"]
    assert lines[4].startswith("10.")
    assert lines[5:] == ["written", "eyJ"]


def test_init_containers_run_in_order_before_the_others(k):
    init = [
        {"name": f"i{n}", "image": IMAGE, "command": ["sh", "-c", f"echo {n} >>/data/order"],
         "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        for n in (1, 2)
    ]  # fmt: skip
    container = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    k("apply", "-f", "-", stdin=pod(
        ["cat", "/data/order"], container=container, initContainers=init,
        volumes=[{"name": "data", "emptyDir": {}}], restartPolicy="Never"))  # fmt: skip
    eventually(lambda: k.get("pod", "p")["status"]["phase"] == "Succeeded", 30)
    assert k("logs", "p").split() == ["1", "2"]


def test_crashing_containers_back_off(k):
    k("apply", "-f", "-", stdin=pod(["sh", "-c", "echo dying; exit 3"]))
    waiting = eventually(
        lambda: k.get("pod", "p")["status"]["containerStatuses"][0]["state"].get("waiting"), 40
    )
    eventually(lambda: "CrashLoopBackOff" in k("get", "pod", "p"), 40)
    assert waiting
    assert k("logs", "p", "--previous").strip() == "dying"
    events = k("get", "events")
    assert "Back-off restarting failed container" in events


def test_a_container_without_memory_is_restarted_in_its_sandbox_and_backs_off(k):
    container = {"resources": {"limits": {"memory": "20Mi"}}}
    hungry = ["sh", "-c", "sleep 1; dd if=/dev/zero of=/dev/null bs=100M"]
    k("apply", "-f", "-", stdin=pod(hungry, container=container))
    eventually(lambda: "CrashLoopBackOff" in k("get", "pod", "p"), 40)
    [status] = k.get("pod", "p")["status"]["containerStatuses"]
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
    assert status["restartCount"] == 1
    assert "SandboxChanged" not in k("get", "events")


def test_a_hook_that_fails_says_nothing_secret(k):
    hook = {"exec": {"command": ["sh", "-c", "echo hush; exit 4"]}}
    k("apply", "-f", "-", stdin=pod(["sleep", "1000"],
                                    container={"lifecycle": {"postStart": hook}}))  # fmt: skip
    eventually(lambda: "PostStartHook failed" in k("get", "events"), 30)
    assert "hush" not in k("get", "events")


def test_liveness_probe_restarts_and_prestop_runs(k):
    container = {
        "livenessProbe": {"exec": {"command": ["test", "!", "-e", "/tmp/bad"]},
                          "periodSeconds": 1, "failureThreshold": 1},
    }  # fmt: skip
    k("apply", "-f", "-", stdin=pod(["sleep", "1000"], container=container))
    k("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    k("exec", "p", "--", "touch", "/tmp/bad")
    eventually(lambda: k.get("pod", "p")["status"]["containerStatuses"][0]["restartCount"] == 1, 30)
    assert "Unhealthy" in k("get", "events")


def test_graceful_termination(k):
    script = "trap 'echo got it; exit 0' TERM; while :; do sleep 0.1; done"
    k("apply", "-f", "-", stdin=pod(["sh", "-c", script], terminationGracePeriodSeconds=20))
    k("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    began = time.monotonic()
    k("delete", "pod", "p", "--timeout=30s")
    assert time.monotonic() - began < 10


def test_pending_pods_say_why(k):
    container = {"resources": {"requests": {"cpu": "1000"}}}
    k("apply", "-f", "-", stdin=pod(["sleep", "1"], container=container))
    eventually(lambda: "0/1 nodes are available: 1 Insufficient cpu." in k("get", "events"), 20)
    assert "Insufficient cpu" in k("describe", "pod", "p")
