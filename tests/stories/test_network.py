"""Pods, Services and names, with real packets."""

import json
import subprocess

import pytest

from .conftest import IMAGE, eventually

WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "web",
                        "image": IMAGE,
                        "command": [
                            "sh", "-c",
                            "echo $HOSTNAME >/tmp/index.html; exec httpd -f -p 8080 -h /tmp",
                        ],
                        "readinessProbe": {
                            "exec": {"command": ["test", "!", "-e", "/tmp/unready"]},
                            "periodSeconds": 1, "failureThreshold": 1,
                        },
                    }
                ],
            },
        },
    },
}  # fmt: skip


@pytest.fixture
def web(k):
    k("apply", "-f", "-", stdin=json.dumps(WEB))
    k("expose", "deployment", "web", "--port=80", "--target-port=8080", "--type=NodePort")
    k("run", "client", f"--image={IMAGE}", "--command", "--", "sleep", "1000")
    k("rollout", "status", "deployment/web", "--timeout=60s")
    k("wait", "--for=condition=Ready", "pod/client", "--timeout=30s")
    return k


def ask(k, url, times=1):
    """Fetch a page from inside the client pod; return the distinct answers."""
    script = f"for i in $(seq {times}); do timeout 3 wget -q -O- {url}; done"
    return set(k("exec", "client", "--", "sh", "-c", script).split())


def names(k):
    return {p["metadata"]["name"] for p in k.get("pods", "-l", "app=web")["items"]}


def test_a_service_spreads_over_ready_pods_only(web):
    eventually(lambda: ask(web, "http://web", 30) == names(web), 20)
    out = sorted(names(web))[0]
    web("exec", out, "--", "touch", "/tmp/unready")
    eventually(lambda: ask(web, "http://web", 30) == names(web) - {out}, 20)
    web("exec", out, "--", "rm", "/tmp/unready")
    eventually(lambda: ask(web, "http://web", 30) == names(web), 20)


def test_node_port_and_cluster_ip_from_the_node(web):
    spec = web.get("service", "web")["spec"]
    node = web.get("nodes")["items"][0]
    address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    for url in (f"http://{address}:{spec['ports'][0]['nodePort']}", f"http://{spec['clusterIP']}"):
        page = eventually(
            lambda url=url: subprocess.run(
                ["curl", "-s", "-m", "2", url], capture_output=True, text=True, check=False
            ).stdout.strip()
        )
        assert page in names(web)


def test_names(web):
    def lookup(name):
        return web("exec", "client", "--", "nslookup", name, check=False).stdout

    cluster_ip = web.get("service", "web")["spec"]["clusterIP"]
    eventually(lambda: cluster_ip in lookup(f"web.{web.namespace}.svc.cluster.local"), 10)
    kubernetes = web("get", "service", "kubernetes", "-n", "default", "-o",
                     "jsonpath={.spec.clusterIP}")  # fmt: skip
    assert kubernetes in lookup("kubernetes.default.svc.cluster.local")
    headless = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "each"},
        "spec": {"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 8080}]},
    }  # fmt: skip
    web("apply", "-f", "-", stdin=json.dumps(headless))
    addresses = {p["status"]["podIP"] for p in web.get("pods", "-l", "app=web")["items"]}
    found = eventually(
        lambda: {
            a for a in addresses if a in lookup(f"each.{web.namespace}.svc.cluster.local")
        } == addresses, 10,
    )  # fmt: skip
    assert found
    resolv = web("exec", "client", "--", "cat", "/etc/resolv.conf")
    assert f"search {web.namespace}.svc.cluster.local svc.cluster.local cluster.local" in resolv


def test_pods_reach_each_other_and_the_node(web):
    one = web.get("pods", "-l", "app=web")["items"][0]
    assert ask(web, f"http://{one['status']['podIP']}:8080") == {one["metadata"]["name"]}
    gateway = web("exec", "client", "--", "ip", "route").split("via ")[1].split()[0]
    assert "1 packets received" in web("exec", "client", "--", "ping", "-c1", "-W2", gateway)


def test_a_service_without_pods_refuses_at_once(web):
    web("scale", "deployment/web", "--replicas=0")
    eventually(lambda: not names(web), 30)
    failed = web(
        "exec", "client", "--", "timeout", "5", "wget", "-q", "-O-", "http://web", check=False
    )
    assert "refused" in failed.stderr
