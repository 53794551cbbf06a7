"""A cluster in this process: the real API server over memory, real controllers, virtual time.

Nodes are played by `Nodes`, which binds pods and reports them ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.apps.v1 import Deployment, DeploymentSpec
from kybern.api.core.v1 import (
    Binding,
    Container,
    Namespace,
    NamespaceSpec,
    Node,
    NodeCondition,
    NodeStatus,
    ObjectReference,
    Pod,
    PodSpec,
    PodTemplateSpec,
)
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.apiserver.app import ApiServer
from kybern.apiserver.config import Config
from kybern.client.in_process import InProcessTransport
from kybern.client.informer import Informers
from kybern.client.mutations import MutationDetector
from kybern.client.rest import Client
from kybern.client.transport import MASTER, Identity, service_account
from kybern.controllers.all import ALL
from kybern.controllers.daemonset.placement import target_of
from kybern.controllers.runtime.host import ControllersConfig, Host
from kybern.controllers.runtime.reconcile import Key
from kybern.lib.clock import VirtualClock, rfc3339
from kybern.lib.tasks import Tasks
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Counting:
    """A transport that counts the writes which pass through it."""

    in_process = True

    def __init__(self, inner: InProcessTransport, log: list[tuple[str, str]]) -> None:
        self._inner = inner
        self._log = log

    async def request(self, method: str, path: str, **rest: Any) -> Any:
        if method != "GET" and "/events" not in path:
            self._log.append((method, path))
        return await self._inner.request(method, path, **rest)


class Cluster:
    """What a test works with."""

    def __init__(self, config: ControllersConfig, server: Config) -> None:
        self.clock = VirtualClock()
        self.server = ApiServer(server, Store(MemoryEngine(), self.clock), self.clock)
        self.client = self.client_as(MASTER)
        self.writes: list[tuple[str, str]] = []
        self.detector = MutationDetector()
        self.tasks = Tasks("test")
        manager = Identity("system:kube-controller-manager", ("system:authenticated",))
        reader = self.client_as(manager)
        self.informers = Informers(reader, self.tasks, detector=self.detector)
        self.host = Host(
            ALL, self.controller_client, self.informers, self.clock, config, random.Random(1)
        )

    def start_controllers(self) -> None:
        self._host_task = self.tasks.spawn(self.host.run(), name="host")

    async def stop_controllers(self) -> None:
        self._host_task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._host_task

    async def restart_controllers(self) -> None:
        """Lose everything the controllers have in memory."""
        await self.stop_controllers()
        for informer in list(self.informers.running()):
            self.informers.drop(informer)
        self.informers = Informers(self.informers.client, self.tasks, detector=self.detector)
        config = self.host.config
        self.host = Host(
            ALL, self.controller_client, self.informers, self.clock, config, random.Random(2)
        )
        self.start_controllers()

    def client_as(self, identity: Identity) -> Client:
        return Client(InProcessTransport(self.server.app, identity), self.clock)

    def controller_client(self, account: str) -> Client:
        inner = InProcessTransport(self.server.app, service_account("kube-system", account))
        return Client(Counting(inner, self.writes), self.clock)  # type: ignore[arg-type]

    async def namespace(self, name: str = "default") -> None:
        metadata = ObjectMeta(name=name)
        with contextlib.suppress(errors.AlreadyExists):
            await self.client.create(
                Namespace(metadata=metadata, spec=NamespaceSpec(finalizers=["kubernetes"]))
            )

    async def settle(self, seconds: float = 30.0) -> None:
        """Let so much virtual time pass that everything has happened."""
        await asyncio.sleep(seconds)

    async def quiet(self) -> None:
        """Nothing is written any more, and nobody changed what a cache owns."""
        await self.settle(3600)  # deadlines pass
        self.writes.clear()
        for controller in self.host.running.values():
            loop = controller._loop
            for informer in loop._after[:1]:
                for key in list(informer.index.keys()):
                    loop.add(Key(*key))
        await self.settle(3600)
        assert self.writes == []
        self.detector.check()

    async def pods(self, namespace: str = "default") -> list[Pod]:
        return (await self.client.list(Pod, namespace))[0]

    async def events(self, namespace: str = "default") -> list[tuple[str, str]]:
        from kybern.api.core.v1 import Event

        found = (await self.client.list(Event, namespace))[0]
        return [(event.reason or "", event.message or "") for event in found]


@contextlib.asynccontextmanager
async def cluster(
    *controllers: str, nodes: bool = True, server: Config | None = None, **options: Any
) -> AsyncIterator[Cluster]:
    """Run a cluster with these controllers, and with nodes that run pods."""
    # Pods are only admitted where there is a service account for them.
    chosen = ("serviceaccount", *controllers)
    config = ControllersConfig(controllers=chosen, root_ca="PEM", **options)
    it = Cluster(config, server or Config())
    async with it.tasks as tasks:
        await it.server.start()
        tasks.spawn(it.server.run(), name="server")
        it.start_controllers()
        if nodes:
            await Nodes(it).register()
        await it.settle(1)
        yield it
        await it.stop_controllers()
        assert tasks.failures == 0


class Nodes:
    """Plays scheduler and kubelets: pods get a node, run and become ready, and end when told to.

    Pods whose image says `bad` never become ready.
    """

    def __init__(self, cluster: Cluster, delay: float = 0.5) -> None:
        self.cluster = cluster
        self.delay = delay
        informer = Informers(cluster.client, cluster.tasks).of(Pod)
        informer.on(add=self._seen, update=lambda _, pod: self._seen(pod))

    async def register(self) -> None:
        ready = NodeStatus(conditions=[NodeCondition(type="Ready", status="True")])
        for number in range(3):
            metadata = ObjectMeta(name=f"node-{number}")
            await self.cluster.client.create(Node(metadata=metadata, status=ready))

    def _seen(self, pod: Pod) -> None:
        self.cluster.tasks.spawn(self._treat(pod), name=f"kubelet {pod.metadata.name}")

    async def _treat(self, pod: Pod) -> None:
        client, metadata = self.cluster.client, pod.metadata
        name, namespace = metadata.name or "", metadata.namespace or ""
        with contextlib.suppress(errors.NotFound, errors.Conflict):
            if metadata.deletionTimestamp is not None:
                await asyncio.sleep(self.delay)
                await client.delete(Pod, name, namespace, uid=metadata.uid, grace=0)
            elif not pod.spec.nodeName:
                wanted = target_of(pod) or f"node-{sum(name.encode()) % 3}"
                target = ObjectReference(kind="Node", name=wanted)
                binding = Binding(metadata=ObjectMeta(name=name), target=target)
                await client.create_subresource(Pod, name, namespace, "binding", binding)
            elif pod.status.phase not in ("Running", "Succeeded", "Failed"):
                await asyncio.sleep(self.delay)
                ready = "False" if "bad" in pod.spec.containers[0].image else "True"
                stamp = rfc3339(self.cluster.clock.now())
                condition = {"type": "Ready", "status": ready, "lastTransitionTime": stamp}
                number = int(metadata.resourceVersion or 0) % 250 + 1
                status = {
                    "phase": "Running",
                    "conditions": [condition],
                    "podIP": f"10.1.0.{number}",
                    "podIPs": [{"ip": f"10.1.0.{number}"}],
                }
                await client.patch(
                    Pod, name, namespace, {"status": status}, type="strategic", subresource="status"
                )


def deployment(name: str = "web", replicas: int = 3, image: str = "web:1", **spec: Any) -> Any:
    labels = {"app": name}
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=labels),
        spec=PodSpec(containers=[Container(name="main", image=image)]),
    )
    return Deployment(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(matchLabels=labels),
            template=template,
            **spec,
        ),
    )


def copy(obj: Any) -> Any:
    return codec.clone(obj)
