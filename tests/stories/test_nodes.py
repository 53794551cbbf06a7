"""Several nodes: pods, Services and names across them; nodes that come, die and go."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conformance.marks import conforms

from .conftest import IMAGE, KYBERN, eventually, fleet_of, run, short_directory, traces

# Says who answers, and who asked.
SCRIPT = r"""
mkdir -p /www/cgi-bin
printf '#!/bin/sh\necho; echo $HOSTNAME ${REMOTE_ADDR#[::ffff:}\n' > /www/cgi-bin/who
chmod +x /www/cgi-bin/who
dd if=/dev/zero of=/www/large bs=1024 count=1024 2>/dev/null
echo started
exec httpd -f -p 8080 -h /www
"""


def pod(name, node):
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", SCRIPT]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "who"}},
        "spec": {
            "nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 1,
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def fleet(busybox_archive):
    """A cluster of two nodes."""
    with fleet_of(2, busybox_archive, "--node-monitor-grace-period", "12s") as cluster:
        cluster.names = nodes(cluster)
        for number, node in enumerate(cluster.names, 1):
            cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod(f"p{number}", node)))
        cluster.kubectl("expose", "pod", "p2", "--name=who", "--port=80", "--target-port=8080")
        cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        yield cluster


def nodes(cluster):
    return [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]


def ready(cluster, name):
    conditions = cluster.get("node", name)["status"]["conditions"]
    return next(c["status"] for c in conditions if c["type"] == "Ready")


def address(cluster, name):
    return eventually(lambda: cluster.get("pod", name)["status"].get("podIP"))


def ask(cluster, name, url):
    """Fetch a page from inside a pod; return who answered and whom they saw ask."""
    page = cluster.kubectl(
        "exec", name, "--", "timeout", "5", "wget", "-q", "-O-", url, check=False
    )
    return page.stdout.strip().rstrip("]").split()


def inside(cluster, index):
    """Return the network namespace of a further node."""
    settings = json.loads((cluster.directory / f"nodes/{index}/cluster.json").read_text())
    return settings["netns"]


@conforms(
    "[sig-architecture] Conformance Tests should have at least two untainted nodes [Conformance]",
)
def test_all_nodes_take_pods(fleet):
    found = fleet.get("nodes")["items"]
    assert len(found) == 2
    assert all(ready(fleet, node["metadata"]["name"]) == "True" for node in found)
    assert not any(node["spec"].get("taints") or node["spec"].get("unschedulable")
                   for node in found)  # fmt: skip


def test_each_node_has_a_part_of_the_pods_network(fleet):
    first, second = (node["spec"]["podCIDR"] for node in fleet.get("nodes")["items"])
    assert first != second
    for number, part in ((1, first), (2, second)):
        assert address(fleet, f"p{number}").rpartition(".")[0] == part.rpartition(".")[0]
    assert fleet.names[1] == f"{fleet.names[0]}-2"
    said = fleet.kybern("status").stdout
    assert all(f"{name} " in said for name in fleet.names)
    assert re.search(r"^containerd 2 +\d+", said, re.MULTILINE)


def test_pods_of_different_nodes_see_each_other_as_they_are(fleet):
    for asking in ("p1", "p2"):
        for answering in ("p1", "p2"):
            url = f"http://{address(fleet, answering)}:8080/cgi-bin/who"
            answer = eventually(lambda a=asking, u=url: ask(fleet, a, u), 20)
            assert answer == [answering, address(fleet, asking)]


def test_the_machine_reaches_pods_of_every_node(fleet):
    for name in ("p1", "p2"):
        url = f"http://{address(fleet, name)}:8080/cgi-bin/who"
        page = subprocess.run(["curl", "-s", "-m", "5", url], capture_output=True, text=True)
        assert page.stdout.split()[0] == name


def test_services_and_names_work_on_every_node(fleet):
    service = fleet.get("service", "who")["spec"]["clusterIP"]
    name = "who.default.svc.cluster.local"
    for asking in ("p1", "p2"):
        eventually(lambda a=asking: service in fleet.kubectl("exec", a, "--", "nslookup", name), 20)
        found = set()

        def answers(asking=asking, found=found):
            found.update(ask(fleet, asking, f"http://{name}/cgi-bin/who")[:1])
            return found == {"p1", "p2"}

        eventually(answers, 30, 0)


def test_each_node_answers_for_names_itself(fleet):
    slices = fleet.get("endpointslices", "-l", "kubernetes.io/service-name=kube-dns",
                       namespace="kube-system")["items"]  # fmt: skip
    servers = {e["nodeName"]: e["addresses"][0] for s in slices for e in s["endpoints"]}
    assert set(servers) == set(fleet.names)
    internal = {
        node["metadata"]["name"]: node["status"]["addresses"][0]["address"]
        for node in fleet.get("nodes")["items"]
    }
    assert servers == internal


def test_logs_and_commands_reach_the_right_node(fleet):
    assert fleet.kubectl("logs", "p2") == "started\n"
    assert fleet.kubectl("exec", "p2", "--", "hostname") == "p2\n"
    path = f"/api/v1/nodes/{fleet.names[1]}/proxy/pods"
    found = json.loads(fleet.kubectl("get", "--raw", path))["items"]
    assert [each["metadata"]["name"] for each in found] == ["p2"]


def cable(cluster, index, state):
    """Pull a further node's cable, or put it in again."""
    settings = json.loads((cluster.directory / "cluster.json").read_text())
    name = f"kybern{settings['slot']}-n{index}"
    subprocess.run(["ip", "link", "set", name, state], check=True)


def who(cluster):
    """Ask the Service once, from this machine; return who answered."""
    address = cluster.get("service", "who")["spec"]["clusterIP"]
    words = ["curl", "-s", "-m", "1", f"http://{address}/cgi-bin/who"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()[:1]


def test_a_cable_is_pulled_and_put_in_again(fleet):
    url = f"http://{address(fleet, 'p2')}:8080/cgi-bin/who"
    cable(fleet, 2, "down")
    try:
        silent = subprocess.run(["curl", "-s", "-m", "1", url], capture_output=True, check=False)
        assert silent.returncode == 28
    finally:
        cable(fleet, 2, "up")
    eventually(lambda: ask(fleet, "p1", url) == ["p2", address(fleet, "p1")], 30)
    # the node's own end: its routes are gone with the link, and `up` lays those outside the cluster
    inner = ["ip", "-n", inside(fleet, 2), "link", "set", "eth0"]
    subprocess.run([*inner, "down"], check=True)
    subprocess.run([*inner, "up"], check=True)
    fleet.kybern("up")
    back = f"http://{address(fleet, 'p1')}:8080/cgi-bin/who"
    eventually(lambda: ask(fleet, "p1", url) == ["p2", address(fleet, "p1")], 30)
    eventually(lambda: ask(fleet, "p2", back) == ["p1", address(fleet, "p2")], 30)
    assert ready(fleet, fleet.names[1]) == "True"


@contextlib.contextmanager
def partition(cluster, index):
    """Let nothing through between a further node and the control plane."""
    enter = ["ip", "netns", "exec", inside(cluster, index), "nft"]
    cut = f"""table inet cut {{
        chain out {{ type filter hook output priority 0; tcp dport {cluster.port} drop; }}
        chain in {{ type filter hook input priority 0; tcp sport {cluster.port} drop; }}
    }}"""
    subprocess.run([*enter, "-f", "-"], input=cut, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run([*enter, "delete", "table", "inet", "cut"], check=True)


def test_a_node_without_its_control_plane_goes_on_and_catches_up(fleet):
    name, url = "late", "http://late.default.svc.cluster.local/cgi-bin/who"
    expose = ("expose", "pod", "p1", f"--name={name}", "--port=80", "--target-port=8080")
    with partition(fleet, 2):
        fleet.kubectl(*expose)
        assert ask(fleet, "p2", "http://who.default.svc.cluster.local/cgi-bin/who")
        eventually(lambda: ask(fleet, "p1", url)[:1] == ["p1"], 20)
        assert ask(fleet, "p2", url) == []
    eventually(lambda: ask(fleet, "p2", url)[:1] == ["p1"], 60)
    fleet.kubectl("delete", "service", name)


def test_a_node_that_dies_is_noticed_and_comes_back(fleet):
    before = fleet.get("pod", "p2")["status"]["containerStatuses"][0]["containerID"]
    state = json.loads((fleet.directory / "nodes/2/run/state.json").read_text())
    for pid in (state["pid"], *(child["pid"] for child in state["children"])):
        os.kill(pid, signal.SIGKILL)
    cable(fleet, 2, "down")
    # who asks the Service is soon sent to the others only
    eventually(lambda: all(who(fleet) == ["p1"] for _ in range(20)), 60, 0.5)
    assert ready(fleet, fleet.names[1]) == "Unknown"
    cable(fleet, 2, "up")
    # what ran goes on running, and can be reached
    url = f"http://{address(fleet, 'p2')}:8080/cgi-bin/who"
    eventually(lambda: ask(fleet, "p1", url) == ["p2", address(fleet, "p1")], 20)
    assert "1 node started" in fleet.kybern("up").stderr
    assert ready(fleet, fleet.names[1]) == "True"
    eventually(lambda: fleet.kubectl("logs", "p2") == "started\n", 30)
    now = fleet.get("pod", "p2")["status"]["containerStatuses"][0]
    assert (now["containerID"], now["restartCount"]) == (before, 0)


def test_nodes_are_added_and_taken_away(fleet, busybox_archive):
    fleet.kybern("up", "--nodes", "3")
    third = f"{fleet.names[0]}-3"
    assert nodes(fleet) == [*fleet.names, third]
    space = inside(fleet, 3)
    fleet.kybern("image", "load", str(busybox_archive))
    fleet.kubectl("apply", "-f", "-", stdin=json.dumps(pod("p3", third)))
    fleet.kubectl("wait", "--for=condition=Ready", "pod/p3", "--timeout=60s")
    url = f"http://{address(fleet, 'p3')}:8080/cgi-bin/who"
    assert ask(fleet, "p2", url) == ["p3", address(fleet, "p2")]
    part = fleet.get("node", third)["spec"]["podCIDR"]
    fleet.kybern("up", "--nodes", "2")
    assert nodes(fleet) == fleet.names
    assert not (fleet.directory / "nodes/3").exists()
    assert not Path("/run/netns", space).exists()
    eventually(lambda: part not in routes(), 20)
    eventually(lambda: part not in routes(inside(fleet, 2)), 20)


def routes(space=""):
    words = ["ip", *(["-n", space] if space else []), "route"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def far():
    """A machine behind a router: this one routes between it and the cluster's nodes."""
    space, cable = f"kyb-far-{os.getpid()}", f"kf{os.getpid()}"
    for words in (
        f"netns add {space}",
        f"link add {cable} type veth peer name eth0 netns {space}",
        f"address add 10.255.77.1/24 dev {cable}",
        f"link set {cable} up",
        f"-n {space} address add 10.255.77.2/24 dev eth0",
        f"-n {space} link set eth0 up",
        f"-n {space} link set lo up",
        f"-n {space} route add default via 10.255.77.1",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    directory = short_directory()
    enter = ["nsenter", f"--net=/run/netns/{space}", *KYBERN]
    env = {**os.environ, "KYBERN_DATA_DIR": directory}

    def kybern(*words, check=True):
        return run([*enter, *words], env=env, check=check, timeout=180)

    kybern.directory, kybern.space = Path(directory), space
    yield kybern
    down = kybern("down", "--purge", check=False)
    subprocess.run(["ip", "link", "delete", cable], check=True)
    subprocess.run(["ip", "netns", "delete", space], check=True)
    shutil.rmtree(directory, ignore_errors=True)
    assert down.returncode == 0, down.stderr
    assert traces(directory) == []


OTHER = {
    "cniVersion": "0.4.0",
    "name": "other",
    "plugins": [
        {
            "type": "bridge", "bridge": "other0", "isGateway": True,
            "ipam": {"type": "host-local", "subnet": "10.255.78.0/24"},
        }
    ],
}  # fmt: skip


def test_a_machine_behind_a_router_joins_and_brings_its_own_network(fleet, far, busybox_archive):
    join = fleet.kybern("token", "create", "--print-join-command").stdout.split()[1:]
    far(*join, "--node-name", "far")
    assert ready(fleet, "far") == "True"
    assert "far " in far("status").stdout
    far("image", "load", str(busybox_archive))
    fleet.kubectl("apply", "-f", "-", stdin=json.dumps(pod("p4", "far")))
    fleet.kubectl("wait", "--for=condition=Ready", "pod/p4", "--timeout=60s")
    for asking, answering in (("p4", "p1"), ("p4", "p2"), ("p1", "p4"), ("p2", "p4")):
        url = f"http://{address(fleet, answering)}:8080/cgi-bin/who"
        answer = eventually(lambda a=asking, u=url: ask(fleet, a, u), 20)
        assert answer == [answering, address(fleet, asking)]
    assert fleet.kubectl("logs", "p4") == "started\n"
    found = fleet.kubectl("exec", "p4", "--", "nslookup", "kubernetes.default.svc.cluster.local")
    assert fleet.get("service", "kubernetes")["spec"]["clusterIP"] in found
    assert "-vx" in routes(far.space)
    assert fleet.kubectl("exec", "p4", "--", "cat", "/sys/class/net/eth0/mtu") == "1450\n"
    for asking, answering in (("p4", "p2"), ("p2", "p4")):  # no packet is too large for the way
        fetch = f"timeout 20 wget -q -O- http://{address(fleet, answering)}:8080/large | wc -c"
        assert fleet.kubectl("exec", asking, "--", "sh", "-c", fetch).split() == ["1048576"]

    (far.directory / "cni/net.d/20-other.conflist").write_text(json.dumps(OTHER))
    eventually(lambda: not (far.directory / "cni/net.d/10-kybern.conflist").exists(), 20)
    eventually(lambda: "-vx" not in routes(far.space), 20)
    fleet.kubectl("apply", "-f", "-", stdin=json.dumps(pod("p5", "far")))
    assert address(fleet, "p5").startswith("10.255.78.")
    fleet.kubectl("delete", "pod", "p4", "p5", "--now")
    far("down", "--purge")
    fleet.kubectl("delete", "node", "far")


def test_what_killed_nodes_leave_is_cleaned_up(fleet):
    """The clean-up itself is looked at when the fixture ends."""
    for place in ("", "nodes/2/"):
        state = json.loads((fleet.directory / place / "run/state.json").read_text())
        for pid in (state["pid"], *(child["pid"] for child in state["children"])):
            os.kill(pid, signal.SIGKILL)
    assert traces(fleet.directory)  # containers go on
