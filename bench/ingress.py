#!/usr/bin/env python3
"""What our ingress costs beside the same proxy configured by hand, measured with wrk.

Usage: bench/ingress.py [SECONDS] [INGRESSES]      needs wrk and haproxy (Debian: apt install both)

INGRESSES Ingresses with a host and three paths each lead to one server (a haproxy that answers by
itself). Ours goes through the plan and the files a node would write. Beside it is what one writes
for one of the hosts: a frontend and a backend, with the same headers and retries, and once more
without any. They take turns, so that a machine with other work treats all alike; the processor's
time for a request depends less on that. Prints one table.
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from kybern.api.core.v1 import Service, ServicePort, ServiceSpec
from kybern.api.discovery.v1 import Endpoint, EndpointPort, EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.networking.v1 import (
    HTTPIngressPath,
    HTTPIngressRuleValue,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    ServiceBackendPort,
)
from kybern.cluster import prerequisites
from kybern.ingress import plan
from kybern.ingress.backends import Around, Target
from kybern.ingress.config import IngressConfig
from kybern.ingress.haproxy import Haproxy
from kybern.lib.clock import SYSTEM
from kybern.lib.tasks import Tasks

SERVER, BY_HAND, BARE = 18090, 18091, 18092
ROUNDS = 3
MOVES = 50
DEFAULTS = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
"""
ANSWERS = f"""{DEFAULTS}
frontend pods
  bind 127.0.0.1:{SERVER}
  http-request return status 200 content-type text/plain string "{"x" * 1024}"
"""
ROUTES = f"""  use_backend web if {{ hdr(host) -i shop-0.example }} {{ path_beg /a/b }}
backend web
  server one 127.0.0.1:{SERVER}
"""
HAND = f"""{DEFAULTS}
  retry-on conn-failure empty-response
frontend web
  bind 127.0.0.1:{BY_HAND}
  http-request disable-l7-retry unless METH_GET
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto http
{ROUTES}"""
NOTHING = f"""{DEFAULTS}
frontend web
  bind 127.0.0.1:{BARE}
{ROUTES}"""


def made(count):
    """Return the plan of so many Ingresses."""
    port = ServiceBackendPort(number=80)
    backend = IngressBackend(service=IngressServiceBackend(name="web", port=port))
    paths = [
        HTTPIngressPath(path=path, pathType=kind, backend=backend)
        for path, kind in (("/", "Prefix"), ("/a", "Prefix"), ("/exact", "Exact"))
    ]
    ingresses = [
        Ingress(
            metadata=ObjectMeta(name=f"i-{n}", namespace="bench"),
            spec=IngressSpec(
                rules=[
                    IngressRule(host=f"shop-{n}.example", http=HTTPIngressRuleValue(paths=paths))
                ]
            ),
        )
        for n in range(count)
    ]
    service = Service(
        metadata=ObjectMeta(name="web", namespace="bench"),
        spec=ServiceSpec(ports=[ServicePort(name="http", port=80)]),
    )
    piece = EndpointSlice(
        addressType="IPv4",
        ports=[EndpointPort(name="http", port=SERVER)],
        endpoints=[Endpoint(addresses=["127.0.0.1"])],
    )
    return plan.make(ingresses, Around(lambda *_: service, lambda *_: [piece]), {})


def cpu(pid):
    """Return the seconds of processor time a process and its children have had."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu(child) for child in children)


def measure(port, seconds, pid):
    """Return requests a second, the 99th percentile, and microseconds of processor a request."""
    before = cpu(pid)
    words = ["wrk", "-t1", "-c64", f"-d{seconds}", "--latency", "-H", "Host: shop-0.example"]
    done = subprocess.run(
        [*words, f"http://127.0.0.1:{port}/a/b"], capture_output=True, text=True, check=True
    )
    if "Non-2xx" in done.stdout:
        raise SystemExit(done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    tail = re.search(r"^\s+99%\s+(\S+)", done.stdout, re.MULTILINE)
    count = int(re.search(r"(\d+) requests in", done.stdout)[1])
    return float(rate[1]), tail[1], (cpu(pid) - before) / count * 1e6


async def moving(ours, first):
    """Return how long haproxy takes to learn of other endpoints."""
    times = []
    for number in range(MOVES):
        target = Target(f"127.0.0.{1 + number % 2}", SERVER)
        backends = {
            name: backend._replace(targets=(target,)) for name, backend in first.backends.items()
        }
        began = SYSTEM.monotonic()
        await ours.apply(first._replace(backends=backends))
        times.append(SYSTEM.monotonic() - began)
    await ours.apply(first)
    return statistics.median(times)


async def main(seconds, count):
    program = prerequisites.find("haproxy")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        hands = []
        for file, text in (("pods", ANSWERS), ("hand", HAND), ("bare", NOTHING)):
            (directory / file).write_text(text)
            hands.append(subprocess.Popen([program, "-db", "-f", str(directory / file)]))
        config = IngressConfig(
            node_name="n", address="127.0.0.1", directory=directory / "ours",
            http_port=0, https_port=0,
        )  # fmt: skip
        async with Tasks("bench") as tasks:
            ours = Haproxy(config, SYSTEM, tasks, lambda: None)
            ours.ports.open()
            try:
                began = SYSTEM.monotonic()
                await ours.apply(made(count))
                took = SYSTEM.monotonic() - began
                moves = await moving(ours, made(count))
                ports = {
                    "by hand": BY_HAND,
                    "by hand, bare": BARE,
                    "ours": ours.ports.numbers["http"],
                }
                master = int((directory / "ours/haproxy.pid").read_text())
                names = zip(ports, (hands[1].pid, hands[2].pid, master), strict=True)
                pids = dict(names)
                found = {name: [] for name in ports}
                for _ in range(ROUNDS):
                    for name, port in ports.items():
                        found[name].append(
                            await asyncio.to_thread(measure, port, seconds, pids[name])
                        )
            finally:
                await ours.stop()
                for each in hands:
                    each.terminate()
                    each.wait()
    print(f"{count} Ingresses were in haproxy {took * 1000:.0f} ms after they were known; ", end="")
    print(f"a change of endpoints takes {moves * 1000:.1f} ms (median)\n")
    print("| proxy | requests/s (median) | p99 | processor per request |\n|---|---|---|---|")
    rates = {}
    for name, results in found.items():
        each, tails, costs = zip(*results, strict=True)
        rates[name] = statistics.median(each)
        cost = f"{statistics.median(costs):.1f} µs"
        print(f"| {name} | {rates[name]:,.0f} | {', '.join(tails)} | {cost} |")
    print(f"\nours / by hand: {rates['ours'] / rates['by hand']:.2f}")


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(numbers + [5, 100][len(numbers) :])))
