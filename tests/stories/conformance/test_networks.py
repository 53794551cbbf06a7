"""Names, Services and the ways between pods and nodes, with real packets."""

import json
import re
import shlex
import subprocess

import pytest

from tests.conformance.marks import conforms
from tests.stories.conformance.pods import make, run, shell, start
from tests.stories.conformance.rest import Rest
from tests.stories.conftest import eventually

DOMAIN = "svc.cluster.local"
SPEAKER = "echo $HOSTNAME >/tmp/index.html; httpd -p 8080 -h /tmp; exec httpd -f -p 8081 -h /tmp"


def speaker(k, name, **labels):
    """Start a pod that says its name on ports 8080 and 8081."""
    return start(k, [shell("c", SPEAKER)], name=name, metadata={"labels": labels or {"app": name}})


def service(name, selector=None, ports=None, **spec):
    ports = ports or [{"port": 80, "targetPort": 8080, "protocol": "TCP", "name": "http"}]
    if selector:
        spec["selector"] = selector
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": ports, **spec}}  # fmt: skip


@pytest.fixture
def client(k):
    """A pod to look from."""
    start(k, [shell("c", "sleep 10000")], name="client")
    return lambda script: k("exec", "client", "--", "sh", "-c", script, check=False).stdout


def fetch(client, url):
    return client(f"timeout 2 wget -qO- http://{url}/").strip()


def from_node(url):
    done = subprocess.run(["curl", "-s", "-m", "2", f"http://{url}/"], capture_output=True,
                          text=True, check=False)  # fmt: skip
    return done.stdout.strip()


@conforms(
    "[sig-network] Networking Granular Checks: Pods should function for intra-pod communication: http [NodeConformance] [Conformance]",
    "[sig-network] Networking Granular Checks: Pods should function for node-pod communication: http [LinuxOnly] [NodeConformance] [Conformance]",
)
def test_pods_and_the_node(k, client):
    for name in ("netserver-0", "netserver-1"):
        speaker(k, name)
        address = k.get("pod", name)["status"]["podIP"]
        assert fetch(client, f"{address}:8080") == name
        assert from_node(f"{address}:8080") == name


@conforms(
    "[sig-network] Services should serve a basic endpoint from pods [Conformance]",
    "[sig-network] Services should serve multiport endpoints from pods [Conformance]",
)
def test_endpoints_come_and_go(k, client):
    ports = [
        {"name": "portname1", "port": 80, "targetPort": 8080},
        {"name": "portname2", "port": 81, "targetPort": 8081},
    ]
    make(k, service("s", {"app": "s"}, ports))

    def endpoints():
        slices = k.get("endpointslices", "-l", "kubernetes.io/service-name=s")["items"]
        return sorted(
            (e["targetRef"]["name"], p["port"])
            for s in slices for e in s.get("endpoints") or () for p in s["ports"]
            if e["conditions"]["ready"]
        )  # fmt: skip

    eventually(lambda: endpoints() == [], 20)
    speaker(k, "pod1", app="s")
    eventually(lambda: endpoints() == [("pod1", 8080), ("pod1", 8081)], 20)
    eventually(lambda: fetch(client, "s:80") == fetch(client, "s:81") == "pod1", 20)
    speaker(k, "pod2", app="s")
    eventually(lambda: {n for n, _ in endpoints()} == {"pod1", "pod2"}, 20)
    eventually(lambda: {fetch(client, "s:80") for _ in range(10)} == {"pod1", "pod2"}, 30)
    k("delete", "pod", "pod1", "--timeout=30s")
    eventually(lambda: endpoints() == [("pod2", 8080), ("pod2", 8081)], 20)
    assert {fetch(client, "s:81") for _ in range(5)} == {"pod2"}
    k("delete", "pod", "pod2", "--timeout=30s")
    eventually(lambda: endpoints() == [], 20)


def reached(client, spec, name, node):
    """Say by which ways a Service answers with the name of its pod: name, address, node port."""
    ways = [f"{name}:80", f"{spec['clusterIP']}:80"]
    if node_port := spec["ports"][0].get("nodePort"):
        ways.append(f"{node}:{node_port}")
        if not from_node(f"{node}:{node_port}"):
            return {""}
    return {fetch(client, way) for way in ways}


@conforms(
    "[sig-network] Services should be able to create a functioning NodePort service [Conformance]",
    "[sig-network] Services should be able to change the type from ExternalName to ClusterIP [Conformance]",
    "[sig-network] Services should be able to change the type from ExternalName to NodePort [Conformance]",
    "[sig-network] Services should be able to change the type from ClusterIP to ExternalName [Conformance]",
    "[sig-network] Services should be able to change the type from NodePort to ExternalName [Conformance]",
)
def test_types_of_services(k, client):
    speaker(k, "pod", app="s")
    node = k.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
    make(
        k,
        service("ports", {"app": "s"}, type="NodePort"),
        service("one", type="ExternalName", externalName="example.com"),
        service("two", type="ExternalName", externalName="example.com"),
    )

    def spec(name):
        return k.get("service", name)["spec"]

    eventually(lambda: reached(client, spec("ports"), "ports", node) == {"pod"}, 20)
    assert "clusterIP" not in spec("one")
    port = {"port": 80, "targetPort": 8080, "protocol": "TCP", "name": "http"}
    for name, kind in (("one", "ClusterIP"), ("two", "NodePort")):
        change = {"spec": {"type": kind, "externalName": None, "selector": {"app": "s"},
                           "ports": [port]}}  # fmt: skip
        k("patch", "service", name, "--type=merge", "-p", json.dumps(change))
        assert ("nodePort" in spec(name)["ports"][0]) is (kind == "NodePort")
        eventually(lambda n=name: reached(client, spec(n), n, node) == {"pod"}, 20)
    target = f"ports.{k.namespace}.{DOMAIN}"
    for name in ("one", "two"):
        change = {"spec": {"type": "ExternalName", "externalName": target, "clusterIP": None,
                           "clusterIPs": None, "ports": None, "selector": None}}  # fmt: skip
        k("patch", "service", name, "--type=merge", "-p", json.dumps(change))
        assert "clusterIP" not in spec(name)
        eventually(lambda n=name: spec("ports")["clusterIP"] in client(f"nslookup {n}"), 20)


def by_hand(name, of, addresses, port_name, port):
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv4", "endpoints": [{"addresses": addresses}],
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }  # fmt: skip


@conforms(
    "[sig-network] EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices [Conformance]",
    "[sig-network] EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices [Conformance]",
)
def test_slices_made_by_hand(k, client):
    one, two = (k.get("pod", speaker(k, name))["status"]["podIP"] for name in ("pod1", "pod2"))
    ports = [{"name": "port80", "port": 80}, {"name": "port81", "port": 81}]
    make(
        k,
        service("ports", ports=ports),
        by_hand("ports-a", "ports", [one], "port80", 8080),
        by_hand("ports-b", "ports", [one], "port81", 8081),
        service("addresses", ports=ports),
        by_hand("addresses-a", "addresses", [one], "port80", 8080),
        by_hand("addresses-b", "addresses", [two], "port81", 8081),
    )
    for name, wanted in (("ports", ("pod1", "pod1")), ("addresses", ("pod1", "pod2"))):
        eventually(
            lambda n=name, w=wanted: (fetch(client, f"{n}:80"), fetch(client, f"{n}:81")) == w, 20
        )


@pytest.fixture
def lookup(client):
    """Ask the cluster's DNS; return the addresses, or what stands behind a record's name."""

    def ask(name, kind="a"):
        text = client(f"nslookup -type={kind} {name} 2>&1")
        answers = text.split("\n\n", 1)[-1]
        return set(
            re.findall(r"(?:Address(?: \d+)?:|service =|canonical name =|name =) (.+)", answers)
        )

    return ask


@conforms(
    "[sig-network] DNS should provide DNS for the cluster [Conformance]",
    "[sig-network] DNS should provide DNS for services [Conformance]",
    "[sig-network] DNS should resolve DNS of partial qualified names for services [LinuxOnly] [Conformance]",
)
def test_names_of_services(k, client, lookup):
    speaker(k, "pod1", app="dns")
    speaker(k, "pod2", app="dns")
    port = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}
    make(k, service("headless", {"app": "dns"}, [port], clusterIP="None"),
         service("regular", {"app": "dns"}, [port]))  # fmt: skip
    cluster_ip = k.get("service", "regular")["spec"]["clusterIP"]
    kubernetes = k("get", "service", "kubernetes", "-n", "default", "-o",
                   "jsonpath={.spec.clusterIP}")  # fmt: skip
    pods = {p["status"]["podIP"] for p in k.get("pods", "-l", "app=dns")["items"]}
    zone = f"{k.namespace}.{DOMAIN}"
    assert lookup(f"kubernetes.default.{DOMAIN}") == {kubernetes}
    eventually(lambda: lookup(f"headless.{zone}") == pods, 20)
    eventually(lambda: lookup(f"regular.{zone}") == {cluster_ip}, 20)
    # by every shorter name that the search list completes
    for name in ("regular", f"regular.{k.namespace}", f"regular.{k.namespace}.svc"):
        assert cluster_ip in client(f"ping -c1 -W1 {name} 2>&1 | head -1"), name
    for name in ("headless", f"headless.{k.namespace}.svc"):
        line = client(f"ping -c1 -W1 {name} 2>&1 | head -1")
        assert any(address in line for address in pods), line
    # records of ports
    (record,) = lookup(f"_http._tcp.regular.{zone}", "srv")
    assert record.split()[2:] == ["80", f"regular.{zone}"]
    records = lookup(f"_http._tcp.headless.{zone}", "srv")
    assert len(records) == 2
    for record in records:
        assert record.split()[2] == "8080"
        assert lookup(record.split()[3]) <= pods
    # and back from an address
    reverse = ".".join(reversed(cluster_ip.split(".")))
    assert lookup(f"{reverse}.in-addr.arpa", "ptr") == {f"regular.{zone}"}


@conforms(
    "[sig-network] DNS should provide DNS for pods for Hostname [Conformance]",
    "[sig-network] DNS should provide DNS for pods for Subdomain [Conformance]",
    "[sig-network] DNS should provide /etc/hosts entries for the cluster [Conformance]",
)
def test_names_of_pods(k, lookup):
    make(k, service("dns-test", {"app": "named"}, [{"port": 80, "name": "http"}], clusterIP="None"))
    start(k, [shell("c", "sleep 10000")], name="named", hostname="dns-querier",
          subdomain="dns-test", metadata={"labels": {"app": "named"}})  # fmt: skip
    address = k.get("pod", "named")["status"]["podIP"]
    full = f"dns-querier.dns-test.{k.namespace}.{DOMAIN}"
    eventually(lambda: lookup(full) == {address}, 20)
    assert lookup(f"dns-test.{k.namespace}.{DOMAIN}") == {address}
    assert k("exec", "named", "--", "hostname", "-f").strip() == full
    hosts = k("exec", "named", "--", "cat", "/etc/hosts")
    assert re.search(rf"^{address}\s+{full}\s+dns-querier$", hosts, re.MULTILINE)


@conforms("[sig-network] DNS should provide DNS for ExternalName services [Conformance]")
def test_names_for_what_is_elsewhere(k, lookup):
    make(k, service("elsewhere", type="ExternalName", externalName="foo.example.com"))
    name = f"elsewhere.{k.namespace}.{DOMAIN}"
    eventually(lambda: "foo.example.com" in lookup(name, "cname"), 20)
    k("patch", "service", "elsewhere", "-p", '{"spec":{"externalName":"bar.example.com"}}')
    eventually(lambda: "bar.example.com" in lookup(name, "cname"), 20)
    change = {"spec": {"type": "ClusterIP", "externalName": None}}
    k("patch", "service", "elsewhere", "--type=merge", "-p", json.dumps(change))
    address = k.get("service", "elsewhere")["spec"]["clusterIP"]
    eventually(lambda: lookup(name) == {address}, 20)


@conforms("[sig-network] DNS should support configurable pod DNS nameservers [Conformance]")
def test_servers_and_searches_of_ones_own(k):
    config = {"nameservers": ["1.1.1.1"], "searches": ["resolv.conf.local"]}
    said = run(k, [shell("c", "cat /etc/resolv.conf")], dnsPolicy="None", dnsConfig=config)
    assert said["c"].splitlines() == ["search resolv.conf.local", "nameserver 1.1.1.1"]


PAGES = (
    "mkdir -p /www/cgi-bin; printf '%s\\n' '#!/bin/sh' 'echo Content-type: text/plain; echo'"
    " 'echo $REQUEST_METHOD $QUERY_STRING' >/www/cgi-bin/echo; chmod +x /www/cgi-bin/echo;"
    " echo '<a href=\"/rewriteme\">test</a>' >/www/rewriteme.html; echo foo >/www/foo;"
    " httpd -p 160 -h /www; exec httpd -f -p 162 -h /www"
)


@conforms("[sig-network] Proxy version v1 should proxy through a service and a pod [Conformance]")
def test_through_the_api_server(k, cluster):
    rest = Rest(cluster)
    start(k, [shell("c", PAGES)], name="pages", metadata={"labels": {"app": "pages"}})
    ports = [
        {"name": "portname1", "port": 80, "targetPort": 160},
        {"name": "portname2", "port": 81, "targetPort": 162},
    ]
    make(k, service("pages", {"app": "pages"}, ports))
    where = f"/api/v1/namespaces/{k.namespace}"
    eventually(lambda: rest.raw("GET", f"{where}/services/pages:80/proxy/foo")[0] == 200, 20)
    for target in ("pods/pages:160", "pods/pages:162", "pods/http:pages:160",
                   "services/pages:portname1", "services/pages:portname2", "services/pages:80",
                   "services/http:pages:81"):  # fmt: skip
        code, _, text = rest.raw("GET", f"{where}/{target}/proxy/foo")
        assert (code, text) == (200, b"foo\n"), target
        # links on a page lead through the proxy too
        code, _, text = rest.raw("GET", f"{where}/{target}/proxy/rewriteme.html")
        assert f'<a href="{where}/{target}/proxy/rewriteme">test</a>'.encode() in text


# Answers any method, and notes what it was asked.
ANSWER = (
    "#!/bin/sh",
    "read -r asked; echo $asked >>/tmp/asked",
    'while read -r line; do [ "$line" = "$(printf "\\r")" ] && break; done',
    'printf "HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\nConnection: close\\r\\n\\r\\n"',
    "case $asked in HEAD*) ;; *) printf foo;; esac",
)


@conforms(
    "[sig-network] Proxy version v1 A set of valid responses are returned for both pod and service Proxy [Conformance]",
    "[sig-network] Proxy version v1 A set of valid responses are returned for both pod and service ProxyWithPath [Conformance]",
)
def test_every_method_through_the_api_server(k, cluster):
    rest = Rest(cluster)
    script = f"printf '%s\\n' {' '.join(map(shlex.quote, ANSWER))} >/tmp/a; chmod +x /tmp/a;"
    script += " exec nc -ll -p 8080 -e /tmp/a"
    start(k, [shell("c", script)], name="any", metadata={"labels": {"app": "any"}})
    make(k, service("any", {"app": "any"}, [{"name": "http", "port": 80, "targetPort": 8080}]))
    where = f"/api/v1/namespaces/{k.namespace}"
    eventually(lambda: k.get("endpoints", "any").get("subsets"), 20)
    for target in ("pods/any:8080", "services/any:80"):
        for method in ("DELETE", "OPTIONS", "PATCH", "POST", "PUT", "GET", "HEAD"):
            for path in ("proxy", "proxy/some/path/with/" + method):
                code, headers, text = rest.raw(method, f"{where}/{target}/{path}")
                if path == "proxy" and method in ("GET", "HEAD"):
                    assert code == 301, (target, method)
                    assert headers["Location"].endswith(f"{where}/{target}/proxy/")
                    continue
                assert code == 200, (target, method, path, text)
                assert text == (b"" if method == "HEAD" else b"foo")
    asked = k("exec", "any", "--", "cat", "/tmp/asked")
    assert "PATCH /some/path/with/PATCH HTTP/1.1" in asked
    assert "HEAD /some/path/with/HEAD HTTP/1.1" in asked
