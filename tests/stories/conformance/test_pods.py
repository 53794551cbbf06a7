"""Pods as clients deal with them: changes, deadlines, generations, streams, more containers."""

import json
import time

import pytest

from tests.conformance.marks import conforms
from tests.stories.conformance.pods import create, ended, make, shell, start, status
from tests.stories.conformance.rest import Rest
from tests.stories.conftest import IMAGE, eventually


@pytest.fixture
def rest(cluster):
    return Rest(cluster)


@conforms(
    "[sig-node] Pods should be submitted and removed [NodeConformance] [Conformance]",
    "[sig-node] Pods should be updated [NodeConformance] [Conformance]",
)
def test_submitted_changed_and_removed(k, rest):
    path = f"/api/v1/namespaces/{k.namespace}/pods"
    pod = create(k, [shell("c", "trap exit TERM; sleep 1000 & wait")], name="p",
                 metadata={"labels": {"time": "1"}}, terminationGracePeriodSeconds=30)  # fmt: skip
    (found,) = k.get("pods", "-l", "time=1")["items"]
    k("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=60s")
    found = rest("GET", f"{path}/p")
    found["metadata"]["labels"]["time"] = "2"
    changed = rest("PUT", f"{path}/p", found)
    assert k.get("pods", "-l", "time=1")["items"] == []
    assert [p["metadata"]["name"] for p in k.get("pods", "-l", "time=2")["items"]] == ["p"]
    deleted = rest("DELETE", f"{path}/p", {"gracePeriodSeconds": 30})
    assert deleted["metadata"]["deletionGracePeriodSeconds"] == 30
    since = changed["metadata"]["resourceVersion"]
    query = f"watch=true&timeoutSeconds=8&resourceVersion={since}&labelSelector=time%3D2"
    _, _, text = rest.raw("GET", f"{path}?{query}")
    events = [json.loads(line) for line in text.splitlines()]
    assert events[-1]["type"] == "DELETED"
    assert events[-1]["object"]["metadata"]["deletionTimestamp"]
    assert k.get("pods", "-l", "time=2")["items"] == []


@conforms(
    "[sig-node] Pods should allow activeDeadlineSeconds to be updated [NodeConformance] [Conformance]",
)
def test_a_deadline(k):
    pod = start(k, [shell("c", "sleep 1000")])
    k("patch", "pod", pod, "-p", '{"spec":{"activeDeadlineSeconds":5}}')
    found = ended(k, pod, 40)
    assert (found["status"]["phase"], found["status"]["reason"]) == ("Failed", "DeadlineExceeded")


@conforms(
    "[sig-node] Pods Extended (pod generation) Pod Generation pod generation should start at 1 and increment per update [MinimumKubeletVersion:1.34] [Conformance]",
    "[sig-node] Pods Extended (pod generation) Pod Generation issue 500 podspec updates and verify generation and observedGeneration eventually converge [MinimumKubeletVersion:1.34] [Conformance]",
)
def test_generations_are_seen(k, rest):
    path = f"/api/v1/namespaces/{k.namespace}/pods/p"
    start(k, [shell("c", "sleep 10000")], name="p")

    def generations():
        found = rest("GET", path)
        conditions = found["status"]["conditions"]
        seen = {c.get("observedGeneration") for c in conditions if c["type"] == "Ready"}
        return found["metadata"]["generation"], found["status"].get("observedGeneration"), seen

    eventually(lambda: generations()[:2] == (1, 1), 20)
    strategic = "application/strategic-merge-patch+json"
    for patch, generation in (
        ({"metadata": {"annotations": {"a": "b"}}}, 1),
        ({"spec": {"activeDeadlineSeconds": 100_000}}, 2),
        ({"spec": {"tolerations": [
            *rest("GET", path)["spec"]["tolerations"], {"key": "k", "operator": "Exists"}]}}, 3),
        ({"metadata": {"labels": {"a": "b"}}}, 3),
    ):  # fmt: skip
        rest("PATCH", path, patch, strategic)
        eventually(lambda g=generation: generations()[:2] == (g, g), 20)
    for number in range(4, 501):
        patch = {"spec": {"activeDeadlineSeconds": 100_000 - number}}
        assert rest("PATCH", path, patch, strategic)["metadata"]["generation"] == number
    eventually(lambda: generations()[:2] == (500, 500), 30)


@conforms(
    "[sig-node] Pods should support remote command execution over websockets [NodeConformance] [Conformance]",
    "[sig-node] Pods should support retrieving logs from the container over websockets [NodeConformance] [Conformance]",
)
def test_raw_websockets(k, rest):
    start(k, [shell("main", "echo container is alive; sleep 10000")], name="p")
    path = f"/api/v1/namespaces/{k.namespace}/pods/p"
    query = "command=echo&command=remote+execution+test&stdout=1&stderr=1&container=main"
    stream = rest.websocket(f"{path}/exec?{query}", "channel.k8s.io")
    said = b""
    while message := stream.recv():
        if isinstance(message, bytes) and message[:1] == b"\x01":
            said += message[1:]
    assert said == b"remote execution test\n"
    stream.shutdown()
    stream = rest.websocket(f"{path}/log?container=main", "binary.k8s.io")
    said = b""
    while message := stream.recv():
        said += message
    assert said == b"container is alive\n"
    stream.shutdown()


@conforms(
    "[sig-node] Ephemeral Containers [NodeConformance] will start an ephemeral container in an existing pod [Conformance]",
    "[sig-node] Ephemeral Containers [NodeConformance] should update the ephemeral containers in an existing pod [Conformance]",
)
def test_ephemeral_containers(k, rest):
    start(k, [shell("main", "sleep 10000")], name="p")
    path = f"/api/v1/namespaces/{k.namespace}/pods/p"

    def ephemeral(name):
        return {"name": name, "image": IMAGE, "command": ["sh", "-c", "echo polo; sleep 10000"],
                "stdin": True, "tty": True}  # fmt: skip

    patch = {"spec": {"ephemeralContainers": [ephemeral("debugger")]}}
    done = rest("PATCH", f"{path}/ephemeralcontainers", patch,
                "application/strategic-merge-patch+json")  # fmt: skip
    assert [c["name"] for c in done["spec"]["ephemeralContainers"]] == ["debugger"]

    def runs(name):
        states = rest("GET", path)["status"].get("ephemeralContainerStatuses", [])
        return any(s["name"] == name and "running" in s["state"] for s in states)

    eventually(lambda: runs("debugger"), 60)
    assert "polo" in k("logs", "p", "-c", "debugger")
    found = rest("GET", f"{path}/ephemeralcontainers")
    found["spec"]["ephemeralContainers"].append(ephemeral("debugger2"))
    done = rest("PUT", f"{path}/ephemeralcontainers", found)
    assert [c["name"] for c in done["spec"]["ephemeralContainers"]] == ["debugger", "debugger2"]
    eventually(lambda: runs("debugger2"), 60)
    assert status(k, "p")["restartCount"] == 0


@conforms(
    "[sig-cli] Kubectl client Kubectl label should update the label on a resource [Conformance]",
    "[sig-cli] Kubectl client Kubectl replace should update a single-container pod's image [Conformance]",
    "[sig-cli] Kubectl logs logs should be able to retrieve and filter logs [Conformance]",
)
def test_kubectl_on_a_running_pod(k):
    script = "for i in $(seq 5); do echo line $i; done; sleep 3; echo last; sleep 10000"
    start(k, [shell("c", script)], name="p")
    k("label", "pods", "p", "testing-label=testing-label-value")
    assert "testing-label-value" in k("get", "pod", "p", "-L", "testing-label")
    k("label", "pods", "p", "testing-label-")
    assert "testing-label-value" not in k("get", "pod", "p", "-L", "testing-label")

    eventually(lambda: "last" in k("logs", "p"), 20)
    time.sleep(2)
    assert k("logs", "p", "--tail=1") == "last\n"
    assert k("logs", "p", "--limit-bytes=1") == "l"
    (line,) = k("logs", "p", "--tail=1", "--timestamps").splitlines()
    stamp, text = line.split(" ", 1)
    assert text == "last"
    assert stamp[10] == "T"
    assert stamp.endswith("Z")
    recent = k("logs", "p", "--since=1s").splitlines()
    assert recent == []
    assert len(k("logs", "p", "--since=24h").splitlines()) == 6

    tree = k.get("pod", "p")
    other = IMAGE.replace(":1", ":2")
    tree["spec"]["containers"][0]["image"] = other
    k("replace", "-f", "-", stdin=json.dumps(tree))
    assert k.get("pod", "p")["spec"]["containers"][0]["image"] == other


@conforms(
    "[sig-storage] EmptyDir wrapper volumes should not cause race condition when used for configmaps [Serial] [Conformance]",
)
def test_many_volumes_of_many_pods(k):
    names = [f"m-{number}" for number in range(50)]
    make(k, *({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
               "data": {"data-1": "value-1"}} for name in names))  # fmt: skip
    items = [{"key": "data-1", "path": "data-1"}]
    volumes = [{"name": n, "configMap": {"name": n, "items": items}} for n in names]
    mounts = [{"name": n, "mountPath": f"/etc/{n}"} for n in names]
    pods = [
        create(k, [shell("c", "sleep 1000", volumeMounts=mounts)], volumes=volumes)
        for _ in range(5)
    ]
    for pod in pods:
        k("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=90s")
    assert k("exec", pods[0], "--", "cat", "/etc/m-49/data-1") == "value-1"
