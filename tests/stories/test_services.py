"""Load balancers without a cloud, and who is seen as the client, with real packets."""

import json
import subprocess

import pytest

from .conformance.pods import make, shell, start
from .conftest import eventually

CGI = (
    "mkdir -p /www/cgi-bin; printf '%s\\n' '#!/bin/sh' 'echo Content-type: text/plain; echo'"
    " 'echo $HOSTNAME $REMOTE_ADDR' >/www/cgi-bin/who; chmod +x /www/cgi-bin/who;"
    " exec httpd -f -p 8080 -h /www"
)
OUTSIDE = "kybtest-outside"
CLIENT, GATE = "10.99.77.2", "10.99.77.1"


def balancer(name, **spec):
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": ports,
                     **spec}}  # fmt: skip


@pytest.fixture
def outside():
    """A machine in front of the node, with a route to everything behind it."""

    def sh(*words):
        subprocess.run(words, check=True, capture_output=True)

    inside = ("ip", "-n", OUTSIDE)
    sh("ip", "netns", "add", OUTSIDE)
    try:
        sh("ip", "link", "add", "kybt-out", "type", "veth", "peer", "eth0", "netns", OUTSIDE)
        sh("ip", "address", "add", f"{GATE}/24", "dev", "kybt-out")
        sh("ip", "link", "set", "kybt-out", "up")
        sh(*inside, "address", "add", f"{CLIENT}/24", "dev", "eth0")
        sh(*inside, "link", "set", "eth0", "up")
        sh(*inside, "route", "add", "default", "via", GATE)
        yield lambda url: curl(url, "ip", "netns", "exec", OUTSIDE)
    finally:
        sh("ip", "netns", "delete", OUTSIDE)


def curl(url, *where):
    """Return what a page says and the exit code of curl: 7 is refused, 28 is silence."""
    words = [*where, "curl", "-s", "-m", "2", f"http://{url}/cgi-bin/who"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    # busybox listens on IPv6, where clients of IPv4 look like [::ffff:192.0.2.1]
    return done.stdout.replace("[::ffff:", "").replace("]", "").split() or done.returncode


def address_of(k, name):
    def given():
        status = k.get("service", name)["status"]["loadBalancer"]
        return [i["ip"] for i in status.get("ingress", ())]

    (address,) = eventually(given, 20)
    return address


def patch(k, name, **spec):
    k("patch", "service", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def test_a_load_balancer_has_an_address_for_everybody(k, outside):
    pod = start(k, [shell("c", CGI)], name="web", metadata={"labels": {"app": "web"}})
    make(k, balancer("lb"))
    address = address_of(k, "lb")
    eventually(lambda: curl(address)[:1] == [pod], 20)
    assert outside(address)[0] == pod
    assert k("exec", "web", "--", "wget", "-qO-", f"http://{address}/cgi-bin/who").split()[0] == pod
    reasons = {e["reason"] for e in k.get("events")["items"]}
    assert {"EnsuringLoadBalancer", "EnsuredLoadBalancer"} <= reasons
    # only those may come in who are named; the node itself is none of them
    patch(k, "lb", loadBalancerSourceRanges=["10.99.77.3/32"])
    eventually(lambda: (outside(address), curl(address)) == (28, 28), 30)
    patch(k, "lb", loadBalancerSourceRanges=[f"{CLIENT}/32"])
    eventually(lambda: outside(address) != 28, 30)
    # without endpoints it refuses
    patch(k, "lb", selector={"app": "nobody"}, loadBalancerSourceRanges=None)
    eventually(lambda: (outside(address), curl(address)) == (7, 7), 20)
    # another gets the address when this one no longer wants it
    patch(k, "lb", type="ClusterIP")
    make(k, balancer("next", loadBalancerIP=address))
    assert address_of(k, "next") == address
    eventually(lambda: curl(address)[:1] == [pod], 20)


def test_policy_local_keeps_the_address_of_the_client(k, outside):
    pod = start(k, [shell("c", CGI)], name="web", metadata={"labels": {"app": "web"}})
    make(k, balancer("lb", externalTrafficPolicy="Local"))
    address = address_of(k, "lb")
    spec = k.get("service", "lb")["spec"]
    node = k.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
    node_port = f"{node}:{spec['ports'][0]['nodePort']}"
    for way in (address, node_port):
        eventually(lambda w=way: outside(w) == [pod, CLIENT], 20)
        assert curl(way)[0] == pod

    def health():
        url = f"http://{node}:{spec['healthCheckNodePort']}/"
        words = ["curl", "-s", "-m", "2", "-w", " %{http_code}", url]
        said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        text, _, code = said.rpartition(" ")
        return (json.loads(text)["localEndpoints"], int(code)) if text else None

    assert eventually(health, 20) == (1, 200)
    # with policy Cluster the node stands in for the client
    patch(k, "lb", externalTrafficPolicy="Cluster")
    eventually(lambda: outside(address)[1:] not in ([], [CLIENT]), 20)
    assert health() is None
    # an endpoint elsewhere: none of ours for strangers, but good enough for pods and this machine
    patch(k, "lb", externalTrafficPolicy="Local", selector=None)
    k("delete", "endpoints", "lb")
    k("delete", "endpointslices", "-l", "kubernetes.io/service-name=lb")
    make(k, {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "lb-1", "labels": {"kubernetes.io/service-name": "lb"}},
        "endpoints": [{"addresses": [k.get("pod", "web")["status"]["podIP"]],
                       "nodeName": "elsewhere"}],
        "ports": [{"name": "http", "port": 8080}],
    })  # fmt: skip
    eventually(lambda: outside(address) == 28, 20)
    assert curl(address)[0] == pod
