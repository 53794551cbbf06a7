"""What clients notice of it when a node's programs are killed: nothing."""

import contextlib
import socket
import subprocess
import sys
import time

import pytest

from tests.ports import free_port

from . import netserver
from .conformance.pods import make
from .conformance.test_services import in_network_of
from .conftest import eventually
from .test_faults import kill
from .test_rollouts import Client


def service(name, **spec):
    ports = [{"port": 80, "targetPort": netserver.PORT}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": ports, **spec}}  # fmt: skip


@pytest.fixture
def web(k):
    """Two pods behind two Services, one of which keeps clients, and a pod which may not come in.

    The first has a port of the node besides.
    """
    k.host_port = free_port()
    pods = [
        {"apiVersion": "v1", "kind": "Pod",
         "metadata": {"name": name, "labels": {"app": app}},
         "spec": {"containers": [netserver.speaking("serve")], "volumes": netserver.NODE,
                  "terminationGracePeriodSeconds": 1}}
        for name, app in (("one", "web"), ("two", "web"), ("stranger", "stranger"))
    ]  # fmt: skip
    ports = [{"containerPort": netserver.PORT, "hostPort": k.host_port}]
    pods[0]["spec"]["containers"][0] |= {"ports": ports, "readinessProbe": None}
    friends = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "friends"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [friends]},
    }  # fmt: skip
    make(k, *pods, policy, service("web"), service("sticky", sessionAffinity="ClientIP"))
    k("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    return k


def ways(k, name):
    """Return every way into a Service."""
    balancer = eventually(lambda: k.get("service", name)["status"]["loadBalancer"].get("ingress"))
    spec = k.get("service", name)["spec"]
    node = k.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
    return spec["clusterIP"], f"{node}:{spec['ports'][0]['nodePort']}", balancer[0]["ip"]


@contextlib.contextmanager
def knocking(k, pod, address):
    """Try connections from a pod all the time; `end` says how many came about."""
    words = [*in_network_of(pod, k), sys.executable, netserver.__file__, "knock", address]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield lambda: int(process.communicate()[0])
    finally:
        process.kill()
        process.communicate()


def works(address):
    host, _, port = address.partition(":")
    where = host, int(port or 80)
    with contextlib.suppress(OSError), socket.create_connection(where, timeout=1):
        return True
    return False


def test_nobody_notices_that_a_nodes_programs_are_killed(web, cluster):
    server = web.get("pod", "one")["status"]["podIP"]
    clients = [Client(way) for way in ways(web, "web")]
    node = clients[1].address.partition(":")[0]
    clients.append(Client(f"{node}:{web.host_port}"))
    keepers = [Client(way) for way in ways(web, "sticky")]
    for client in (*clients, *keepers):
        eventually(lambda c=client: works(c.address))
    with contextlib.ExitStack() as stack:
        long = stack.enter_context(socket.create_connection((clients[0].address, 80), timeout=20))
        long.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nUpgrade: shout\r\n\r\n")
        assert b"101" in long.recv(4096)
        stranger = stack.enter_context(knocking(web, "stranger", server))
        for client in (*clients, *keepers):
            stack.enter_context(client)
        eventually(lambda: all(len(each.answers) > 20 for each in (*clients, *keepers)))

        kill(cluster, "node")
        make(web, service("after"))  # until this works, the old rules may be in force
        after = web.get("service", "after")["spec"]["clusterIP"]
        eventually(lambda: works(after), 30)
        seen = [len(client.answers) for client in clients]
        eventually(lambda: all(len(c.answers) > n for c, n in zip(clients, seen, strict=True)))

        long.sendall(b"still there")
        assert long.recv(100) == b"STILL THERE"
        knocked = stranger()
    assert [lost for client in (*clients, *keepers) for lost in client.lost] == []
    assert len({answer for client in clients for answer in client.answers}) == 2
    for keeper in keepers:  # each way is another client: it comes from another address
        assert len(set(keeper.answers)) == 1
    assert knocked == 0
    # what was tried in vain comes about as soon as nothing forbids it
    web("delete", "networkpolicy", "friends")
    eventually(lambda: came_in(web, server), 20)


def came_in(k, address):
    with knocking(k, "stranger", address) as tried:
        time.sleep(0.3)
        return tried()
