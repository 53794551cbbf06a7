"""The node agent, put together.

In:   KubeletConfig, a client, a runtime, a clock.
Out:  a node that runs its pods, until cancelled. Containers go on running without it.
By:   cmd/. It owns no logic: every decision is in the parts.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api.core.v1 import Node, Pod, Service
from kybern.api.errors import ApiError
from kybern.api.node.v1 import RuntimeClass
from kybern.client.events import Recorder
from kybern.client.informer import Informers
from kybern.client.transport import Unreachable
from kybern.kubelet.cgroups import Cgroups
from kybern.kubelet.csi.side import CsiSide
from kybern.kubelet.housekeeping import Housekeeping
from kybern.kubelet.image_mounts import ImageMounts, runtime_mounts_images
from kybern.kubelet.node import events as node_events
from kybern.kubelet.node import facts, registration
from kybern.kubelet.node.lease import Heartbeat
from kybern.kubelet.node.shutdown import Shutdown
from kybern.kubelet.node.status import NodeReporter
from kybern.kubelet.objects import WatchedObjects
from kybern.kubelet.pods.allotments import Allotments
from kybern.kubelet.pods.dns import Resolver, parse_resolv_conf
from kybern.kubelet.pods.pulling import Puller
from kybern.kubelet.pods.reporting import Reporter
from kybern.kubelet.pods.roster import Roster
from kybern.kubelet.pods.service_env import service_variables, visible_services
from kybern.kubelet.pods.survey import survey
from kybern.kubelet.pods.tools import NORMAL, NodeIdentity, Tools
from kybern.kubelet.runtime.translate import NodeFacts
from kybern.kubelet.server.app import KubeletServer
from kybern.kubelet.tokens import Tokens
from kybern.kubelet.volumes.act import Volumes
from kybern.kubelet.volumes.local_images import LocalVolumes
from kybern.lib import logs
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kybern.client.informer import Informer
    from kybern.client.rest import Client
    from kybern.kubelet.config import KubeletConfig
    from kybern.kubelet.pods.tools import HostPorts
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.lib.clock import Clock

log = logs.get("kubelet")


class Kubelet:
    """One node agent."""

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        runtime: Runtime,
        clock: Clock,
        *,
        informers: Informers | None = None,
        host_ports: HostPorts | None = None,
        cgroup_version: int = 1,
        image_mounts: ImageMounts | None = None,
    ) -> None:
        """Put the parts together; nothing runs yet.

        Args:
            config: how to behave.
            client: the API server, as `system:node:<name>`.
            runtime: where containers run.
            clock: the time.
            informers: shared with other components of the process; its own when None.
            host_ports: who lets ports of the node lead into pods; the runtime's network when None.
            cgroup_version: 1 or 2, as this machine has it.
            image_mounts: who mounts images where the runtime is too old for it.
        """
        self.config = config
        self._client = client
        self._runtime = runtime
        self._clock = clock
        self._host_ports = host_ports
        self._cgroup_version = cgroup_version
        self._image_mounts: ImageMounts | None = image_mounts or ImageMounts(None, "")
        self._tasks = Tasks("kubelet", clock=clock)
        self._local_volumes = LocalVolumes(config.local_volumes_dir)
        self._informers = informers or Informers(client, self._tasks)
        self.node: Node | None = None
        self.roster: Roster | None = None
        self._server: KubeletServer | None = None
        self._node_reporter: NodeReporter | None = None
        self._shutdown: Shutdown | None = None
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled."""
        async with self._tasks as tasks:
            try:
                await self._run(tasks)
            finally:
                if self._server is not None:
                    await self._server.close()
                log.info("kubelet stopped", node=self.config.node_name)

    def look_again(self) -> None:
        """Report soon: the runtime or its network has changed."""
        if self._node_reporter is not None:
            self._node_reporter.wake()

    def shut_down(self) -> None:
        """End the node's pods as if the machine shut down."""
        if self._shutdown is not None:
            self._shutdown.ask()

    async def _run(self, tasks: Tasks) -> None:
        config, clock, runtime = self.config, self._clock, self._runtime
        pods = self._informers.of(Pod, field_selector=f"spec.nodeName={config.node_name}")
        services = self._informers.of(Service, indexers={"namespace": _namespace})
        nodes = self._informers.of(Node, field_selector=f"metadata.name={config.node_name}")
        machine = facts.read_machine(config.data_dir)
        version = await runtime.version()
        recorder = Recorder(self._client, "kubelet", config.node_name)
        tasks.spawn_forever(recorder.run, "events")
        await self._local_volumes.mount_all()
        tokens = Tokens(self._client, clock)
        csi = CsiSide(config, self._client, clock, recorder, tokens, tasks)
        csi.prepare()
        if runtime_mounts_images(version.runtime_name, version.runtime_version):
            self._image_mounts = None
        tools = self._tools(machine, version.runtime_name, recorder, services, csi, tokens)
        tools.cgroups.prepare()
        reporter = Reporter(self._client, clock, tasks)
        roster = self.roster = Roster(tools, reporter, tasks, self._labels)
        roster.adopt(await survey(runtime))

        self._server = KubeletServer(config, roster, runtime, clock, self._local_volumes, csi)
        port = await self._server.start()
        runtime_version = f"{version.runtime_name}://{version.runtime_version}"
        base = registration.base_status(machine, config, runtime_version, tools.node.ips, port)

        def tell(reason: str, message: str = "") -> None:
            said = message or node_events.sentence(config.node_name, reason)
            recorder.event(node_events.about(config.node_name), NORMAL, reason, said)

        tell("Starting", "Starting kubelet.")

        async def register_again() -> Node:
            node = await self._register(machine, base)
            tasks.spawn(csi.begin_again(), name="drivers of the new Node")
            return node

        node_reporter = self._node_reporter = NodeReporter(
            config, self._client, runtime, clock, base, register_again, tell,
            csi.attachments,
        )  # fmt: skip
        node_reporter.registered(await self._register(machine, await node_reporter.current()))
        if node_reporter.ready:
            self.ready.set()
        heartbeat = Heartbeat(
            self._client, clock, config.node_name, self._uid, config.lease_seconds
        )
        tasks.spawn_forever(heartbeat.run, "heartbeat")
        tasks.spawn_forever(node_reporter.run, "node status")
        tasks.spawn_forever(csi.run, "storage drivers")
        csi.drivers.on_added(roster.try_again)
        nodes.on(add=self._saw_node, update=lambda old, new: self._saw_change(old, new, tell))
        nodes.on_change(csi.attachments.saw)
        nodes.on_change(node_reporter.saw)
        await services.wait_synced()
        pods.on(add=roster.added, update=roster.updated, delete=roster.deleted)
        await pods.wait_synced()
        roster.end_orphans()
        tasks.spawn(csi.volumes.drop_unused(), name="volumes nobody uses")
        self._shutdown = Shutdown(config, roster, clock, node_reporter.shuts_down, tell)
        tasks.spawn_forever(self._shutdown.run, "shutdown")
        housekeeping = Housekeeping(config, roster, runtime, clock, node_reporter)
        tasks.spawn_forever(housekeeping.run, "housekeeping")
        await self._follow_runtime(roster, node_reporter, tasks)

    async def _follow_runtime(
        self, roster: Roster, node_reporter: NodeReporter, tasks: Tasks
    ) -> None:
        tasks.spawn_forever(lambda: self._relist(roster), "relist")
        async for event in self._runtime.events():
            roster.happened(event)
            if not event.id:
                node_reporter.wake()
        raise RuntimeError("the runtime's events ended")

    async def _relist(self, roster: Roster) -> None:
        while True:
            await self._clock.sleep(self.config.relist_interval)
            await roster.relist()

    def _tools(
        self,
        machine: facts.Machine,
        runtime_name: str,
        recorder: Recorder,
        services: Informer[Service],
        csi: CsiSide,
        tokens: Tokens,
    ) -> Tools:
        config, clock = self.config, self._clock
        objects = WatchedObjects(self._client, self._tasks, self._objects_changed)
        volumes = Volumes(
            config.pods_dir,
            self._client,
            objects,
            tokens,
            clock,
            self._local_volumes,
            csi.volumes,
        )
        volumes.make_root()

        def variables(pod: Pod) -> dict[str, str]:
            namespace = pod.metadata.namespace or ""
            candidates = services.by_index("namespace", namespace)
            if namespace != "default":
                api = services.get("default", "kubernetes")
                candidates = [*candidates, api] if api is not None else candidates
            links = pod.spec.enableServiceLinks is not False
            return service_variables(visible_services(candidates, namespace, links=links))

        return Tools(
            config=config,
            clock=clock,
            runtime=self._runtime,
            runtime_name=runtime_name,
            node=NodeIdentity(
                host_name=machine.host_name,
                ips=config.node_ips or tuple(filter(None, (machine.address,))),
                allocatable=registration.allocatable(machine, config),
                facts=NodeFacts(machine.memory, self._cgroup_version),
                resolver=lambda: _resolver(config.resolv_conf),
            ),
            puller=Puller(self._runtime, clock, config.parallel_pulls),
            volumes=volumes,
            objects=objects,
            cgroups=Cgroups(
                config.pods_cgroup,
                self._cgroup_version,
                systemd=config.cgroup_driver == "systemd",
            ),
            allotments=Allotments(config.allotments_dir),
            recorder=recorder,
            service_variables=variables,
            runtime_handler=self._runtime_handler,
            starts=asyncio.Semaphore(config.parallel_starts),
            host_ports=self._host_ports,
            image_mounts=self._image_mounts,
        )

    async def _register(self, machine: facts.Machine, status) -> Node:  # type: ignore[no-untyped-def] # noqa: ANN001
        self.node = await registration.register(
            self._client, self._clock, machine, self.config, status
        )
        return self.node

    def _saw_node(self, node: Node) -> None:
        self.node = node

    def _saw_change(self, before: Node, node: Node, tell: Callable[[str], None]) -> None:
        self.node = node
        for reason in node_events.of_spec(before, node):
            tell(reason)

    async def _runtime_handler(self, name: str) -> str:
        """Return the handler of a RuntimeClass.

        Raises:
            LookupError: there is none, or the API server cannot be asked.
        """
        try:
            return (await self._client.get(RuntimeClass, name)).handler
        except (ApiError, Unreachable) as error:
            raise LookupError(f"failed to get sandbox runtime: {error}") from None

    def _uid(self) -> str:
        return (self.node.metadata.uid if self.node is not None else None) or ""

    def _labels(self) -> dict[str, str]:
        return (self.node.metadata.labels if self.node is not None else None) or {}

    def _objects_changed(self, uids: frozenset[str]) -> None:
        if self.roster is not None:
            self.roster.objects_changed(uids)


def _namespace(service: Service) -> list[str]:
    return [service.metadata.namespace or ""]


def _resolver(path: Path) -> Resolver:
    try:
        return parse_resolv_conf(path.read_text(encoding="utf-8"))
    except OSError as error:
        log.warning("the node's resolver configuration cannot be read", why=str(error))
        return Resolver()
