"""The rules of IPv6: their words, and what they do in a real kernel with real connections."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ports import free_port

from kybern.proxy import nft
from kybern.proxy.base import base, remove
from kybern.proxy.conntrack import Flow, parse
from kybern.proxy.endpoints import Target
from kybern.proxy.family import IPV6
from kybern.proxy.kernel import Kernel
from kybern.proxy.model import Frontend, Model
from kybern.proxy.rules import render

from .test_kernel import put, sh, wait_for
from .test_model import endpoint, piece, service
from .test_userspace import run

PODS, SERVICES = "fd77::/64", "fd96::/112"
IP, NODE, OUTSIDE = "fd96::7", "fd77::1", "2001:db8::77"
A, B = "fd77::2", "fd77::3"


def front(*ips, **more):
    targets = tuple(Target(ip, 8080) for ip in ips)
    values = {
        "service": "shop/web", "port_name": "http", "protocol": "tcp", "port": 80,
        "node_port": 30080, "cluster_ips": (IP,), "external_ips": (OUTSIDE,), "targets": targets,
        "local_targets": targets, "internal_local": False, "external_local": False,
    }  # fmt: skip
    return Frontend(**(values | more))


def test_no_word_of_ipv4_is_in_the_rules():
    sticky = front(A, B, affinity=60, external_local=True, balancer_ips=("2001:db8::8",),
                   sources=("2001:db8:1::/48",))  # fmt: skip
    script = base("t", PODS, SERVICES, (NODE,)) + Kernel("t", IPV6).plan(
        {"a/a": render([sticky], PODS), "b/b": render([front(A, B)], PODS)}
    )
    assert "ipv4" not in script
    assert not {"ip", "icmp"} & set(script.replace(";", " ").split())
    assert f"dnat to [{A}]:8080" in script


def test_a_model_sees_its_own_family_only():
    four, six = Model("one"), Model("one", IPV6)
    both = service(
        clusterIP="10.96.0.7", clusterIPs=["10.96.0.7", IP], externalIPs=["192.0.2.7", OUTSIDE],
        type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24", "2001:db8::/32"],
    )  # fmt: skip
    pieces = [piece(endpoint("10.0.0.1")), piece(endpoint(A), name="web-6")]
    pieces[1].addressType = "IPv6"
    for model in (four, six):
        model.set_service(both)
        for one in pieces:
            model.set_slice(one)
    (one,), (other,) = four.frontends("shop/web"), six.frontends("shop/web")
    assert (one.cluster_ips, other.cluster_ips) == (("10.96.0.7",), (IP,))
    assert (one.external_ips, other.external_ips) == (("192.0.2.7",), (OUTSIDE,))
    assert [t.ip for t in (*one.targets, *other.targets)] == ["10.0.0.1", A]
    assert (one.sources, other.sources) == (("192.0.2.0/24",), ("2001:db8::/32",))


def test_load_balancers_ask_only_where_a_service_is():
    local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30001}
    for ips, want in ((["10.96.0.7"], [True, False]), (["10.96.0.7", IP], [True, True])):
        models = Model("one"), Model("one", IPV6)
        for model in models:
            model.set_service(service(clusterIP=ips[0], clusterIPs=ips, **local))
        assert [model.check("shop/web") is not None for model in models] == want


def test_flows_of_ipv6():
    line = (
        "udp      17 25 src=fd77::5 dst=fd96::a sport=40000 dport=53 src=fd77::9 dst=fd77::5 "
        "sport=53 dport=40000 [ASSURED] mark=0 use=1"
    )
    assert parse(line) == [Flow("fd77::5", "fd96::a", 40000, 53, "fd77::9")]


def has_ipv6() -> bool:
    place = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    return place.exists() and place.read_text().strip() == "0"


def test_this_program_forwards():
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")

    async def story(forwarder):
        async def serve(reader, writer):
            writer.write(b"1" + await reader.read())
            writer.close()

        port = free_port()
        async with await asyncio.start_server(serve, "::1", 0) as server:
            target = Target("::1", server.sockets[0].getsockname()[1])
            fronts = [front(cluster_ips=("::1",), port=port, targets=(target,), external_ips=())]
            await forwarder.update({"a/b": fronts}, [])
            reader, writer = await asyncio.open_connection("::1", port)
            writer.write(b"x")
            writer.write_eof()
            assert await reader.read() == b"1x"
            writer.close()

    run(story)


def test_addresses_of_services_can_be_listened_at():
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")

    async def story(forwarder):
        port = free_port()
        fronts = [front(A, cluster_ips=("fd96::7",), port=port, node_port=0, external_ips=())]
        await forwarder.update({"a/b": [*fronts, fronts[0]._replace(protocol="udp")]}, [])
        assert {(way.protocol, way.ip) for way in forwarder._listening} == {
            ("tcp", "fd96::7"), ("udp", "fd96::7"),
        }  # fmt: skip

    run(story)


# --- in a real kernel ----------------------------------------------------------------------------

needs_kernel = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nft"), reason="needs root and nft"),
    pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6"),
]
SERVE = "import socket,sys\nfrom http.server import *\n" + (
    "class H(BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.end_headers()\n"
    "        self.wfile.write((sys.argv[1]+' '+self.client_address[0]).encode())\n"
    "    def log_message(self, *a): pass\n"
    "class S(HTTPServer): address_family = socket.AF_INET6\n"
    "S((sys.argv[1], 8080), H).serve_forever()\n"
)
FETCH = (
    "import sys,urllib.request\n"
    "for _ in range(int(sys.argv[2])):\n"
    "    print(urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[3])).read().decode())\n"
)
SPACES = ("kyt6-node", "kyt6-a", "kyt6-b")


@pytest.fixture(scope="module")
def world():
    """A node with a bridge and two pods, each a namespace."""
    servers = []
    node = ("ip", "-n", SPACES[0])
    try:
        for space in SPACES:
            sh("ip", "netns", "add", space)
            sh("ip", "-n", space, "link", "set", "lo", "up")
        sh(*node, "link", "add", "br0", "type", "bridge")
        sh(*node, "addr", "add", f"{NODE}/64", "dev", "br0", "nodad")
        sh(*node, "link", "set", "br0", "up")
        sh(*node, "-6", "route", "add", "local", SERVICES, "dev", "lo")
        sh(*node, "-6", "route", "add", "default", "dev", "br0")
        for number, pod in ((2, SPACES[1]), (3, SPACES[2])):
            name = f"v{number}"
            sh(*node, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", pod)
            sh(*node, "link", "set", name, "master", "br0", "up")
            sh(*node, "link", "set", name, "type", "bridge_slave", "hairpin", "on")
            sh("ip", "-n", pod, "addr", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
            sh("ip", "-n", pod, "link", "set", "eth0", "up")
            sh("ip", "-n", pod, "-6", "route", "add", "default", "via", NODE)
            argv = ["ip", "netns", "exec", pod, sys.executable, "-c", SERVE, f"fd77::{number}"]
            servers.append(subprocess.Popen(argv))
        sh(
            "ip", "netns", "exec", SPACES[0], "sh", "-c",
            "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding;"
            "echo 1 >/proc/sys/net/bridge/bridge-nf-call-ip6tables",
        )  # fmt: skip
        for ip in (A, B):
            wait_for(lambda ip=ip: fetch(SPACES[0], ip, 8080))
        yield
    finally:
        for server in servers:
            server.kill()
            server.wait()
        for space in SPACES:
            subprocess.run(["ip", "netns", "del", space], check=False)


def fetch(space, ip, port=80, times=1, patience=3):
    """Return endpoint and client address of each answer."""
    url = f"http://[{ip}]:{port}"
    said = sh(
        "ip", "netns", "exec", space, sys.executable, "-c", FETCH, url, str(times), str(patience)
    )
    return [tuple(line.split()) for line in said.splitlines()]


def served_by(space, ip, port=80, times=12):
    return {endpoint for endpoint, _ in fetch(space, ip, port, times)}


@pytest.fixture
def show(world, monkeypatch):
    real = nft.run

    async def inside(argv, text=b""):
        return await real(["ip", "netns", "exec", SPACES[0], *argv], text)

    monkeypatch.setattr(nft, "run", inside)
    kernel = Kernel("kybern-test", IPV6)
    put(base("kybern-test", PODS, SERVICES, (NODE,)))

    def apply(*fronts):
        wanted = {"shop/web": render(fronts, PODS)}
        put(kernel.plan(wanted))
        kernel.applied(wanted)

    yield apply
    put(remove("kybern-test", IPV6))
    assert not asyncio.run(nft.table_exists("kybern-test", "ip6"))


class TestKernel:
    pytestmark = needs_kernel

    @pytest.mark.parametrize("space", SPACES)
    def test_every_way_in_leads_to_every_endpoint(self, show, space):
        show(front(A, B))
        for way in ((IP, 80), (NODE, 30080), (OUTSIDE, 80)):
            assert served_by(space, *way) == {A, B}, way

    def test_pods_keep_their_address_and_reach_themselves(self, show):
        show(front(B))
        assert fetch(SPACES[1], IP) == [(B, A)]
        assert served_by(SPACES[2], IP) == {B}

    def test_without_endpoints_all_is_refused_at_once(self, show):
        show(front())
        for space in SPACES:
            with pytest.raises(subprocess.CalledProcessError) as caught:
                fetch(space, IP)
            assert "refused" in caught.value.stderr

    def test_a_client_keeps_its_endpoint(self, show):
        show(front(A, B, affinity=60))
        assert len(served_by(SPACES[1], IP)) == 1
        assert len(served_by(SPACES[0], NODE, 30080)) == 1

    def test_what_stays_on_the_node_keeps_its_source(self, show):
        show(front(B, external_local=True))
        assert fetch(SPACES[1], OUTSIDE) == [(B, A)]

    def test_only_those_named_come_in(self, show):
        balancer = "2001:db8::99"
        show(front(B, balancer_ips=(balancer,), sources=("2001:db8::/32",)))
        with pytest.raises(subprocess.CalledProcessError):
            fetch(SPACES[1], balancer, patience=0.5)
        show(front(B, balancer_ips=(balancer,), sources=("2001:db8::/32", f"{A}/128")))
        assert served_by(SPACES[1], balancer) == {B}

    def test_many_endpoints_and_changes(self, show):
        show(front(A, B), front(A, port=81, port_name="b", node_port=30081))
        show(front(B), front(A, B, port=81, port_name="b", node_port=30081))
        assert served_by(SPACES[1], IP) == {B}
        assert served_by(SPACES[0], NODE, 30081) == {A, B}
        show()
