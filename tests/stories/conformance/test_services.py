"""What Services promise about who answers, with real packets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.marks import conforms
from tests.stories.conformance.pods import make, shell, start
from tests.stories.conformance.test_networks import fetch, from_node, service, speaker
from tests.stories.conftest import eventually

UDP = (
    "import socket, sys\n"
    "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    "if sys.argv[1] == 'serve':\n"
    "    s.bind(('', int(sys.argv[2])))\n"
    "    while True:\n"
    "        said, who = s.recvfrom(99); s.sendto(sys.argv[3].encode(), who)\n"
    "s.settimeout(1); s.sendto(b'x', (sys.argv[2], int(sys.argv[3]))); print(s.recv(99).decode())\n"
)


@pytest.fixture
def client(k):
    """A pod to look from."""
    start(k, [shell("c", "sleep 10000")], name="client")
    return lambda script: k("exec", "client", "--", "sh", "-c", script, check=False).stdout


def in_network_of(pod, k):
    """Return the words that run a program of this machine in a pod's network."""
    address = k.get("pod", pod)["status"]["podIP"]
    for process in Path("/proc").iterdir():
        table = process / "net/fib_trie"
        try:
            if process.name.isdigit() and f"{address}\n" in table.read_text():
                return ["nsenter", "-t", process.name, "-n"]
        except OSError:
            continue
    raise AssertionError(f"no process has {address}")


def said(client, way, times=10):
    """Return the different answers to some requests in a row."""
    script = f"for i in $(seq {times}); do timeout 2 wget -qO- http://{way}/; done"
    return set(client(script).split())


def affinity(k, name, kind):
    change = {"spec": {"sessionAffinity": kind}}
    k("patch", "service", name, "--type=merge", "-p", json.dumps(change))


@conforms(
    "[sig-network] Services should have session affinity work for service with type clusterIP [LinuxOnly] [Conformance]",
    "[sig-network] Services should be able to switch session affinity for service with type clusterIP [LinuxOnly] [Conformance]",
    "[sig-network] Services should have session affinity work for NodePort service [LinuxOnly] [Conformance]",
    "[sig-network] Services should be able to switch session affinity for NodePort service [LinuxOnly] [Conformance]",
)
@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort"])
def test_a_client_keeps_its_endpoint(k, client, kind):
    pods = {speaker(k, f"pod{n}", app="s") for n in range(3)}
    make(k, service("s", {"app": "s"}, type=kind, sessionAffinity="ClientIP"))
    spec = k.get("service", "s")["spec"]
    way = f"{spec['clusterIP']}:80"
    if kind == "NodePort":
        node = k.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
        way = f"{node}:{spec['ports'][0]['nodePort']}"
    eventually(lambda: fetch(client, way) in pods, 20)
    assert len(said(client, way, 15)) == 1
    assert from_node(way) in pods
    affinity(k, "s", "None")
    eventually(lambda: said(client, way, 30) == pods, 20)
    affinity(k, "s", "ClientIP")
    eventually(lambda: len(said(client, way, 15)) == 1, 20)


@conforms(
    "[sig-network] Services should serve endpoints on same port and different protocols [Conformance]"
)
def test_one_port_two_protocols(k, client):
    speaker(k, "pod", app="s")
    ports = [
        {"name": f"portname{n}", "port": 80, "targetPort": 8080, "protocol": p}
        for n, p in ((1, "TCP"), (2, "UDP"))
    ]
    make(k, service("s", {"app": "s"}, ports))
    address = k.get("service", "s")["spec"]["clusterIP"]
    python = [sys.executable, "-c", UDP]
    server = subprocess.Popen([*in_network_of("pod", k), *python, "serve", "8080", "datagram"])
    ask = [*in_network_of("client", k), *python, "ask", address, "80"]

    def answer():
        return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()

    def only(protocol):
        change = {"spec": {"ports": [p for p in ports if p["protocol"] == protocol]}}
        k("patch", "service", "s", "--type=merge", "-p", json.dumps(change))

    try:
        eventually(lambda: (fetch(client, f"{address}:80"), answer()) == ("pod", "datagram"), 20)
        only("UDP")
        eventually(lambda: (fetch(client, f"{address}:80"), answer()) == ("", "datagram"), 20)
        only("TCP")
        eventually(lambda: (fetch(client, f"{address}:80"), answer()) == ("pod", ""), 20)
    finally:
        server.kill()
        server.wait()
