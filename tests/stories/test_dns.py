"""The DNS server of a node: other servers by configuration, and its death."""

import json
import os
import signal
import socket
import struct
import threading

import pytest

from .conftest import IMAGE, eventually


@pytest.fixture
def lookup(k):
    """Ask from inside a pod."""
    k("run", "client", f"--image={IMAGE}", "--command", "--", "sleep", "1000")
    k("wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
    return lambda name: k("exec", "client", "--", "nslookup", name, check=False).stdout


def upstream(address):
    """Play a DNS server that knows one address for every name; return its port and its end."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 0))

    def answer():
        while True:
            try:
                data, sender = server.recvfrom(2048)
            except OSError:
                return
            if len(data) < 12:
                return
            end = data.index(b"\0", 12) + 5
            known = data[end - 4 : end - 2] == b"\0\1"
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes((192, 0, 2, 44))
            header = data[:2] + struct.pack("!HHHHH", 0x8180, 1, known, 0, 0)
            server.sendto(header + data[12:end] + record * known, sender)

    thread = threading.Thread(target=answer)
    thread.start()

    def stop():
        server.sendto(b"", server.getsockname())
        thread.join()
        server.close()

    return server.getsockname()[1], stop


def test_a_domain_that_another_server_knows(k, cluster, lookup):
    node = k.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
    port, stop = upstream(node)
    stubs = json.dumps({"acme.test": [f"{node}:{port}"]})
    assert "192.0.2.44" not in lookup("www.acme.test")
    cluster.kubectl("create", "configmap", "kybern-dns", f"--from-literal=stubDomains={stubs}",
                    namespace="kube-system")  # fmt: skip
    try:
        eventually(lambda: "192.0.2.44" in lookup("www.acme.test"), 20)
        assert "192.0.2.44" not in lookup(f"www.{k.namespace}.svc.cluster.local")
    finally:
        cluster.kubectl("delete", "configmap", "kybern-dns", namespace="kube-system")
        stop()
    eventually(lambda: "192.0.2.44" not in lookup("www.acme.test"), 20)


def test_a_killed_server_is_back(k, cluster, lookup):
    k("create", "service", "clusterip", "web", "--tcp=80")
    address = k.get("service", "web")["spec"]["clusterIP"]
    name = f"web.{k.namespace}.svc.cluster.local"
    eventually(lambda: address in lookup(name), 20)
    before = cluster.pid("node")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: cluster.pid("node") not in (0, before), 20)
    eventually(lambda: address in lookup(name), 20)
    assert k.get("pod", "client")["status"]["containerStatuses"][0]["restartCount"] == 0
