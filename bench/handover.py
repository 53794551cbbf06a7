#!/usr/bin/env python3
"""How long nobody schedules when the control plane that leads is gone.

Usage: bench/handover.py [--rounds N]

Three control planes on this machine over one etcd, with the usual times. The one that leads is
stopped, killed together with its supervisor (as when its machine loses power), or killed alone (its
supervisor starts it again). A pod is created through another one in that moment; the clock stops
when the pod has a node. The pod's node is only an object; nobody runs it.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import clusters

sys.path.insert(0, str(clusters.ROOT))

from tests.contracts.store.etcd_fixture import etcd

from kybern.api.coordination.v1 import Lease
from kybern.api.core.v1 import Container, Node, Pod, PodSpec, ServiceAccount
from kybern.api.errors import ApiError, NotFound
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.config import load_kubeconfig
from kybern.client.rest import Client
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.lib.clock import SYSTEM

WAYS = {
    "stopped": "its supervisor was told to stop",
    "killed": "it and its supervisor were killed (-9)",
    "restarted": "it was killed (-9) and started again",
}


class Plane:
    """One control plane."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="kyb-", dir="/tmp"))
        self.port = clusters.free_port()

    def kybern(self, *words):
        command = [*clusters.KYBERN, *words, "--data-dir", str(self.directory)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        return done.stdout

    def client(self):
        config = load_kubeconfig(self.directory / "admin.kubeconfig")
        return Client(TlsTransport(config), SYSTEM)

    def leads(self, lease):
        return (self.directory / "run/identity").read_text() == lease.spec.holderIdentity

    def end(self, way):
        state = json.loads((self.directory / "run/state.json").read_text())
        child = state["children"][0]["pid"]
        if way == "stopped":
            os.kill(state["pid"], signal.SIGTERM)
        elif way == "killed":
            os.kill(state["pid"], signal.SIGKILL)
            os.kill(child, signal.SIGKILL)
        else:
            os.kill(child, signal.SIGKILL)


def measure(rounds=3):
    """Return seconds without a scheduler, a list for each way to end."""
    planes = [Plane() for _ in range(3)]
    try:
        with etcd() as members:
            first, *others = planes
            first.kybern("server", "--port", str(first.port), "--store", members.url)
            words = first.kybern("token", "create", "--server", "--print-join-command").split()[1:]
            for plane in others:
                plane.kybern(*words, "--port", str(plane.port))
            try:
                return asyncio.run(_rounds(planes, rounds))
            finally:
                for plane in planes:
                    plane.kybern("down", "--purge")
    finally:
        for plane in planes:
            shutil.rmtree(plane.directory, ignore_errors=True)


async def _rounds(planes, rounds):
    await _a_node(planes[0].client())
    took = {way: [] for way in WAYS}
    for turn in range(rounds):
        for way in WAYS:
            took[way].append(await _once(planes, way, f"{way}-{turn}"))
    return took


async def _once(planes, way, name):
    lease = None
    while lease is None or not lease.spec.holderIdentity:
        lease = await planes[0].client().get(Lease, "kube-scheduler", "kube-system")
        await asyncio.sleep(0.1)
    leader = next(plane for plane in planes if plane.leads(lease))
    client = next(plane for plane in planes if plane is not leader).client()
    # a random moment between two renewals of the lease
    await asyncio.sleep(int.from_bytes(os.urandom(2)) / 65536 * 2)
    began = time.perf_counter()
    leader.end(way)
    pod = Pod(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=PodSpec(containers=[Container(name="c", image="busybox")]),
    )
    await client.create(pod)
    selector = f"metadata.name={name}"
    async with client.watch(Pod, "default", field_selector=selector, initial_events=True) as watch:
        async for event in watch:
            if event.type != "BOOKMARK" and event.object.spec.nodeName:
                break
    took = time.perf_counter() - began
    await client.transport.close()
    if way != "restarted":
        await asyncio.to_thread(leader.kybern, "server")
    await _ready(leader.client())
    return took


async def _ready(client):
    while True:
        try:
            await client.raw("GET", "/readyz")
            break
        except (Unreachable, ApiError):
            await asyncio.sleep(0.05)
    await client.transport.close()


async def _a_node(client):
    allocatable = {"cpu": "8", "memory": "8Gi", "pods": "100"}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    status = {"allocatable": allocatable, "capacity": allocatable, **ready}
    await client.create(Node(metadata=ObjectMeta(name="a-node")))
    await client.patch(Node, "a-node", "", {"status": status}, subresource="status")
    while True:
        try:
            await client.get(ServiceAccount, "default", "default")
            break
        except NotFound:
            await asyncio.sleep(0.05)
    await client.transport.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    for way, seconds in measure(parser.parse_args().rounds).items():
        rounds = ", ".join(f"{each:.2f}" for each in seconds)
        print(f"{WAYS[way]}: median {statistics.median(seconds):.2f} s ({rounds})")


if __name__ == "__main__":
    main()
