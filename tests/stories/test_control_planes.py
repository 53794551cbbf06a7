"""Three control planes over one etcd: what one is told all know, and none of them is needed."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from kybern.api.coordination.v1 import Lease
from kybern.api.core.v1 import ConfigMap, Container, Endpoints, Node, Pod, PodSpec, ServiceAccount
from kybern.api.errors import AlreadyExists, NotFound
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.config import load_kubeconfig
from kybern.client.rest import Client
from kybern.client.servers import Servers
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.lib.clock import SYSTEM
from tests.contracts.store.etcd_fixture import etcd
from tests.ports import free_port

from .conftest import Cluster, short_directory, traces

LEASE = "5s"
PATIENCE = 60
MANAGER, SCHEDULER = "kube-controller-manager", "kube-scheduler"


class Planes:
    """Control planes by number; the first makes the cluster, the others join it."""

    def __init__(self, store):
        self.store = store
        self.all = [Cluster(short_directory(), free_port()) for _ in range(3)]

    def start(self):
        first, *others = self.all
        where = ["--port", str(first.port), "--store", self.store]
        first.kybern("server", *where, "--leader-elect-lease-duration", LEASE)
        said = first.kybern("token", "create", "--server", "--print-join-command").stdout
        self.join = shlex.split(said)[1:]
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda p: p.kybern(*self.join, "--port", str(p.port)), others))

    def end(self):
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda p: p.kybern("down", "--purge", check=False), self.all))
        for plane in self.all:
            shutil.rmtree(plane.directory, ignore_errors=True)
        return [trace for plane in self.all for trace in traces(plane.directory)]

    def urls(self):
        return [f"https://127.0.0.1:{plane.port}" for plane in self.all]

    def leader(self, lease):
        """Return which of them holds a lease."""
        holder = (lease.spec and lease.spec.holderIdentity) or "nobody"
        return next((p for p in self.all if identity(p) == holder), None)

    @asynccontextmanager
    async def clients(self):
        """Yield a client that begins with each of them, and knows the others."""
        urls = self.urls()
        config = load_kubeconfig(self.all[0].directory / "admin.kubeconfig")
        made = [
            TlsTransport(config, servers=Servers(urls[i:] + urls[:i])) for i in range(len(urls))
        ]
        try:
            yield [Client(transport, SYSTEM) for transport in made]
        finally:
            for transport in made:
                await transport.close()


def identity(plane):
    path = plane.directory / "run/identity"
    return path.read_text() if path.exists() else ""


def kill(plane):
    """End all processes of a control plane, as when its machine loses power."""
    state = json.loads((plane.directory / "run/state.json").read_text())
    for pid in (state["pid"], *(child["pid"] for child in state["children"])):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def planes():
    with etcd(tls=True) as members:
        planes = Planes(members.url)
        try:
            planes.start()
            yield planes
        finally:
            left = planes.end()
    assert left == []


def run(story):
    async def limited():
        async with asyncio.timeout(4 * PATIENCE):
            return await story

    return asyncio.run(limited())


async def eventually(check):
    async with asyncio.timeout(PATIENCE):
        while not (found := await check()):
            await asyncio.sleep(0.05)
        return found


async def takes_over(planes, client, name, former):
    """Wait until another one than `former` leads."""

    async def another():
        plane = planes.leader(await client.get(Lease, name, "kube-system"))
        return plane if plane is not former else None

    return await eventually(another)


async def is_scheduled(client, name):
    """Create a pod and wait until it has a node."""
    spec = PodSpec(containers=[Container(name="c", image="busybox")])
    await client.create(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec))

    async def placed():
        return (await client.get(Pod, name, "default")).spec.nodeName

    assert await eventually(placed) == "a-node"


async def a_node(client):
    """Have a node for pods to be bound to; nobody runs them."""
    allocatable = {"cpu": "8", "memory": "8Gi", "pods": "100"}
    status = {
        "allocatable": allocatable, "capacity": allocatable,
        "conditions": [{"type": "Ready", "status": "True"}],
    }  # fmt: skip
    try:
        await client.create(Node(metadata=ObjectMeta(name="a-node")))
    except AlreadyExists:
        return
    await client.patch(Node, "a-node", "", {"status": status}, subresource="status")

    async def account():
        try:
            return await client.get(ServiceAccount, "default", "default")
        except NotFound:
            return None

    await eventually(account)


def test_what_one_is_told_all_know(planes):
    async def story():
        async with planes.clients() as clients:
            for number in range(30):
                writer = clients[number % 3]
                name = f"told-{number}"
                await writer.create(ConfigMap(metadata=ObjectMeta(name=name, namespace="default")))
                for reader in clients:
                    await reader.get(ConfigMap, name, "default")
                    found, _ = await reader.list(ConfigMap, "default")
                    assert name in {item.metadata.name for item in found}

    run(story())


def test_all_are_endpoints_of_the_api_and_status_shows_them(planes):
    # a busy machine may let a lease of so few seconds run out, for a moment
    async def story():
        async with planes.clients() as (client, *_):

            async def all_there():
                endpoints = await client.get(Endpoints, "kubernetes", "default")
                ports = {port.port for subset in endpoints.subsets for port in subset.ports}
                return ports == {plane.port for plane in planes.all}

            await eventually(all_there)

        async def all_shown():
            said = (await asyncio.to_thread(planes.all[1].kybern, "status")).stdout
            shown = all(re.search(f":{plane.port} +ready", said) for plane in planes.all)
            return shown and MANAGER in said and SCHEDULER in said

        await eventually(all_shown)

    run(story())


def test_a_leader_that_loses_power_is_not_missed(planes):
    async def story():
        async with planes.clients() as clients:
            await a_node(clients[0])
            lease = await clients[0].get(Lease, SCHEDULER, "kube-system")
            victim = planes.leader(lease)
            survivor = clients[(planes.all.index(victim) + 1) % 3]
            answered, unknown = set(), set()
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for number, client in enumerate(clients * 4):
                    group.create_task(write(client, number, answered, unknown, stop))
                await eventually(lambda: enough(answered, 200))
                kill(victim)
                before = len(answered)
                await takes_over(planes, survivor, SCHEDULER, victim)
                await eventually(lambda: enough(answered, before + 200))
                stop.set()
            found, _ = await survivor.list(ConfigMap, "default")
            names = {item.metadata.name for item in found if item.metadata.name.startswith("w-")}
            assert answered <= names <= answered | unknown
            assert len(unknown) <= 12  # one per writer: what was under way
            await is_scheduled(survivor, "after-the-kill")

            async def gone():
                endpoints = await survivor.get(Endpoints, "kubernetes", "default")
                ports = {port.port for subset in endpoints.subsets for port in subset.ports}
                return victim.port not in ports

            await eventually(gone)
        victim.kybern("server")  # it comes back with what it knew

    run(story())


async def enough(answered, count):
    return len(answered) >= count


async def write(client, number, answered, unknown, stop):
    """Create objects one after the other; what is not answered is not tried again."""
    turn = 0
    while not stop.is_set():
        turn += 1
        name = f"w-{number}-{turn}"
        try:
            await client.create(ConfigMap(metadata=ObjectMeta(name=name, namespace="default")))
        except Unreachable:
            unknown.add(name)
        else:
            answered.add(name)


def test_a_leader_that_is_stopped_hands_over(planes):
    async def story():
        async with planes.clients() as clients:
            await a_node(clients[0])
            lease = await clients[0].get(Lease, MANAGER, "kube-system")
            leader = planes.leader(lease)
            survivor = clients[(planes.all.index(leader) + 1) % 3]
            await asyncio.to_thread(leader.kybern, "down")
            for name in (MANAGER, SCHEDULER):
                assert await takes_over(planes, survivor, name, leader) is not leader
            await is_scheduled(survivor, "after-the-stop")
        leader.kybern("server")

    run(story())


def test_who_is_killed_and_started_again_leads_on(planes):
    async def story():
        async with planes.clients() as clients:
            lease = await clients[0].get(Lease, SCHEDULER, "kube-system")
            leader = planes.leader(lease)
            survivor = clients[(planes.all.index(leader) + 1) % 3]
            os.kill(leader.pid("control-plane"), signal.SIGKILL)

            async def renewed():
                now = await survivor.get(Lease, SCHEDULER, "kube-system")
                return now if now.spec.renewTime != lease.spec.renewTime else None

            first = await eventually(renewed)
            lease.spec.renewTime = first.spec.renewTime
            await eventually(renewed)

    run(story())


def test_a_token_for_nodes_joins_no_server(planes):
    directory = Path(short_directory())
    plane = Cluster(directory, free_port())
    token = (
        planes.all[0].kybern("token", "create", "--description", "for the cellar").stdout.strip()
    )
    words = [token if word.count(".") == 2 else word for word in planes.join]
    assert planes.join != words
    done = plane.kybern(*words, check=False)
    assert done.returncode == 1
    assert "is one for nodes" in done.stderr
    listed = planes.all[2].kybern("token", "list").stdout
    assert "for the cellar" in listed
    assert planes.all[1].kybern("token", "delete", token[:6]).stdout == (
        f'bootstrap token "{token[:6]}" deleted\n'
    )
    shutil.rmtree(directory)


def test_a_second_cluster_in_the_same_etcd_is_refused(planes):
    plane = Cluster(short_directory(), free_port())
    try:
        done = plane.kybern(
            "server", "--port", str(plane.port), "--store", planes.store, check=False
        )
        assert done.returncode == 1
        assert "the store holds another cluster" in done.stderr
    finally:
        plane.kybern("down", "--purge")
        shutil.rmtree(plane.directory, ignore_errors=True)
