"""Controllers and scheduler in the process of their API server.

In:   an API server that serves, the cluster's directory and settings.
Out:  both run, as the users they would be anywhere else, and call the server directly.
By:   cmd.control_plane.

Where the server has its store to itself, they share one copy of what they watch. Where other
servers serve the same store, each takes turns with its like, under upstream's names, and begins
with a copy of its own when its turn comes.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from kybern.api.certificates.requests import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN
from kybern.client.in_process import InProcessTransport
from kybern.client.informer import Informers
from kybern.client.leases import Election
from kybern.client.rest import Client
from kybern.client.transport import MASTER, Identity, service_account
from kybern.cmd import (
    cluster_dns,
    cluster_info,
    election,
    ingress_access,
    joining,
    node_role,
    storage_class,
)
from kybern.controllers.all import ALL
from kybern.controllers.runtime.host import ControllersConfig, Host
from kybern.lib.clock import SYSTEM
from kybern.lib.pki import KeyPair
from kybern.lib.tasks import Tasks
from kybern.scheduler.config import SchedulerConfig
from kybern.scheduler.loop import Scheduler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kybern.apiserver.app import ApiServer
    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings

AUTHENTICATED = "system:authenticated"
CONTROLLER_MANAGER = Identity("system:kube-controller-manager", (AUTHENTICATED,))
CONTROLLERS = ("*", "bootstrapsigner", "tokencleaner", "local-path")
"""Besides the usual ones those which upstream leaves to kubeadm to turn on, and our own."""
SCHEDULER = Identity("system:kube-scheduler", (AUTHENTICATED,))
DRAINED = 5.0
"""Seconds before a deleted namespace is emptied: another server may still admit objects into it."""


class Components:
    """What makes a control plane of an API server."""

    def __init__(self, server: ApiServer, directory: Directory, settings: Settings) -> None:
        self._server = server
        self._directory = directory
        self._settings = settings
        self._shared = server.services.store.shared
        self._authority = KeyPair.load(directory.pki / "ca.crt", directory.pki / "ca.key")

    def start(self, tasks: Tasks) -> None:
        """Start everything; it ends with the tasks, and gives back what it leads."""
        self._informers = informers = Informers(
            self._client(CONTROLLER_MANAGER, "kube-controller-manager"), tasks
        )
        if self._shared:
            identity = election.own_identity(self._directory.run / "identity")
            for name, user, work in (
                ("kube-controller-manager", CONTROLLER_MANAGER, self._lead_controllers),
                ("kube-scheduler", SCHEDULER, self._lead_scheduler),
            ):
                self._take_turns(tasks, self._election(name, identity), user, work)
        else:
            self._keep_objects(informers, tasks)
            tasks.spawn_forever(self._host(informers).run, "controllers")
            tasks.spawn_forever(self._scheduler(informers).run, "scheduler")
        if not self._settings.control_plane_only:
            own = self._client(MASTER, "kybern")
            node_role.keep(own, informers, tasks, self._settings.node_name)

    async def wait_copied(self) -> None:
        """Wait until controllers and scheduler have seen what there is, if they run here."""
        await asyncio.sleep(0)  # the controllers are made when their host begins to run
        while not all(informer.synced for informer in self._informers.running()):
            await self._informers.wait_synced()

    def _election(self, name: str, identity: str) -> Election:
        lease = self._settings.lease_duration
        return Election(name, identity, duration=lease, renew=lease * 5 / 7, retry=lease / 7)

    def _take_turns(
        self, tasks: Tasks, wanted: Election, user: Identity, work: Callable[[], Awaitable[None]]
    ) -> None:
        client = self._client(user, wanted.name)
        tasks.spawn_forever(lambda: election.take_turns(client, wanted, work), wanted.name)

    async def _lead_controllers(self) -> None:
        async with Tasks("controllers in turn", clock=SYSTEM) as tasks:
            client = self._client(CONTROLLER_MANAGER, "kube-controller-manager")
            informers = Informers(client, tasks)
            self._keep_objects(informers, tasks)
            await self._host(informers).run()

    async def _lead_scheduler(self) -> None:
        await self._scheduler(None).run()

    def _keep_objects(self, informers: Informers, tasks: Tasks) -> None:
        """Have what kubeadm would have given the cluster."""
        own, settings = self._client(MASTER, "kybern"), self._settings
        address = f"https://{settings.node_ip}:{settings.port}"
        authority = self._authority.certificate
        tasks.spawn_forever(lambda: cluster_info.ensure(own, address, authority), "cluster-info")
        tasks.spawn_forever(lambda: joining.ensure(own, settings), "node-config")
        joining.approve_serving(own, informers, tasks, settings.service_cidrs)
        tasks.spawn_forever(lambda: storage_class.ensure(own), "storage class")
        tasks.spawn_forever(ingress_access.Keeper(own, informers).run, "ingress access")
        tasks.spawn_forever(cluster_dns.Keeper(own, informers, settings).run, "dns")

    def _host(self, informers: Informers) -> Host:
        signed = (CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY_UNKNOWN)
        config = ControllersConfig(
            controllers=CONTROLLERS,
            root_ca=self._authority.certificate.decode(),
            signers=dict.fromkeys(signed, self._authority),
            service_account_key=(self._directory.pki / "sa.key").read_bytes(),
            namespace_deletion_delay=DRAINED if self._shared else 0.0,
            node_monitor_grace_period=self._settings.node_monitor_grace,
            autoscaler_sync_period=self._settings.autoscaler_period,
            allocate_node_cidrs=True,
            cluster_cidrs=self._settings.cluster_cidrs,
            service_cidrs=self._settings.service_cidrs,
            load_balancer_cidrs=self._settings.balancer_cidrs,
        )
        rng = random.Random()  # noqa: S311 - jitter
        return Host(ALL, self._controller, informers, SYSTEM, config, rng)

    def _scheduler(self, informers: Informers | None) -> Scheduler:
        client = self._client(SCHEDULER, "kube-scheduler")
        return Scheduler(SchedulerConfig(), client, informers=informers)

    def _controller(self, account: str) -> Client:
        return self._client(service_account("kube-system", account), "kube-controller-manager")

    def _client(self, identity: Identity, agent: str) -> Client:
        return Client(InProcessTransport(self._server.app, identity), SYSTEM, user_agent=agent)
