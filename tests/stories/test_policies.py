"""NetworkPolicies, tried with real connections."""

import json

import pytest

from .conftest import IMAGE, eventually

SERVER = ["sh", "-c", "echo $HOSTNAME >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"]


def start(k, name, command, **labels):
    container = {"name": "c", "image": IMAGE, "command": command,
                 "ports": [{"name": "http", "containerPort": 8080}]}  # fmt: skip
    k("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"name": name, **labels}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }))  # fmt: skip


def policy(k, name, **spec):
    spec.setdefault("podSelector", {"matchLabels": {"name": "server"}})
    k("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name}, "spec": spec,
    }))  # fmt: skip


@pytest.fixture
def pods(k):
    """A server, a friend and a stranger; returns the server's address."""
    start(k, "server", SERVER)
    start(k, "friend", ["sleep", "1000"], role="friend")
    start(k, "stranger", ["sleep", "1000"])
    k("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    k("expose", "pod", "server", "--port=80", "--target-port=8080")
    return k.get("pod", "server")["status"]["podIP"]


def reaches(k, pod, target):
    # not `wget -T`: with that, Debian's static busybox crashes
    command = ["timeout", "1", "wget", "-q", "-O", "-", f"http://{target}/"]
    return k("exec", pod, "--", *command, check=False).stdout.strip() == "server"


def both(k, address, friend, stranger):
    """Wait until friend and stranger reach the server, or do not, by address and by name."""
    wanted = [friend, friend, stranger, stranger]

    def as_wanted():
        return wanted == [
            reaches(k, pod, target)
            for pod in ("friend", "stranger")
            for target in (f"{address}:8080", "server")
        ]

    eventually(as_wanted, 30)


def test_a_policy_stops_and_a_policy_allows(k, pods):
    both(k, pods, friend=True, stranger=True)
    policy(k, "deny", ingress=[])
    both(k, pods, friend=False, stranger=False)
    assert k.get("pod", "server")["status"]["containerStatuses"][0]["ready"]
    k("exec", "server", "--", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/")
    come = {
        "from": [{"podSelector": {"matchLabels": {"role": "friend"}}}],
        "ports": [{"port": "http"}],
    }
    policy(k, "friends", ingress=[come])
    both(k, pods, friend=True, stranger=False)
    k("label", "pod", "stranger", "role=friend")
    both(k, pods, friend=True, stranger=True)
    k("label", "pod", "stranger", "role-")
    both(k, pods, friend=True, stranger=False)

    # the other direction: what the friend may send; names are still answered
    nothing = {"podSelector": {"matchLabels": {"name": "friend"}}, "policyTypes": ["Egress"]}
    policy(k, "quiet", **nothing)
    both(k, pods, friend=False, stranger=False)
    k("exec", "friend", "--", "nslookup", f"server.{k.namespace}.svc.cluster.local")
    policy(
        k,
        "quiet",
        **nothing,
        egress=[{"to": [{"podSelector": {"matchLabels": {"name": "server"}}}]}],
    )
    both(k, pods, friend=True, stranger=False)

    k("delete", "networkpolicy", "--all")
    both(k, pods, friend=True, stranger=True)


def test_probes_of_isolated_pods_still_work(k):
    container = {"name": "c", "image": IMAGE, "command": SERVER,
                 "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1}}  # fmt: skip
    k("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }))  # fmt: skip
    k("apply", "-f", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }))  # fmt: skip
    k("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
