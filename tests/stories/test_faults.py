"""Kill things in the middle, and see that nothing is lost."""

import json
import os
import signal

from .conftest import IMAGE, OTHER_IMAGE, eventually
from .test_network import WEB


def kill(cluster, name):
    pid = cluster.pid(name)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: cluster.pid(name) not in (0, pid), 30)


def containers(k):
    return {
        s["containerID"]: s["restartCount"]
        for p in k.get("pods")["items"]
        for s in p["status"].get("containerStatuses", [])
    }


def apply(k):
    k("apply", "-f", "-", stdin=json.dumps(WEB))
    k("rollout", "status", "deployment/web", "--timeout=60s")


def test_killed_node_agent_leaves_containers_running(k, cluster):
    apply(k)
    before = containers(k)
    kill(cluster, "node")
    eventually(lambda: "Ready" in k("get", "nodes"), 30)
    k("run", "after", f"--image={IMAGE}", "--command", "--", "sleep", "1000")
    k("wait", "--for=condition=Ready", "pod/after", "--timeout=30s")
    k("delete", "pod", "after", "--now")
    eventually(lambda: containers(k) == before, 30)


def test_killed_control_plane_leaves_containers_running(k, cluster):
    apply(k)
    before = containers(k)
    kill(cluster, "control-plane")
    eventually(lambda: k("get", "pods", check=False).returncode == 0, 30)
    k("scale", "deployment/web", "--replicas=4")
    k("rollout", "status", "deployment/web", "--timeout=60s")
    assert before.items() <= containers(k).items()


def test_a_rollout_finishes_although_everything_is_killed(k, cluster):
    apply(k)
    k("set", "image", "deployment/web", f"web={OTHER_IMAGE}")
    kill(cluster, "control-plane")
    kill(cluster, "node")
    eventually(lambda: k("get", "pods", check=False).returncode == 0, 30)
    k("rollout", "status", "deployment/web", "--timeout=90s")

    def images():
        return [
            p["spec"]["containers"][0]["image"]
            for p in k.get("pods", "-l", "app=web")["items"]
            if "deletionTimestamp" not in p["metadata"]
        ]

    assert images() == [OTHER_IMAGE] * 3


def test_killed_containerd_comes_back(k, cluster):
    apply(k)
    before = containers(k)
    kill(cluster, "containerd")
    k("run", "after", f"--image={IMAGE}", "--command", "--", "sleep", "1000")
    k("wait", "--for=condition=Ready", "pod/after", "--timeout=60s")
    assert before.items() <= containers(k).items()


def test_bodies_that_make_no_sense(cluster):
    """Never a traceback, never a dropped connection: a Status."""
    import ssl
    from http.client import HTTPSConnection

    context = ssl.create_default_context(cafile=str(cluster.directory / "pki/ca.crt"))
    token = {"Authorization": "Bearer a-token-for-stories"}
    path = "/api/v1/namespaces/default/pods"

    def ask(method, path, body=None, **headers):
        connection = HTTPSConnection("127.0.0.1", cluster.port, context=context, timeout=10)
        connection.request(method, path, body, token | headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    def status(method, path, body=None, **headers):
        code, text = ask(method, path, body, **headers)
        tree = json.loads(text)
        assert tree["kind"] == "Status"
        assert tree["code"] == code
        return code, tree["reason"]

    assert status("POST", path, b"{") == (400, "BadRequest")
    assert status("POST", path, b"\xff\xfe\x00") == (400, "BadRequest")
    assert status("POST", path, b"x" * 10_000_000) == (413, "RequestEntityTooLarge")
    assert status("POST", path, b"<a/>", **{"Content-Type": "text/xml"}) == (
        415, "UnsupportedMediaType",
    )  # fmt: skip
    assert status("GET", "/api/v1/nonsense") == (404, "NotFound")
    assert ask("GET", "/apis/no.such/v1/things") == (404, b"404 page not found\n")
    assert status("PUT", "/api/v1/namespaces/default/pods", b"{}")[0] == 405
    assert status("GET", "/api/v1/pods?limit=-1&continue=rubbish")[0] == 400
    assert ask("GET", "/version")[0] == 200
    connection = HTTPSConnection("127.0.0.1", cluster.port, context=context, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 401
    connection.close()
