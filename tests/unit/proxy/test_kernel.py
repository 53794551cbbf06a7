"""The rules in a real kernel, with real connections, in namespaces of our own."""

import asyncio
import os
import shutil
import subprocess
import sys

import pytest

from kybern.proxy import nft, takeover
from kybern.proxy.base import base, node_addresses, remove
from kybern.proxy.endpoints import Target
from kybern.proxy.family import IPV4
from kybern.proxy.kernel import Kernel
from kybern.proxy.model import Frontend
from kybern.proxy.rules import render

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft"),
]
SERVE = "import http.server,socketserver,sys\nfrom http.server import *\n" + (
    "class H(BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.end_headers()\n"
    "        self.wfile.write((sys.argv[1]+' '+self.client_address[0]).encode())\n"
    "    def log_message(self, *a): pass\n"
    "HTTPServer((sys.argv[1], 8080), H).serve_forever()\n"
)
FETCH = (
    "import sys,urllib.request\n"
    "print(urllib.request.urlopen(sys.argv[1], timeout=3).read().decode())\n"
)


def sh(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def world():
    """A node with a bridge and two pods, each a namespace: kyt-node, kyt-a, kyt-b."""
    spaces = ["kyt-node", "kyt-a", "kyt-b"]
    servers = []
    try:
        for space in spaces:
            sh("ip", "netns", "add", space)
        node = ("ip", "-n", "kyt-node")
        sh(*node, "link", "set", "lo", "up")
        sh(*node, "link", "add", "br0", "type", "bridge")
        sh(*node, "addr", "add", "10.77.0.1/24", "dev", "br0")
        sh(*node, "link", "set", "br0", "up")
        sh(*node, "route", "add", "default", "via", "10.77.0.1")
        for number, pod in ((2, "kyt-a"), (3, "kyt-b")):
            name = f"v{number}"
            sh(*node, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", pod)
            sh(*node, "link", "set", name, "master", "br0", "up")
            sh(*node, "link", "set", name, "type", "bridge_slave", "hairpin", "on")
            sh("ip", "-n", pod, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            sh("ip", "-n", pod, "link", "set", "eth0", "up")
            sh("ip", "-n", pod, "link", "set", "lo", "up")
            sh("ip", "-n", pod, "route", "add", "default", "via", "10.77.0.1")
            servers.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", pod, sys.executable, "-c", SERVE, f"10.77.0.{number}"]
                )
            )
        sh(
            "ip", "netns", "exec", "kyt-node", "sh", "-c",
            "echo 1 >/proc/sys/net/ipv4/ip_forward;"
            "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables",
        )  # fmt: skip
        for number in (2, 3):
            wait_for(lambda n=number: fetch("kyt-node", f"http://10.77.0.{n}:8080"))
        yield
    finally:
        for server in servers:
            server.kill()
            server.wait()
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], check=False)


def wait_for(attempt, tries=100):
    for left in range(tries, -1, -1):
        try:
            return attempt()
        except subprocess.CalledProcessError:
            if not left:
                raise
    return None


def fetch(space, url):
    argv = ("ip", "netns", "exec", space, sys.executable, "-c", FETCH, url)
    return sh(*argv).split()


@pytest.fixture
def kernel(world, monkeypatch):
    real = nft.run

    async def inside(argv, text=b""):
        return await real(["ip", "netns", "exec", "kyt-node", *argv], text)

    monkeypatch.setattr(nft, "run", inside)
    kernel = Kernel("kybern-test")
    put(base("kybern-test", "10.77.0.0/24", "10.96.0.0/16"))
    yield kernel
    put(remove("kybern-test"))
    assert not asyncio.run(nft.table_exists("kybern-test", "ip"))


def put(script):
    asyncio.run(nft.apply(script))


def front(targets, **more):
    values = {
        "service": "shop/web", "port_name": "http", "protocol": "tcp", "port": 80,
        "node_port": 30080, "cluster_ips": ("10.96.0.7",), "external_ips": ("192.0.2.77",),
        "targets": targets, "local_targets": targets, "internal_local": False,
        "external_local": False,
    }  # fmt: skip
    return Frontend(**(values | more))


def show(kernel, *ips, **more):
    targets = tuple(Target(ip, 8080) for ip in ips)
    wanted = {"shop/web": render([front(targets, **more)], "10.77.0.0/24")}
    put(kernel.plan(wanted))
    kernel.applied(wanted)


@pytest.mark.parametrize("space", ["kyt-node", "kyt-a", "kyt-b"])
def test_both_endpoints_answer_from_everywhere(kernel, space):
    show(kernel, "10.77.0.2", "10.77.0.3")
    for url in ("http://10.96.0.7", "http://10.77.0.1:30080", "http://192.0.2.77"):
        seen = {fetch(space, url)[0] for _ in range(12)}
        assert seen == {"10.77.0.2", "10.77.0.3"}, url


def test_pods_keep_their_address_inside_the_cluster(kernel):
    show(kernel, "10.77.0.3")
    assert fetch("kyt-a", "http://10.96.0.7") == ["10.77.0.3", "10.77.0.2"]


def test_a_pod_reaches_itself(kernel):
    show(kernel, "10.77.0.2")
    assert fetch("kyt-a", "http://10.96.0.7")[0] == "10.77.0.2"


def test_an_endpoint_that_is_not_ready_gets_nothing(kernel):
    show(kernel, "10.77.0.2", "10.77.0.3")
    show(kernel, "10.77.0.3")
    assert {fetch("kyt-a", "http://10.96.0.7")[0] for _ in range(8)} == {"10.77.0.3"}


def test_no_endpoints_are_refused_at_once(kernel):
    show(kernel)
    for space in ("kyt-node", "kyt-a"):
        with pytest.raises(subprocess.CalledProcessError) as caught:
            fetch(space, "http://10.96.0.7")
        assert "refused" in caught.value.stderr


def test_base_replaces_what_was_there(kernel):
    show(kernel, "10.77.0.2")
    put(base("kybern-test", "10.77.0.0/24", "10.96.0.0/16"))
    listing = sh("ip", "netns", "exec", "kyt-node", "nft", "list", "table", "ip", "kybern-test")
    assert "10.77.0.2" not in listing


def test_a_client_keeps_its_endpoint(kernel):
    show(kernel, "10.77.0.2", "10.77.0.3")
    for client in ("kyt-a", "kyt-b", "kyt-node"):
        assert len({fetch(client, "http://10.96.0.7")[0] for _ in range(16)}) == 2
    show(kernel, "10.77.0.2", "10.77.0.3", affinity=60)
    for client in ("kyt-a", "kyt-b"):
        urls = ("http://10.96.0.7", "http://10.77.0.1:30080", "http://192.0.2.77")
        assert len({fetch(client, url)[0] for url in urls for _ in range(5)}) == 1
    (one,) = {fetch("kyt-a", "http://10.96.0.7")[0] for _ in range(5)}
    # it changes only when the endpoint goes, and affinity may be switched off again
    show(kernel, one, affinity=120)
    assert fetch("kyt-a", "http://10.96.0.7")[0] == one
    show(kernel, *({"10.77.0.2", "10.77.0.3"} - {one}), affinity=120)
    assert fetch("kyt-a", "http://10.96.0.7")[0] != one
    show(kernel, "10.77.0.2", "10.77.0.3")
    assert len({fetch("kyt-a", "http://10.96.0.7")[0] for _ in range(16)}) == 2


def test_a_client_keeps_its_endpoint_when_the_proxy_starts_again(kernel):
    table, networks = "kybern-test", ("10.77.0.0/24", "10.96.0.0/16")
    show(kernel, "10.77.0.2", "10.77.0.3", affinity=60)
    before = {space: fetch(space, "http://10.96.0.7")[0] for space in ("kyt-a", "kyt-b")}
    for _ in range(2):
        earlier = asyncio.run(takeover.find(table, IPV4))
        assert len(earlier.clients) == 2
        again = Kernel(table)
        both = tuple(Target(ip, 8080) for ip in ("10.77.0.2", "10.77.0.3"))
        wanted = {"shop/web": render([front(both, affinity=60)], networks[0])}
        put(base(table, *networks, clearing=earlier.clearing) + again.plan(wanted))
        for _ in range(4):
            assert {space: fetch(space, "http://10.96.0.7")[0] for space in before} == before
    # what nobody needs goes
    put(base(table, *networks, clearing=earlier.clearing)
        + takeover.forget(table, IPV4, earlier.clients))  # fmt: skip
    assert asyncio.run(takeover.find(table, IPV4)).clients == frozenset()
    assert asyncio.run(takeover.find("no-such-table", IPV4)) == takeover.Earlier()


def refused(space, url):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        fetch(space, url)
    return "refused" in caught.value.stderr


def test_policy_local_without_an_endpoint_here(kernel):
    """Pods and the node reach those elsewhere through an external address, strangers do not."""
    show(kernel, "10.77.0.3", local_targets=(), external_local=True)
    for space in ("kyt-a", "kyt-node"):
        assert fetch(space, "http://192.0.2.77")[0] == "10.77.0.3"
        assert fetch(space, "http://10.77.0.1:30080")[0] == "10.77.0.3"
    show(kernel, "10.77.0.3", local_targets=(), internal_local=True)
    assert not refused("kyt-a", "http://10.96.0.7")  # dropped


def test_a_port_that_the_service_has_not_is_refused(kernel):
    show(kernel, "10.77.0.3")
    assert refused("kyt-a", "http://10.96.0.7:81")


def test_only_named_clients_reach_a_load_balancer(kernel):
    balancer = {"balancer_ips": ("192.0.2.88",)}
    show(kernel, "10.77.0.3", **balancer, sources=("10.77.0.2/32",))
    assert fetch("kyt-a", "http://192.0.2.88")[0] == "10.77.0.3"
    assert not refused("kyt-node", "http://192.0.2.88")
    show(kernel, "10.77.0.3", **balancer)
    assert fetch("kyt-node", "http://192.0.2.88")[0] == "10.77.0.3"


def test_node_ports_on_named_addresses_only(kernel):
    show(kernel, "10.77.0.3")
    put(node_addresses("kybern-test", ["192.0.2.1"]))
    assert refused("kyt-a", "http://10.77.0.1:30080")
    put(node_addresses("kybern-test", ["10.77.0.1"]))
    assert fetch("kyt-a", "http://10.77.0.1:30080")[0] == "10.77.0.3"


def test_tables_of_others_stay(kernel):
    sh("ip", "netns", "exec", "kyt-node", "nft", "add table ip foreign; add chain ip foreign c")
    put(base("kybern-test", "10.77.0.0/24", "10.96.0.0/16"))
    put(remove("kybern-test"))
    tables = sh("ip", "netns", "exec", "kyt-node", "nft", "list", "ruleset")
    assert "table ip foreign {\n\tchain c" in tables
