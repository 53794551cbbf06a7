"""Ingress: hosts, certificates, and a rolling update that no client notices."""

import http.client
import json
import subprocess
import threading
import time

import pytest

from kybern.lib import pki

from .conftest import IMAGE, eventually

pytestmark = pytest.mark.skipif(
    subprocess.run(["which", "haproxy"], capture_output=True, check=False).returncode != 0,
    reason="haproxy is not installed",
)
CLIENTS = 4


def web(name, version="1"):
    """A Deployment whose pods answer with their version, and its Service."""
    page = f"echo {name} {version} >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"
    container = {
        "name": "web", "image": IMAGE, "command": ["sh", "-c", page],
        "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1},
        # new connections may come until every proxy has heard that the pod goes
        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
    }  # fmt: skip
    labels = {"app": name}
    return [
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": labels},
                "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"terminationGracePeriodSeconds": 3, "containers": [container]},
                },
            },
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]  # fmt: skip


def ingress(name, host, service, secret):
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
        "spec": {
            "tls": [{"hosts": [host], "secretName": secret}],
            "rules": [{"host": host, "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": backend},
                {"path": "/none", "pathType": "Exact",
                 "backend": {"service": {"name": "none", "port": {"number": 80}}}},
            ]}}],
        },
    }  # fmt: skip


def apply(k, *objects):
    k("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


class Load:
    """Clients that ask one page all the time, over connections they keep."""

    def __init__(self, host, port):
        self.answers = {}
        self.failures = []
        self._where = (host, port)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self):
        host, port = self._where
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not self._over.is_set():
            try:
                connection.request("GET", "/", headers={"Host": host})
                answer = connection.getresponse()
                page = (answer.status, answer.read().decode().strip())
            except (OSError, http.client.HTTPException) as error:
                page = (0, repr(error))
                connection.close()
            if page[0] == 200:
                self.answers[page[1]] = self.answers.get(page[1], 0) + 1
            else:
                self.failures.append(page)
            time.sleep(0.01)
        connection.close()


@pytest.fixture
def curl(cluster, tmp_path):
    now = time.time()
    authority = pki.make_ca("stories", now=now)
    (tmp_path / "ca.crt").write_bytes(authority.certificate)

    def curl(host, path="/", scheme="https"):
        port = cluster.ingress_ports[scheme]
        done = subprocess.run(
            ["curl", "-s", "-m", "10", "--cacert", tmp_path / "ca.crt", "-w", " %{http_code}",
             "--resolve", f"{host}:{port}:127.0.0.1", f"{scheme}://{host}:{port}{path}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return " ".join(done.stdout.split())

    def certificate(k, name, *hosts):
        pair = pki.issue(authority, pki.Subject(hosts[0], dns_names=hosts), now=now, server=True)
        pair.save(tmp_path / "tls.crt", tmp_path / "tls.key")
        files = (f"--cert={tmp_path}/tls.crt", f"--key={tmp_path}/tls.key")
        made = k("create", "secret", "tls", name, *files, "--dry-run=client", "-o", "json")
        k("apply", "-f", "-", stdin=made)

    curl.certificate = certificate
    return curl


def test_ingress(cluster, k, curl):
    curl.certificate(k, "red", "red.test")
    apply(
        k, *web("red"), *web("blue"), ingress("red", "red.test", "red", "red"),
        ingress("blue", "*.blue.test", "blue", "blue"),
    )  # fmt: skip
    for name in ("red", "blue"):
        k("rollout", "status", f"deployment/{name}", "--timeout=120s")

    # each host has its Service and its certificate; one that is missing harms nobody else
    eventually(lambda: curl("red.test") == "red 1 200")
    eventually(lambda: curl("a.blue.test", scheme="http") == "blue 1 200")
    assert curl("a.blue.test") == "000"  # nobody trusts the certificate for strangers
    curl.certificate(k, "blue", "*.blue.test")
    eventually(lambda: curl("a.blue.test") == "blue 1 200")
    assert curl("red.test", "/none").endswith("503")
    assert curl("a.b.blue.test", scheme="http").endswith("404")

    # users are told: where it is, and what is wrong
    addresses = k.get("nodes")["items"][0]["status"]["addresses"]
    node = next(a["address"] for a in addresses if a["type"] == "InternalIP")
    status = eventually(lambda: k.get("ingress", "red")["status"]["loadBalancer"].get("ingress"))
    assert [each["ip"] for each in status] == [node]
    reasons = {e["reason"] for e in k.get("events")["items"] if "Ingress" in str(e)}
    assert reasons >= {"ServiceNotFound", "CertificateUnusable"}

    # a rolling update, and new routes while it goes on
    with Load("red.test", cluster.ingress_ports["http"]) as load:
        eventually(lambda: load.answers.get("red 1", 0) > 50)
        apply(k, *web("red", "2"))
        apply(k, ingress("more", "more.test", "blue", "blue"))
        k("rollout", "status", "deployment/red", "--timeout=180s")
        eventually(lambda: curl("more.test", scheme="http") == "blue 1 200")
        told = load.answers.get("red 2", 0)
        eventually(lambda: load.answers.get("red 2", 0) > told + 50)
    assert load.failures == []

    # without an Ingress there is no process
    pid = cluster.directory / "run/ingress/haproxy.pid"
    assert pid.exists()
    k("delete", "ingress", "--all")
    eventually(lambda: not pid.exists())
