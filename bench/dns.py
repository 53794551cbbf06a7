#!/usr/bin/env python3
"""How many queries a second the DNS server answers, measured with dnsperf.

Usage: bench/dns.py [SECONDS] [SERVICES]      needs dnsperf (Debian: apt install dnsperf)

Serves a zone of SERVICES services from memory on a loopback port, in one process as on a node, and
asks it over UDP with the mixes of names a pod's resolver makes: first as fast as it answers, then
40,000 times a second, where each answer's time counts. Prints one table.
"""

import asyncio
import multiprocessing
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop

from kybern.api.core.v1 import Service, ServicePort, ServiceSpec
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.dns import records
from kybern.dns.forward import Forwarder
from kybern.dns.listen import Address, Listeners
from kybern.dns.resolve import Resolver
from kybern.dns.zone import Zone
from kybern.lib.clock import SYSTEM
from kybern.lib.tasks import Tasks


def make_zone(services: int) -> Zone:
    zone = Zone("cluster.local", ttl=5, server_addresses=("10.96.0.10",))
    for i in range(services):
        headless = i % 10 == 0
        meta = ObjectMeta(name=f"svc-{i}", namespace=f"ns-{i % 50}")
        port = ServicePort(name="http", port=80, protocol="TCP")
        ip = "None" if headless else f"10.{97 + i // 65536}.{i // 256 % 256}.{i % 256}"
        service = Service(
            metadata=meta, spec=ServiceSpec(clusterIP=ip, clusterIPs=[ip], ports=[port])
        )
        ready = EndpointConditions(ready=True)
        slices = [
            EndpointSlice(
                addressType="IPv4",
                endpoints=[
                    Endpoint(addresses=[f"10.1.{i % 256}.{j}"], conditions=ready) for j in range(8)
                ],
                ports=[EndpointPort(name="http", port=8080, protocol="TCP")],
            )
        ]
        zone.apply((meta.namespace, meta.name), records.of_service(service, slices, zone.domain))
    return zone


def serve(services: int, ports) -> None:
    async def main() -> None:
        zone = make_zone(services)
        resolver = Resolver(
            zone, Forwarder(lambda name: (), SYSTEM, random.Random(1)), random.Random(2)
        )
        resolver.ready = True
        async with Tasks("bench") as tasks, Listeners(resolver, tasks, 1000) as listeners:
            (address,) = await listeners.open((Address("127.0.0.1", 0),))
            ports.put(address.port)
            await asyncio.get_running_loop().create_future()

    uvloop.run(main())


MIXES = {
    "one name": lambda n: ["svc-1.ns-1.svc.cluster.local A"],
    "every service": lambda n: [f"svc-{i}.ns-{i % 50}.svc.cluster.local A" for i in range(n)],
    "A and AAAA with search domains": lambda n: [
        f"svc-{i}.ns-{i % 50}.{suffix} {kind}"
        for i in range(min(n, 300))
        for suffix in ("ns-1.svc.cluster.local", "svc.cluster.local", "svc.cluster.local.")
        for kind in ("A", "AAAA")
    ],
    "headless A, 8 records": lambda n: [
        f"svc-{i}.ns-{i % 50}.svc.cluster.local A" for i in range(0, min(n, 5000), 10)
    ],
    "SRV": lambda n: [
        f"_http._tcp.svc-{i}.ns-{i % 50}.svc.cluster.local SRV" for i in range(min(n, 1000))
    ],
    "PTR": lambda n: [
        f"{i % 256}.{i // 256}.97.10.in-addr.arpa PTR" for i in range(1, min(n, 1000)) if i % 10
    ],
    "never the same twice": lambda n: [
        f"no-{i}.ns-{i % 50}.svc.cluster.local A" for i in range(200000)
    ],
}


RATE = 40_000  # at which the times of single answers are measured


def dnsperf(port: int, lines: list[str], seconds: int, *more: str) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        command = ["dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", file.name]
        command += ["-l", str(seconds), "-c", "8", "-q", "200", "-e", *more]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def ask(port: int, lines: list[str], seconds: int) -> tuple[float, float, float, float, str]:
    """Return queries per second, p50 and p99 in ms at `RATE`, share lost, and the codes."""
    out = dnsperf(port, lines, seconds)
    rate = float(re.search(r"Queries per second:\s+([\d.]+)", out)[1])
    lost = float(re.search(r"Queries lost:\s+\d+ \(([\d.]+)%\)", out)[1])
    codes = re.search(r"Response codes:\s+(.*)", out)[1]
    verbose = dnsperf(port, lines, seconds, "-Q", str(RATE), "-v")
    times = sorted(
        float(line.rpartition(" ")[2]) * 1000
        for line in verbose.splitlines()
        if line.startswith("> ") and line[-1].isdigit()
    )
    return rate, times[len(times) // 2], times[len(times) * 99 // 100], lost, codes


def main() -> None:
    seconds, services = (int(arg) for arg in (sys.argv[1:] + ["5", "1000"][len(sys.argv) - 1 :]))
    ports = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(services, ports), daemon=True)
    server.start()
    port = ports.get(timeout=60)
    print(
        f"{services} services; dnsperf on the same machine, 8 sockets, 200 queries under way, "
        f"{seconds} s each\n"
    )
    print(f"| Questions | Queries/s | p50 at {RATE:,}/s | p99 at {RATE:,}/s | Lost | Answers |")
    print("|---|---|---|---|---|---|")
    for name, mix in MIXES.items():
        rate, half, most, lost, codes = ask(port, mix(services), seconds)
        print(
            f"| {name} | {rate:,.0f} | {half:.2f} ms | {most:.2f} ms | {lost:.2f} % | {codes} |",
            flush=True,
        )
    rss = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[1]
    print(f"\nServer process: {int(rss) / 1024:.0f} MB RSS")
    server.terminate()


if __name__ == "__main__":
    main()
