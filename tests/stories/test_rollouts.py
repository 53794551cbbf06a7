"""Rollouts under load: requests are counted, none may be lost, whatever the rollout comes to."""

import contextlib
import json
import ssl
import threading
from http.client import HTTPConnection, HTTPException, HTTPSConnection

import pytest

from .conftest import IMAGE, OTHER_IMAGE, eventually

GATE = "example.com/admitted"
SCRIPT = "mkdir /www; echo $VERSION >/www/index.html; exec httpd -f -p 8080 -h /www"


def web():
    container = {
        "name": "c", "image": IMAGE, "command": ["sh", "-c", SCRIPT],
        "env": [{"name": "VERSION", "value": "1"}],
        "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1},
        # every node and client has heard that it goes, before it goes
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }  # fmt: skip
    pod = {"containers": [container], "readinessGates": [{"conditionType": GATE}]}
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 4, "progressDeadlineSeconds": 10, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }  # fmt: skip


class Loop(threading.Thread):
    """Does something again and again until it is told to stop."""

    def __init__(self):
        super().__init__()
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.wait(0.01):
            self.once()


class Client(Loop):
    """Asks with a new connection each time; remembers every answer, and everything else."""

    def __init__(self, address):
        super().__init__()
        self.address = address
        self.answers = []
        self.lost = []

    def once(self):
        connection = HTTPConnection(self.address, timeout=10)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            text = answer.read().decode().strip()
            (self.answers if answer.status == 200 else self.lost).append(text)
        except (OSError, HTTPException) as error:
            self.lost.append(repr(error))
        finally:
            connection.close()


class Gatekeeper(Loop):
    """Lets pods in whose containers are ready: the gate is its condition."""

    def __init__(self, cluster, namespace):
        super().__init__()
        context = ssl.create_default_context(cafile=str(cluster.directory / "pki/ca.crt"))
        self.connection = HTTPSConnection("127.0.0.1", cluster.port, context=context, timeout=30)
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        self.let_in = set()

    def once(self):
        for pod in self.ask("GET", self.pods)["items"]:
            name, conditions = pod["metadata"]["name"], pod["status"].get("conditions", [])
            true = {c["type"] for c in conditions if c["status"] == "True"}
            if "ContainersReady" in true and GATE not in true:
                body = {"status": {"conditions": [{"type": GATE, "status": "True"}]}}
                self.ask("PATCH", f"{self.pods}/{name}/status", body)
                self.let_in.add(name)

    def run(self):
        with contextlib.closing(self.connection):
            super().run()

    def ask(self, method, path, body=None):
        headers = {
            "Authorization": "Bearer a-token-for-stories",
            "Content-Type": "application/strategic-merge-patch+json",
        }
        self.connection.request(method, path, body and json.dumps(body), headers)
        return json.loads(self.connection.getresponse().read())


@pytest.fixture
def loaded(k, cluster):
    """Four pods behind a Service, and clients which ask them all the time, each its own way in."""
    k("apply", "-f", "-", stdin=json.dumps(web()))
    k("expose", "deployment", "web", "--port=80", "--target-port=8080", "--type=LoadBalancer")
    balancer = eventually(lambda: k.get("service", "web")["status"]["loadBalancer"].get("ingress"))
    spec = k.get("service", "web")["spec"]
    node = k.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
    ways = (spec["clusterIP"], f"{node}:{spec['ports'][0]['nodePort']}", balancer[0]["ip"])
    with Gatekeeper(cluster, k.namespace) as gatekeeper, contextlib.ExitStack() as stack:
        k("rollout", "status", "deployment/web", "--timeout=60s")
        k.gatekeeper = gatekeeper
        k.clients = [stack.enter_context(Client(way)) for way in ways]
        yield k


def answers(k):
    return [text for client in k.clients for text in list(client.answers)]


def test_no_request_is_lost(loaded):
    k = loaded
    eventually(lambda: answers(k))
    k("set", "env", "deployment/web", "VERSION=2")
    k("rollout", "status", "deployment/web", "--timeout=90s")
    eventually(lambda: "2" in answers(k))

    # a bad one stops by itself, and what it has not replaced goes on
    k("set", "image", "deployment/web", "c=kybern.local/there-is-none:1")
    told = k("rollout", "status", "deployment/web", "--timeout=90s", check=False)
    assert told.returncode
    assert 'deployment "web" exceeded its progress deadline' in told.stderr
    status = k.get("deployment", "web")["status"]
    assert status["availableReplicas"] == 3  # 25 % of 4 may be unavailable …
    assert status["updatedReplicas"] == 2  # … and as many more than 4 may there be
    progressing = next(c for c in status["conditions"] if c["type"] == "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert progressing["message"].endswith("has timed out progressing.")
    described = k("describe", "deployment", "web")
    assert "Progressing    False   ProgressDeadlineExceeded" in described

    # undone; and one that changes the image besides is finished
    k("rollout", "undo", "deployment/web")
    k("rollout", "status", "deployment/web", "--timeout=90s")
    assert k.get("deployment", "web")["status"]["availableReplicas"] == 4
    k("set", "image", "deployment/web", f"c={OTHER_IMAGE}")
    k("rollout", "status", "deployment/web", "--timeout=90s")
    seen = len(answers(k))
    eventually(lambda: len(answers(k)) > seen)

    assert [text for client in k.clients for text in client.lost] == []
    assert set(answers(k)) == {"1", "2"}
    assert len(k.gatekeeper.let_in) >= 4 + 4 + 1 + 4  # nobody was ready without it
