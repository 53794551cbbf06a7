"""A thousand Services that change all the time, and what a real kernel has of them in the end.

Run as a program it takes a network namespace of its own, lets the proxy follow for some seconds,
and prints a verdict: the rules have to be those which a proxy makes that starts afterwards.

    python -m tests.faults.services SECONDS [CHANGES-PER-SECOND] [SEED]
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import uvloop
from tests.packets.node import NAME, Feed, node_tree

from kybern.api.core.v1 import Node, Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.proxy import nft
from kybern.proxy.sync import Proxy, ProxyConfig

CLONE_NEWNET = 0x40000000
SERVICES = 1000
TICK = 0.01  # seconds
TABLE = "kybern-churn"


@dataclass
class Verdict:
    """What happened.

    Attributes:
        changes: how many objects changed.
        transactions: in how many steps they came into the kernel.
        refused: how many of these the kernel did not take.
        settled: seconds from the last change until everything was in the kernel.
        lag: seconds within which 99 of 100 changes were in the kernel.
        differences: what is otherwise than in a kernel that starts anew.
    """

    changes: int = 0
    transactions: int = 0
    refused: int = 0
    settled: float = 0.0
    lag: float = 0.0
    differences: tuple[str, ...] = ()


class Informers:
    """Plays the informers of a process."""

    def __init__(self) -> None:
        self.feeds = {kind: Feed(kind) for kind in (Service, EndpointSlice, Node)}

    def of(self, kind: type[Any]) -> Feed:
        return self.feeds[kind]


class Churn:
    """Services that come, change, lose their endpoints and go."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.informers = Informers()
        self.services: dict[str, Any] = {}
        self.slices: dict[str, Any] = {}
        for number in range(SERVICES):
            self._renew(number)
        self.informers.of(Service).be(self.services)
        self.informers.of(EndpointSlice).be(self.slices)
        self.informers.of(Node).be({NAME: node_tree()})

    def change(self) -> None:
        """Change one object: most of the time an endpoint flaps."""
        number, what = self.rng.randrange(SERVICES), self.rng.random()
        name = f"s{number}"
        services, slices = self.informers.of(Service), self.informers.of(EndpointSlice)
        if what < 0.8:
            self.slices[name] = self._slice(number)
            slices.put(name, self.slices[name])
        elif name not in self.services or what < 0.95:
            self._renew(number)
            services.put(name, self.services[name])
            slices.put(name, self.slices[name])
        else:
            del self.services[name]
            services.take(name)

    def _renew(self, number: int) -> None:
        self.services[f"s{number}"] = self._service(number)
        self.slices[f"s{number}"] = self._slice(number)

    def _service(self, number: int) -> dict[str, Any]:
        rng, kind = self.rng, self.rng.choice(["ClusterIP", "ClusterIP", "NodePort"])
        port = {"name": "web", "port": rng.choice([80, 443])}
        spec: dict[str, Any] = {
            "type": kind, "clusterIP": f"10.96.{number // 250}.{number % 250 + 1}", "ports": [port],
            "sessionAffinity": rng.choice(["None", "None", "None", "ClientIP"]),
            "internalTrafficPolicy": rng.choice(["Cluster", "Cluster", "Local"]),
        }  # fmt: skip
        if kind == "NodePort":
            port["nodePort"] = 30000 + number
            spec["externalTrafficPolicy"] = rng.choice(["Cluster", "Local"])
        return {"metadata": {"name": f"s{number}", "namespace": "n"}, "spec": spec}

    def _slice(self, number: int) -> dict[str, Any]:
        rng = self.rng
        endpoints = [
            {
                "addresses": [f"10.244.{at}.{number % 250 + 1}"],
                "nodeName": NAME if at < 2 else "other",
                "conditions": {"ready": rng.random() < 0.7},
            }
            for at in rng.sample(range(6), rng.randrange(4))
        ]
        labels = {"kubernetes.io/service-name": f"s{number}"}
        return {"metadata": {"name": f"s{number}", "namespace": "n", "labels": labels},
                "addressType": "IPv4", "endpoints": endpoints,
                "ports": [{"name": "web", "port": 8080}]}  # fmt: skip


async def churn(seconds: float, rate: int, seed: int) -> Verdict:
    """Let Services change, and compare what the kernel has with what it would have afresh."""
    made, verdict = Churn(Random(seed)), Verdict()
    real, told, writing, lags = nft.apply, list[float](), list[float](), list[float]()

    async def apply(script: str) -> None:
        verdict.transactions += 1
        writing.extend(told)
        told.clear()
        try:
            await real(script)
        except nft.NftError:
            verdict.refused += 1
            raise
        lags.extend(time.perf_counter() - since for since in writing)
        writing.clear()

    nft.apply = apply
    proxy = Proxy(ProxyConfig(node_name=NAME, table=TABLE), made.informers)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        following = group.create_task(proxy.run())
        await proxy.synced.wait()
        began = due = time.perf_counter()
        while due - began < seconds:
            for _ in range(int(rate * TICK)):
                told.append(time.perf_counter())
                made.change()
                verdict.changes += 1
            due += TICK
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        last = time.perf_counter()
        while writing or proxy.statistics()["waiting"]:
            await asyncio.sleep(0.001)
        verdict.settled = time.perf_counter() - last
        following.cancel()
    verdict.lag = sorted(lags)[len(lags) * 99 // 100]
    found = rules()
    subprocess.run(["nft", "delete", "table", "ip", TABLE], check=True)
    afresh = Proxy(ProxyConfig(node_name=NAME, table=TABLE), made.informers)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        following = group.create_task(afresh.run())
        await afresh.synced.wait()
        following.cancel()
    nft.apply = real
    wanted = rules()
    names = sorted(found.keys() | wanted.keys())
    verdict.differences = tuple(n for n in names if found.get(n) != wanted.get(n))
    return verdict


def rules(table: str = TABLE) -> dict[str, Any]:
    """Return what the kernel has, by name, without what is left for whom it may serve again."""
    words = ["nft", "-j", "list", "table", "ip", table]
    listed = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["nftables"]
    found: dict[str, Any] = {}
    for each in listed:
        ((kind, what),) = each.items()
        if kind in ("map", "set"):
            kept = [] if what["name"].startswith("aff-") else what.get("elem", [])
            found[what["name"]] = sorted(json.dumps(element) for element in kept)
        elif kind == "rule" and not _is_shared(what["chain"]):
            found.setdefault(f"chain {what['chain']}", []).append(json.dumps(what["expr"]))
        elif kind == "chain" and not _is_shared(what["name"]):
            found.setdefault(f"chain {what['name']}", [])
    return found


def _is_shared(chain: str) -> bool:
    return "pick-" in chain or "marked-" in chain


def enter_namespace() -> None:
    """Take a network of our own."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def main() -> None:
    """Print a verdict."""
    given = sys.argv[1:]
    seconds, rate, seed = map(float, (*given, *("2", "1000", "1")[len(given) :]))
    enter_namespace()
    verdict = uvloop.run(churn(seconds, int(rate), int(seed)))
    sys.stdout.write(json.dumps(asdict(verdict)) + "\n")


if __name__ == "__main__":
    main()
