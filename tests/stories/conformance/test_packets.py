"""Datagrams between pods and nodes, ports of the node, and how soon a Service has endpoints."""

import http.client
import json
import socket
import subprocess
import sys
import time

from tests.conformance.marks import conforms
from tests.ports import free_port
from tests.stories.conformance.pods import create, shell, start
from tests.stories.conformance.rest import Rest
from tests.stories.conftest import eventually
from tests.stories.netserver import NODE, PORT, ask, speaking


def node_address(k):
    return k.get("nodes")["items"][0]["status"]["addresses"][0]["address"]


@conforms(
    "[sig-network] Networking Granular Checks: Pods should function for intra-pod communication: udp [NodeConformance] [Conformance]",
    "[sig-network] Networking Granular Checks: Pods should function for node-pod communication: udp [LinuxOnly] [NodeConformance] [Conformance]",
)
def test_datagrams(k):
    names = [create(k, [speaking("serve")], name=f"netserver-{i}", volumes=NODE) for i in range(2)]
    k("wait", "--for=condition=Ready", "pod", *names, "--timeout=60s")
    client = speaking("serve")["command"][-1].removesuffix("serve") + "ask"
    for name in names:
        address = k.get("pod", name)["status"]["podIP"]
        for asker in names:
            said = k("exec", asker, "--", "sh", "-c", f"{client} {address}")
            assert said == name
        assert ask(address) == name


@conforms(
    "[sig-network] HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol [LinuxOnly] [Conformance]"
)
def test_one_port_of_the_node_for_three_pods(k):
    node, port = node_address(k), free_port(socket.SOCK_STREAM, socket.SOCK_DGRAM)
    for name, address, protocol in (
        ("pod1", "127.0.0.1", "TCP"), ("pod2", node, "TCP"), ("pod3", node, "UDP"),
    ):  # fmt: skip
        leads = {"containerPort": PORT, "hostPort": port, "protocol": protocol, "hostIP": address}
        container = speaking("serve") | {"ports": [leads]}
        create(k, [container], name=name, volumes=NODE)
    k("wait", "--for=condition=Ready", "pod/pod1", "pod/pod2", "pod/pod3", "--timeout=60s")

    def page(host, *more):
        words = ["curl", "-s", "-m", "2", *more, f"http://{host}:{port}/"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.stdout.removesuffix(" /")

    eventually(lambda: page("127.0.0.1") == "pod1", 20)
    eventually(lambda: page("127.0.0.1", "--interface", node) == "pod1", 20)
    eventually(lambda: page(node) == "pod2", 20)
    eventually(lambda: ask(node, port) == "pod3", 20)


@conforms("[sig-network] Service endpoints latency should not be very high [Conformance]")
def test_how_soon_a_service_has_endpoints(k, cluster):
    rest, count = Rest(cluster), 100
    start(k, [shell("c", "sleep 1000")], name="p", metadata={"labels": {"app": "p"}})
    where = f"/api/v1/namespaces/{k.namespace}"
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{k.namespace}/endpointslices"
    watch = http.client.HTTPSConnection("127.0.0.1", rest.port, context=rest.context, timeout=60)
    watch.request("GET", f"{slices}?watch=true&timeoutSeconds=60", headers=rest.headers)
    events = watch.getresponse()
    created, seen = {}, {}
    for i in range(count):
        body = {"metadata": {"name": f"s-{i}"},
                "spec": {"selector": {"app": "p"}, "ports": [{"port": 80}]}}  # fmt: skip
        created[f"s-{i}"] = time.monotonic()
        rest("POST", f"{where}/services", body)
    while len(seen) < count:
        obj = json.loads(events.readline())["object"]
        if obj.get("endpoints"):
            seen.setdefault(obj["metadata"]["labels"]["kubernetes.io/service-name"],
                            time.monotonic())  # fmt: skip
    events.close()
    watch.close()
    delays = sorted(seen[name] - created[name] for name in created)
    sys.stdout.write(f"half within {delays[count // 2]:.3f} s, nine of ten {delays[90]:.3f} s\n")
    assert delays[count // 2] < 20
    assert delays[count * 9 // 10] < 50
