#!/usr/bin/env python3
"""Break a cluster's network, and measure how long whom that hurts. Prints a table.

Usage: bench/network_faults.py [--seconds N] [--kills N] [--only WORD]

Short forms of the same faults are stories (tests/stories/test_network_faults.py, test_nodes.py) and
tests/faults/test_services.py. Needs root. A row whose promise does not hold ends the run.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import clusters
from tests.faults.services import rules

SERVICES = 1000
PODS = 2
HEALTHY = 31  # seconds; see cluster/supervisor.py
HEAD = "| what is broken | times | what clients saw |\n|---|---|---|"
SERVE = "echo $HOSTNAME >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"
CORE = "/api/v1/namespaces/default"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


class Client(threading.Thread):
    """Asks all the time; remembers answers, and each stretch of time without one."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask = ask
        self.answers, self.failures, self.longest = set(), 0, 0.0
        self.count = 0
        self._ended = threading.Event()

    def run(self):
        last = time.monotonic()
        while not self._ended.wait(0.005):
            try:
                self.answers.add(self.ask())
                self.count += 1
            except OSError:
                self.failures += 1
            else:
                self.longest = max(self.longest, time.monotonic() - last)
                last = time.monotonic()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()


def page(address, port=80):
    """Fetch a page over a new connection."""
    with socket.create_connection((address, port), timeout=2) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        text = b""
        while data := connection.recv(4096):
            text += data
    if not text.startswith(b"HTTP/1.0 200") and not text.startswith(b"HTTP/1.1 200"):
        raise OSError(text[:40])
    return text.rpartition(b"\r\n")[2].strip()


def name(server, asked):
    """Ask a DNS server for an address."""
    labels = b"".join(bytes((len(part),)) + part for part in asked.encode().split(b"."))
    query = struct.pack("!HHHHHH", random.randrange(65536), 0x100, 1, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.05)
        asking.sendto(query + labels + b"\0\0\1\0\1", server)
        answer = asking.recv(512)
    if answer[3] & 15:
        raise OSError(f"answer {answer[3] & 15}")
    return answer[-4:]


def pods(target, node="", count=PODS):
    """Run web servers; return when they are Ready."""
    for number in range(count):
        container = {"name": "c", "image": clusters.IMAGE, "command": ["sh", "-c", SERVE]}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
        if node:
            spec["nodeName"] = node
        metadata = {"name": f"web-{number}", "labels": {"app": "web"}}
        target.must("POST", f"{CORE}/pods", {"metadata": metadata, "spec": spec})
    clusters.wait(lambda: len(ready(target)) == count, 60, "pods")


def ready(target):
    return [
        pod
        for pod in target.must("GET", f"{CORE}/pods")["items"]
        if any(c["type"] == "Ready" and c["status"] == "True"
               for c in pod["status"].get("conditions", ()))
    ]  # fmt: skip


def service(target, called="web", **more):
    """Make a Service; return its address."""
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]} | more
    made = target.must("POST", f"{CORE}/services", {"metadata": {"name": called}, "spec": spec})
    return made["spec"]["clusterIP"]


def answers(ask):
    with contextlib.suppress(OSError):
        return ask()
    return None


def table_of(target):
    """Return the name of the proxy's table."""
    return json.loads((target.directory / "cluster.json").read_text())["nft_table"]


def kill_node(target):
    """Kill the programs of the first node; return when they run again."""
    state = target.directory / "run/state.json"

    def pid():
        children = json.loads(state.read_text())["children"]
        return next(child["pid"] for child in children if child["name"] == "node")

    before = pid()
    os.kill(before, signal.SIGKILL)
    clusters.wait(lambda: pid() not in (0, before), 30, "the node", 0.005)


# --- faults ----------------------------------------------------------------------------------


def churn(args):
    """The proxy alone: a thousand changes a second."""
    words = [sys.executable, "-m", "tests.faults.services", str(args.seconds)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(words, capture_output=True, text=True, cwd=root, check=True)
    verdict = json.loads(done.stdout.splitlines()[-1])
    expect(not verdict["refused"] and not verdict["differences"], verdict)
    yield (
        "1,000 changes a second of 1,000 Services, told to a proxy", f"{verdict['changes']:,}",
        f"99 of 100 in the kernel after {verdict['lag'] * 1000:.0f} ms, in "
        f"{verdict['transactions']:,} transactions; in the end the rules of a fresh start",
    )  # fmt: skip


def flapping(args):
    """A whole cluster: endpoints of 1,000 Services come and go."""
    with clusters.up(image=True) as target:
        pods(target)
        address = service(target)
        clusters.wait(lambda: answers(lambda: page(address)), 20, "the Service")
        changes = asyncio.run(flap(target, args.seconds, lambda: page(address)))
        count, client, took = changes
        table = table_of(target)
        before = settled(table)
        kill_node(target)
        probe = service(target, "probe")
        clusters.wait(lambda: answers(lambda: page(probe)), 30, "the proxy")
        target.must("DELETE", f"{CORE}/services/probe")
        clusters.wait(lambda: settled(table) == before, 30, "the rules of a fresh start")
    expect(not client.failures, f"{client.failures} requests failed")
    yield (
        "endpoints of 1,000 Services flap, through the API server", f"{count:,}",
        f"{count / took:,.0f} a second; none of {client.count:,} requests to another Service "
        f"failed; in the end the rules of a fresh start",
    )  # fmt: skip


async def flap(target, seconds, ask):
    """Change EndpointSlices as fast as asked; return how many, the client and the time."""
    spec = {"ports": [{"port": 80}]}
    numbers = range(SERVICES)
    async with clusters.session(target, 16) as sender:

        async def make(number):
            called = f"flap-{number}"
            body = {"metadata": {"name": called}, "spec": spec}
            await sender.send("POST", f"{CORE}/services", json=body)
            labels = {"kubernetes.io/service-name": called}
            await sender.send("POST", SLICES, json={
                "metadata": {"name": called, "labels": labels}, "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.244.0.250"]}], "ports": [{"port": 80}],
            })  # fmt: skip

        await sender.times(len(numbers), make)
        rng, began = random.Random(1), time.monotonic()
        due = [began]

        async def change(_):
            due[0] += 0.001
            await asyncio.sleep(max(0.0, due[0] - time.monotonic()))
            some = rng.sample(range(1, 250), rng.randrange(3))
            body = {"endpoints": [{"addresses": [f"10.244.0.{n}"]} for n in some]}
            where = f"{SLICES}/flap-{rng.randrange(SERVICES)}"
            headers = {"Content-Type": "application/merge-patch+json"}
            await sender.send("PATCH", where, data=json.dumps(body), headers=headers)

        count = int(seconds * 1000)
        with Client(ask) as client:
            await sender.times(count, change)
            took = time.monotonic() - began
    return count, client, took


def settled(table):
    """Return the rules, when they do not change any more."""
    found = rules(table)
    while True:
        time.sleep(0.5)
        if (now := rules(table)) == found:
            return found
        found = now


def kills(args):
    """The programs of a node are killed under clients."""
    with clusters.up(image=True) as target:
        pods(target)
        address = service(target)
        sticky = service(target, "sticky", sessionAffinity="ClientIP")
        state = json.loads((target.directory / "cluster.json").read_text())
        server = state["node_ip"], state["dns_port"]
        asked = "web.default.svc.cluster.local"
        for ask in (lambda: page(address), lambda: page(sticky), lambda: name(server, asked)):
            clusters.wait(lambda ask=ask: answers(ask), 20, "the Services")
        silences = []
        with Client(lambda: page(address)) as client, Client(lambda: page(sticky)) as keeper:
            for _ in range(args.kills):
                with Client(lambda: name(server, asked)) as resolver:
                    time.sleep(0.3)
                    kill_node(target)
                    clusters.wait(lambda: answers(lambda: name(server, asked)), 20, "DNS", 0.01)
                silences.append(resolver.longest)
                time.sleep(HEALTHY)  # who dies again sooner is started later
                expect(len(resolver.answers) == 1, resolver.answers)
    expect(not client.failures and not keeper.failures, (client.failures, keeper.failures))
    expect(len(keeper.answers) == 1, keeper.answers)
    yield (
        "proxy, kubelet and DNS server of a node, kill -9", f"{args.kills:,}",
        f"none of {client.count + keeper.count:,} requests failed, nobody lost its endpoint",
    )  # fmt: skip
    silences.sort()
    yield (
        "the same: names", f"{args.kills:,}",
        f"unanswered for {statistics.median(silences):.2f} s (median), "
        f"{silences[-1]:.2f} s at most",
    )  # fmt: skip


def partitions(args):
    """Two nodes; one is cut off."""
    with clusters.up("--nodes", "2", image=True) as target:
        settings = json.loads((target.directory / "nodes/2/cluster.json").read_text())
        space, second = settings["netns"], settings["node_name"]
        cable = f"kybern{settings['slot']}-n2"
        pods(target, node=second)
        inside = ["ip", "netns", "exec", space]
        (address,) = {p["status"]["podIP"] for p in ready(target)[:1]}
        for what, begin, end in (
            ("a node's cable", ["ip", "link", "set", cable, "down"],
             ["ip", "link", "set", cable, "up"]),
            ("the way to the control plane", [*inside, "nft", cut(target)],
             [*inside, "nft", "delete table inet cut"]),
        ):  # fmt: skip
            healed = []
            for length in (2.0, args.seconds):
                subprocess.run(begin, check=True)
                late = service(target, f"late-{len(healed)}-{cable if 'cable' in what else 'way'}")
                time.sleep(length)
                subprocess.run(end, check=True)
                at = time.monotonic()
                clusters.wait(lambda: answers(lambda: page(address, 8080)), 120, "pods")
                # not a request: what a node does not know goes to its gateway, and that does
                known = f"get element ip {settings['nft_table']} services {{ {late} . tcp . 80 }}"
                look = [*inside, "nft", known]
                clusters.wait(
                    lambda look=look: subprocess.run(look, capture_output=True).returncode == 0,
                    300, "the Service",
                )  # fmt: skip
                healed.append((length, time.monotonic() - at))
            said = ", ".join(f"{took:.1f} s after {length:.0f} s" for length, took in healed)
            yield what, "2", f"changes made meanwhile are on the node {said}"


def cut(target):
    port = target.address[1]
    return (
        f"table inet cut {{ chain out {{ type filter hook output priority 0; tcp dport {port} drop;"
        f" }}; chain in {{ type filter hook input priority 0; tcp sport {port} drop; }}; }}"
    )


def expect(holds, said):
    if not holds:
        raise SystemExit(f"bench/network_faults.py: {said}")


def main():
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    print(HEAD, flush=True)
    for fault in (churn, flapping, kills, partitions):
        if args.only in fault.__name__:
            for row in fault(args):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
