"""Both IP families at once: real connections over IPv6 between pods, and through Services."""

import json
import os
import subprocess

import pytest

from kybern.cluster import prerequisites

from .conftest import IMAGE, Cluster, eventually, fleet_of, short_directory
from .test_nodes import far  # noqa: F401 - a fixture

WHERE = {f"{kind.upper()}_IPS": f"status.{kind}IPs" for kind in ("pod", "host")}
SERVER = (
    "echo $HOSTNAME $POD_IPS $HOST_IPS >/tmp/index.html;"
    "dd if=/dev/zero of=/tmp/large bs=1024 count=1024 2>/dev/null; exec httpd -f -p 8080 -h /tmp"
)


def pod(name, node, command=SERVER):
    env = [{"name": n, "valueFrom": {"fieldRef": {"fieldPath": p}}} for n, p in WHERE.items()]
    container = {
        "name": "c", "image": IMAGE, "command": ["sh", "-c", command], "env": env,
        "ports": [{"name": "web", "containerPort": 8080}],
    }  # fmt: skip
    if command == SERVER:
        container["readinessProbe"] = {"tcpSocket": {"port": "web"}, "periodSeconds": 1}
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "client" if name == "c" else "web"}},
        "spec": {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 1},
    }  # fmt: skip


def service(name, **spec):
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "web"}]} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def two(busybox_archive):
    if os.geteuid() != 0:
        pytest.skip("a node needs root")
    if why := prerequisites.no_ipv6():
        cluster = Cluster(short_directory(), 0)
        done = cluster.kybern("up", "--dual-stack", check=False)
        assert (done.returncode, why in done.stderr) == (1, True)
        yield None
        return
    with fleet_of(2, busybox_archive, "--dual-stack") as cluster:
        nodes = [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]
        objects = [
            pod("a", nodes[0]), pod("b", nodes[1]), pod("c", nodes[0], "sleep 1000"),
            service("web", ipFamilyPolicy="RequireDualStack", type="LoadBalancer"),
            service("each", ipFamilyPolicy="RequireDualStack", clusterIP="None"),
        ]  # fmt: skip
        everything = {"apiVersion": "v1", "kind": "List", "items": objects}
        eventually(lambda: cluster.get("serviceaccounts")["items"])
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(everything))
        cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        yield cluster


def url(address, port=80):
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def asked(cluster, who, address, port=80, times=1):
    """Return which pods answer a pod, or this machine ("")."""
    script = f"for i in $(seq {times}); do timeout 1 wget -q -O- {url(address, port)}; done"
    if who:
        said = cluster.kubectl("exec", who, "--", "sh", "-c", script, check=False).stdout
    else:
        words = ["curl", "-s", "-m", "1", *[url(address, port)] * times]
        said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return {line.split()[0] for line in said.splitlines() if line}


def ips(cluster, name):
    return [each["ip"] for each in cluster.get("pod", name)["status"]["podIPs"]]


def test_pods_have_both_and_reach_each_other_across_nodes(two):
    if two is None:
        return
    a, b = ips(two, "a"), ips(two, "b")
    assert [":" in ip for ip in (*a, *b)] == [False, True] * 2
    for who, ip, answering in (
        ("a", b[1], "b"),
        ("b", a[1], "a"),
        ("c", a[1], "a"),
        ("", b[1], "b"),
    ):
        eventually(lambda w=who, i=ip, a=answering: asked(two, w, i, 8080) == {a}, 20)
    page = two.kubectl("exec", "c", "--", "wget", "-q", "-O-", url(b[1], 8080)).split()
    hosts = [each["ip"] for each in two.get("pod", "b")["status"]["hostIPs"]]
    assert page == ["b", ",".join(b), ",".join(hosts)]


def test_a_service_has_both(two):
    if two is None:
        return
    web = two.get("service", "web")
    assert web["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    node_port = web["spec"]["ports"][0]["nodePort"]
    balanced = eventually(lambda: two.get("service", "web")["status"]["loadBalancer"])["ingress"]
    nodes = [
        address["address"]
        for node in two.get("nodes")["items"]
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP" and ":" in address["address"]
    ]
    ways = [(ip, 80) for ip in web["spec"]["clusterIPs"]]
    ways += [(each["ip"], 80) for each in balanced] + [(ip, node_port) for ip in nodes]
    assert sum(":" in ip for ip, _ in ways) >= 3
    for way in ways:
        for who in ("", "b", "c"):
            eventually(lambda who=who, way=way: asked(two, who, *way, times=8) == {"a", "b"}, 20)


def test_names_have_both(two):
    if two is None:
        return
    for name, wanted in (
        ("web", two.get("service", "web")["spec"]["clusterIPs"]),
        ("each", ips(two, "a") + ips(two, "b")),
    ):
        full = f"{name}.default.svc.cluster.local"
        found = two.kubectl("exec", "c", "--", "nslookup", full)
        assert all(ip in found for ip in wanted)
        if name == "web":
            assert full in two.kubectl("exec", "c", "--", "nslookup", wanted[1])


def test_a_policy_is_for_both(two):
    if two is None:
        return
    a = ips(two, "a")
    come = {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}],
            "ports": [{"port": "web"}]}  # fmt: skip
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "p"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [come]},
    }  # fmt: skip
    two.kubectl("apply", "-f", "-", stdin=json.dumps(policy))
    for ip in a:
        eventually(lambda ip=ip: asked(two, "b", ip, 8080) == set(), 20)
        assert asked(two, "c", ip, 8080) == {"a"}
    two.kubectl("delete", "networkpolicy", "p")
    eventually(lambda: asked(two, "b", a[1], 8080) == {"a"}, 20)


def test_a_service_gives_one_up_and_gets_one_again(two):
    if two is None:
        return
    two.kubectl("apply", "-f", "-", stdin=json.dumps(service("some")))
    [first] = two.get("service", "some")["spec"]["clusterIPs"]

    def change(policy):
        body = json.dumps({"spec": {"ipFamilyPolicy": policy}})
        two.kubectl("patch", "service", "some", "--type=merge", "-p", body)
        return two.get("service", "some")["spec"]["clusterIPs"]

    def slices():
        found = two.get("endpointslices", "-l", "kubernetes.io/service-name=some")["items"]
        return {one["addressType"] for one in found}

    kept, six = change("RequireDualStack")
    assert kept == first
    eventually(lambda: asked(two, "c", six, times=8) == {"a", "b"}, 20)
    assert slices() == {"IPv4", "IPv6"}
    assert change("SingleStack") == [first]
    eventually(lambda: slices() == {"IPv4"} and asked(two, "c", six) == set(), 20)
    assert asked(two, "c", first, times=8) == {"a", "b"}


def test_behind_a_router_both_go_through_the_tunnel(two, far, busybox_archive):  # noqa: F811
    if two is None:
        return
    join = two.kybern("token", "create", "--print-join-command").stdout.split()[1:]
    far(*join, "--node-name", "far")
    far("image", "load", str(busybox_archive))
    two.kubectl("apply", "-f", "-", stdin=json.dumps(pod("d", "far")))
    two.kubectl("wait", "--for=condition=Ready", "pod/d", "--timeout=60s")
    d, b = ips(two, "d"), ips(two, "b")
    assert two.get("pod", "d")["status"]["hostIPs"] == [{"ip": "10.255.77.2"}]  # it has no other
    for who, other, address in (("d", "b", b[1]), ("b", "d", d[1]), ("d", "a", ips(two, "a")[1])):
        eventually(lambda w=who, o=other, a=address: asked(two, w, a, 8080) == {o}, 20)
        fetch = f"timeout 20 wget -q -O- {url(address, 8080)}large | wc -c"  # none is too large
        assert two.kubectl("exec", who, "--", "sh", "-c", fetch).split() == ["1048576"]
    shown = subprocess.run(
        ["ip", "-n", far.space, "-6", "route", "show", "proto", "107"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.count("-vx") == 2
    six = two.get("service", "web")["spec"]["clusterIPs"][1]
    eventually(lambda: asked(two, "d", six, times=12) == {"a", "b", "d"}, 20)
    two.kubectl("delete", "pod", "d", "--now")
    far("down", "--purge")
    two.kubectl("delete", "node", "far")
