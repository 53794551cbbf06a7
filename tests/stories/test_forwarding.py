"""Ways into a pod through the API server: port-forward in all its forms, proxies, upgrades."""

import contextlib
import re
import socket
import subprocess
import urllib.request

import pytest

from .conformance.pods import make
from .conformance.rest import Rest
from .netserver import NODE, PORT, speaking


@pytest.fixture
def web(k):
    """A Deployment with a Service, both called web."""
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [speaking("serve")], "volumes": NODE,
                 "terminationGracePeriodSeconds": 1},
    }  # fmt: skip
    make(
        k,
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
         "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
         "spec": {"selector": {"app": "web"},
                  "ports": [{"name": "http", "port": 80, "targetPort": PORT}]}},
    )  # fmt: skip
    k("rollout", "status", "deployment/web", "--timeout=60s")
    (pod,) = k.get("pods", "-l", "app=web")["items"]
    return pod["metadata"]["name"]


@contextlib.contextmanager
def forwarded(k, cluster, target, *ports, messages):
    """Run `kubectl port-forward`; yield the process and the local port of each port."""
    env = {**cluster.env, "KUBECTL_PORT_FORWARD_WEBSOCKETS": str(messages).lower()}
    words = ["kubectl", "-n", k.namespace, "port-forward", "--address=127.0.0.1", target, *ports]
    process = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    try:
        lines = [process.stdout.readline() for _ in ports]
        yield process, [int(re.search(r"127\.0\.0\.1:(\d+) ->", line)[1]) for line in lines]
    finally:
        process.kill()
        process.communicate()


def page(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/x", timeout=20) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("messages", [True, False], ids=["websocket", "spdy"])
def test_port_forward(k, cluster, web, messages):
    for target, ports in (
        (f"pod/{web}", [f":{PORT}", f":{PORT}"]), ("service/web", [":80"]),
        ("deployment/web", [f":{PORT}"]),
    ):  # fmt: skip
        with forwarded(k, cluster, target, *ports, messages=messages) as (_, local):
            for port in (*local, *local):
                assert page(port) == f"{web} /x"
    # nobody listens there: it is said for the connection, and the client ends
    with forwarded(k, cluster, f"pod/{web}", ":9", messages=messages) as (process, (port,)):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            assert connection.recv(10) == b""
        said = process.communicate(timeout=30)[1]
        assert "error forwarding port 9 to pod" in said
        assert "refused" in said


def test_port_forward_in_channels(k, cluster, web):
    """As clients in Python and JavaScript speak it."""
    path = f"/api/v1/namespaces/{k.namespace}/pods/{web}/portforward?ports={PORT}&ports=9"
    socket = Rest(cluster).websocket(path, "v4.channel.k8s.io")
    socket.send_binary(b"\0GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    heard = dict.fromkeys(range(4), b"")
    while data := socket.recv():
        heard[data[0]] += data[1:]
    socket.shutdown()
    assert heard[0].startswith(PORT.to_bytes(2, "little") + b"HTTP/1.1 200 OK")
    assert heard[0].endswith(f"{web} /x".encode())
    assert heard[1] == PORT.to_bytes(2, "little")
    assert heard[2] == b"\x09\0"
    assert b"refused" in heard[3]


def test_proxies(k, cluster, web):
    rest = Rest(cluster)
    where = f"/api/v1/namespaces/{k.namespace}"
    targets = [f"{where}/pods/{web}:{PORT}", *(
        f"{where}/services/{name}" for name in ("web:http", "web:80", "http:web:http")
    )]  # fmt: skip
    for target in targets:
        code, _, text = rest.raw("GET", f"{target}/proxy/x?y=z")
        assert (code, text.decode()) == (200, f"{web} /x?y=z"), target
        with rest.upgraded(f"{target}/proxy/x", "shout") as connection:
            connection.sendall(b"hello")
            assert connection.recv(100) == b"HELLO", target
    code, _, text = rest.raw("GET", f"{where}/services/web:none/proxy/")
    assert code == 503
    assert b'no endpoints available for service \\"web\\"' in text
    (node,) = k.get("nodes")["items"]
    code, _, text = rest.raw("GET", f"/api/v1/nodes/{node['metadata']['name']}/proxy/healthz")
    assert (code, text) == (200, b"ok")
