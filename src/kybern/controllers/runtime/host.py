"""Starting controllers, and keeping them running.

In:   a list of descriptors, a way to get clients, and the shared informers.
Out:  every enabled controller runs, each as its own service account.
By:   cmd.

The informers read as the controller manager itself; what a controller writes, it writes as
`system:serviceaccount:kube-system:<its account>`, for which upstream's policy has a role.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from kybern.client.events import Recorder
from kybern.lib import logs
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

    from kybern.client.informer import Informers
    from kybern.client.rest import Client
    from kybern.lib.clock import Clock
    from kybern.lib.pki import KeyPair

log = logs.get("controllers")


@dataclass(frozen=True, slots=True)
class ControllersConfig:
    """What can be chosen about the controllers; names and defaults are upstream's.

    Attributes:
        controllers: `*` for all that are on by default, `name` for one more, `-name` for one less.
        root_ca: PEM that goes into `kube-root-ca.crt` of every namespace.
        node_monitor_period: seconds between two looks at the nodes' heartbeats.
        node_monitor_grace_period: seconds of silence after which a node is Unknown.
        node_startup_grace_period: the same for a node that never reported.
        node_eviction_rate: nodes per second whose pods may begin to be evicted, in a healthy zone.
        secondary_node_eviction_rate: the same where most of a zone is unhealthy.
        unhealthy_zone_threshold: share of nodes not ready that makes a zone unhealthy.
        large_cluster_size_threshold: zones up to this size evict nothing while unhealthy.
        signers: signer name → the authority that signs for it; requests to others are left alone.
        service_account_key: PEM of the key that signs tokens in Secrets; none are made without.
        legacy_token_clean_up_period: seconds after which such a token that nobody uses is marked,
            and then deleted.
        signing_duration: the most seconds a signed certificate is good.
        terminated_pod_gc_threshold: how many finished pods may stay.
        max_endpoints_per_slice: addresses in one EndpointSlice.
        allocate_node_cidrs: nodes get parts of the pods' network.
        cluster_cidrs: the network of all pods; one per family.
        service_cidrs: the networks of Services, which no node gets.
        load_balancer_cidrs: what Services of type LoadBalancer get addresses from.
        node_cidr_mask_ipv4: how long the mask of a node's part is.
        node_cidr_mask_ipv6: the same for IPv6.
        namespace_deletion_delay: seconds before a deleted namespace is emptied. Needed (upstream
            waits 5) where several API servers may still admit objects into it for a moment.
        autoscaler_sync_period: seconds between two looks at the metrics of an autoscaler.
        autoscaler_downscale_stabilization: seconds an autoscaler waits before it goes down.
        autoscaler_tolerance: how far a metric may be off its target before anything is done.
        autoscaler_cpu_initialization_period: seconds in which a new pod's CPU may be skipped.
        autoscaler_initial_readiness_delay: seconds in which a pod counts as never yet ready.
        workers: keys of one kind reconciled at a time.
    """

    controllers: tuple[str, ...] = ("*",)
    root_ca: str = ""
    node_monitor_period: float = 5.0
    node_monitor_grace_period: float = 50.0
    node_startup_grace_period: float = 60.0
    node_eviction_rate: float = 0.1
    secondary_node_eviction_rate: float = 0.01
    unhealthy_zone_threshold: float = 0.55
    large_cluster_size_threshold: int = 50
    signers: Mapping[str, KeyPair] = field(default_factory=dict)
    signing_duration: float = 365 * 86400.0
    service_account_key: bytes = field(default=b"", repr=False)
    legacy_token_clean_up_period: float = 365 * 86400.0
    terminated_pod_gc_threshold: int = 12500
    max_endpoints_per_slice: int = 100
    allocate_node_cidrs: bool = False
    cluster_cidrs: tuple[str, ...] = ()
    service_cidrs: tuple[str, ...] = ()
    load_balancer_cidrs: tuple[str, ...] = ()
    node_cidr_mask_ipv4: int = 24
    node_cidr_mask_ipv6: int = 64
    namespace_deletion_delay: float = 0.0
    autoscaler_sync_period: float = 15.0
    autoscaler_downscale_stabilization: float = 300.0
    autoscaler_tolerance: float = 0.1
    autoscaler_cpu_initialization_period: float = 300.0
    autoscaler_initial_readiness_delay: float = 30.0
    workers: int = 5

    def check(self, known: Iterable[str]) -> list[str]:
        """Return what is wrong with it, as sentences."""
        names = set(known)
        problems = [
            f"there is no controller named {name.lstrip('-')!r}"
            for name in self.controllers
            if name != "*" and name.lstrip("-") not in names
        ]
        if self.max_endpoints_per_slice < 1 or self.max_endpoints_per_slice > 1000:
            problems.append("max_endpoints_per_slice must be between 1 and 1000")
        if self.node_monitor_period <= 0:
            problems.append("node_monitor_period must be greater than 0")
        return problems + self._check_networks()

    def node_cidr_mask(self, network: str) -> int:
        """Return how long the mask of a node's part of a network is."""
        return self.node_cidr_mask_ipv6 if ":" in network else self.node_cidr_mask_ipv4

    def _check_networks(self) -> list[str]:
        """Return what is wrong with the networks; upstream's rules."""
        if not self.allocate_node_cidrs:
            return []
        networks, problems = self.cluster_cidrs, []
        if not networks:
            problems.append("--allocate-node-cidrs needs the network of all pods: --cluster-cidr")
        if len(networks) > 2 or len({":" in each for each in networks}) < len(networks):
            problems.append("--cluster-cidr takes one network, or one of each family")
        for network in networks:
            bits = self.node_cidr_mask(network) - int(network.partition("/")[2])
            if not 0 <= bits <= 16:
                problems.append(
                    f"a node's mask of {self.node_cidr_mask(network)} does not fit {network}: it "
                    "must be longer than the network's own, by 16 at most"
                )
        return problems


@dataclass(frozen=True, slots=True)
class Context:
    """What a controller is given.

    Attributes:
        client: the API server, as this controller's service account.
        informers: the shared copies of what is there.
        clock: the time.
        config: the choices.
        recorder: for events, under this controller's name.
        rng: for jitter.
    """

    client: Client
    informers: Informers
    clock: Clock
    config: ControllersConfig
    recorder: Recorder
    rng: Random


class Controller(Protocol):
    """A controller: handlers are registered when it is made, work begins with `run`."""

    async def run(self) -> None:
        """Work for ever."""

    def statistics(self) -> dict[str, int]:
        """Return counters worth looking at."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One controller of the list.

    Attributes:
        name: upstream's name, as `--controllers` takes it.
        account: its service account in kube-system; "" for the controller manager itself.
        component: its name in events.
        make: the constructor.
        aliases: older names.
        default_on: whether `*` includes it.
    """

    name: str
    account: str
    component: str
    make: Callable[[Context], Controller]
    aliases: tuple[str, ...] = ()
    default_on: bool = True

    def enabled(self, chosen: tuple[str, ...]) -> bool:
        """Whether `--controllers` turns it on; what is said last about a name counts."""
        names = {self.name, *self.aliases}
        verdict: bool | None = None
        for choice in chosen:
            if choice in names:
                verdict = True
            elif choice.startswith("-") and choice[1:] in names:
                verdict = False
        if verdict is None:
            return self.default_on and "*" in chosen
        return verdict


@dataclass(slots=True)
class Host:
    """Runs controllers.

    Attributes:
        descriptors: the list; `controllers.all.ALL`.
        client_for: returns the API server as a service account of kube-system.
        informers: the shared informers.
        clock: the time.
        config: the choices.
        rng: for jitter.
    """

    descriptors: tuple[Descriptor, ...]
    client_for: Callable[[str], Client]
    informers: Informers
    clock: Clock
    config: ControllersConfig
    rng: Random
    running: dict[str, Controller] = field(default_factory=dict)

    async def run(self) -> None:
        """Run every enabled controller for ever; one that fails is started again."""
        async with Tasks("controllers", clock=self.clock) as tasks:
            for descriptor in self.descriptors:
                if not descriptor.enabled(self.config.controllers):
                    continue
                account = descriptor.account
                client = self.client_for(account) if account else self.informers.client
                recorder = Recorder(client, descriptor.component)
                context = Context(
                    client, self.informers, self.clock, self.config, recorder, self.rng
                )
                controller = descriptor.make(context)
                self.running[descriptor.name] = controller
                tasks.spawn_forever(recorder.run, f"events of {descriptor.name}")
                tasks.spawn_forever(controller.run, descriptor.name)
            log.info("controllers started", count=len(self.running))
            await tasks.wait()

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return the counters of every controller."""
        return {name: controller.statistics() for name, controller in self.running.items()}
