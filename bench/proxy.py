"""How fast Services get into the kernel, and what a packet pays for how many there are.

    sudo .venv/bin/python bench/proxy.py [--changes 100]

A network namespace stands for the node; the real nft, the real kernel, our rules. Per number of
Services: the transaction with all of them, single changes of endpoints (median and p99), the memory
of this process, and the time of a UDP packet that is the first of its connection.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import os
import resource
import socket
import statistics
import subprocess
import time
from pathlib import Path

from kybern.api.core.v1 import Service, ServicePort, ServiceSpec
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.proxy import nft
from kybern.proxy.base import base, remove
from kybern.proxy.kernel import Kernel
from kybern.proxy.model import Model
from kybern.proxy.rules import render

TABLE, PODS, SERVICES = "kybern-bench", "10.244.0.0/16", "10.96.0.0/16"
CLONE_NEWNET = 0x40000000
PACKETS = 4000


def service(number: int) -> Service:
    """Return one of many Services."""
    return Service(
        metadata=ObjectMeta(name=f"web-{number}", namespace="shop"),
        spec=ServiceSpec(
            clusterIP=f"10.96.{number // 250}.{number % 250 + 1}",
            ports=[ServicePort(name="http", port=80, protocol="UDP")],
        ),
    )


def endpoints(number: int, version: int) -> EndpointSlice:
    """Return its two endpoints; one of them depends on the version."""
    labels = {"kubernetes.io/service-name": f"web-{number}"}
    addresses = ("127.0.0.1", f"10.245.{version % 250}.{number % 250 + 1}")
    return EndpointSlice(
        metadata=ObjectMeta(name=f"web-{number}-a", namespace="shop", labels=labels),
        addressType="IPv4",
        endpoints=[
            Endpoint(addresses=[ip], conditions=EndpointConditions(ready=True))
            for ip in addresses[: 1 if number == 0 else 2]
        ],
        ports=[EndpointPort(name="http", port=9, protocol="UDP")],
    )


async def measure(count: int, changes: int) -> dict[str, float]:
    """Return the figures for so many Services."""
    model, kernel = Model("one"), Kernel(TABLE)
    keys = set()
    for number in range(count):
        keys |= model.set_service(service(number)) | model.set_slice(endpoints(number, 0))
    began = time.perf_counter()
    wanted = {key: render(model.frontends(key), PODS) for key in keys}
    await nft.apply(base(TABLE, PODS, SERVICES) + kernel.plan(wanted))
    kernel.applied(wanted)
    full = time.perf_counter() - began
    del wanted
    times = []
    for version in range(1, changes + 1):
        number = 1 + version * 7919 % (count - 1)
        began = time.perf_counter()
        (key,) = model.set_slice(endpoints(number, version))
        one = {key: render(model.frontends(key), PODS)}
        await nft.apply(kernel.plan(one))
        kernel.applied(one)
        times.append(time.perf_counter() - began)
    gc.collect()
    packet = first_packet()
    await nft.apply(remove(TABLE))
    return {
        "services": count,
        "full sync s": full,
        "change p50 ms": statistics.median(times) * 1000,
        "change p99 ms": sorted(times)[max(0, int(len(times) * 0.99) - 1)] * 1000,
        "first packet us": packet * 1e6,
        "peak RSS MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def first_packet() -> float:
    """Return the seconds a packet takes that opens a connection; the least of five rounds."""
    best = float("inf")
    for _ in range(5):
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(PACKETS // 5)]
        began = time.perf_counter()
        for each in sockets:
            each.sendto(b"x", ("10.96.0.1", 80))
        best = min(best, (time.perf_counter() - began) / len(sockets))
        for each in sockets:
            each.close()
        subprocess.run(["conntrack", "-F"], capture_output=True, check=False)
    return best


def enter_namespace() -> None:
    """Take a network of our own, with a loopback and a route for everything."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    for words in ("link set lo up", "address add 192.0.2.1/24 dev lo", "route add default dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    Path("/proc/sys/net/ipv4/conf/all/route_localnet").write_text("1")


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--services", type=int, nargs="*", default=[10, 1000, 10000])
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    enter_namespace()
    print("load", os.getloadavg()[0])
    for count in args.services:
        figures = asyncio.run(measure(count, args.changes))
        print("  ".join(f"{name} {value:,.1f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
