"""What a cluster was told when it was started, in one frozen value.

In:   the flags of `kybern up` and what `slots.py` chose; later the file in the data directory.
Out:  Settings, checked.
By:   `cli/verbs/up.py` writes it, every program in `cmd/` reads it.
"""

import ipaddress
import os
import re
from pathlib import Path

import msgspec

from kybern.cluster import networks

NODES_MAX = 64
GRACE = 50.0
GRACE_MIN = 4.0
"""Seconds; with less, heartbeats would be several in a second."""
STORE = re.compile(r"sqlite|memory|etcd://[^\s/?#]+:[0-9]+/?(\?[^\s#]*)?")


class SettingsError(Exception):
    """The settings cannot work; the message says what to change."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster on this machine.

    Attributes:
        data_dir: where everything lives.
        slot: which of the machine's non-overlapping networks this cluster has; see `slots.py`.
        port: TCP port of the API server.
        store: `sqlite`, `memory` or the URL of an etcd; see `store/kv/etcd/address.py`.
        encryption_provider_config: file that says what is encrypted in the store; "" for nothing.
        token: static bearer token of a `system:masters` user; "" for none.
        control_plane_only: no kubelet, proxy, DNS and containerd.
        runtime_endpoint: socket of a CRI runtime that is not ours; "" for our own containerd.
        node_name: name of the node; upstream's rules for host names.
        node_ip: address under which pods and the API server reach the node.
        node_ip6: its address of IPv6, where the cluster has both families; "" for none.
        service_cidr: network of ClusterIPs; its first address is the API server's. A cluster of
            both families has two, of IPv4 and of IPv6, with a comma; so it is with the next two.
        cluster_cidr: network of all pods; each node has a part of it.
        node_cidr: network that joins the nodes on this machine; its first address is ours.
        load_balancer_cidr: networks of LoadBalancer Services; "" for those behind `node_cidr`.
        nodes: how many nodes on this machine.
        index: which of them this one is, beginning with 1.
        api_server: URL of an API server elsewhere, for a directory that holds only a node.
        netns: name of the network namespace the node lives in; "" for this machine's own.
        node_monitor_grace: seconds of silence after which a node counts as lost; heartbeats come
            as often as that needs.
        autoscaler_period: seconds between two looks at what autoscaled pods use.
        lease_duration: seconds after which other control planes take over from a silent one. One
            less than upstream's, so that they have taken over within its fifteen.
        shutdown_grace: seconds the node's pods have before the machine shuts down.
        shutdown_grace_critical: how many of these are for critical pods alone.
        cluster_domain: suffix of all names.
        dns_ip: ClusterIP of DNS.
        dns_port: port of the node at which our DNS server listens.
        kubelet_port: port of the kubelet's server.
        ingress_http_port: where each node takes HTTP for Ingresses; 0 for any free port.
        ingress_https_port: the same for HTTPS.
        bridge: network device of the pods.
        nft_table: name of the table with the proxy's rules.
    """

    data_dir: str
    slot: int = 0
    port: int = 6443
    store: str = "sqlite"
    encryption_provider_config: str = ""
    token: str = ""
    control_plane_only: bool = False
    runtime_endpoint: str = ""
    node_name: str = ""
    node_ip: str = "127.0.0.1"
    node_ip6: str = ""
    service_cidr: str = "10.96.0.0/16"
    cluster_cidr: str = "10.244.0.0/16"
    node_cidr: str = "10.176.0.0/24"
    load_balancer_cidr: str = ""
    nodes: int = 1
    index: int = 1
    api_server: str = ""
    netns: str = ""
    node_monitor_grace: float = GRACE
    autoscaler_period: float = 15.0
    lease_duration: float = 14.0
    shutdown_grace: float = 0.0
    shutdown_grace_critical: float = 0.0
    cluster_domain: str = "cluster.local"
    dns_ip: str = "10.96.0.10"
    dns_port: int = 10053
    kubelet_port: int = 10250
    ingress_http_port: int = 80
    ingress_https_port: int = 443
    bridge: str = "kybern0"
    nft_table: str = "kybern"

    def check(self) -> list[str]:
        """Return what is wrong, one sentence each."""
        problems = []
        if not 1 <= self.port <= 65535:
            problems.append(f"--port {self.port} is not a port: use a number from 1 to 65535.")
        for name in ("http", "https"):
            if not 0 <= (port := getattr(self, f"ingress_{name}_port")) <= 65535:
                problems.append(
                    f"--ingress-{name}-port {port} is not a port: use a number from 0 to 65535."
                )
        if not STORE.fullmatch(self.store):
            problems.append(
                f"--store {self.store} cannot be: use sqlite (a file in the data directory, the "
                "default), etcd://HOST:PORT,HOST:PORT or memory."
            )
        if self.encryption_provider_config and not os.path.isfile(self.encryption_provider_config):
            problems.append(
                f"--encryption-provider-config {self.encryption_provider_config} is not a file."
            )
        if self.token and (len(self.token) < 8 or not self.token.isprintable()):
            problems.append("--token is too weak: use at least 8 printable characters.")
        if not 1 <= self.lease_duration <= 3600:
            problems.append(
                f"--leader-elect-lease-duration {self.lease_duration:g}s cannot be: use 1s to 1h."
            )
        if not GRACE_MIN <= self.node_monitor_grace <= 3600:
            problems.append(
                f"--node-monitor-grace-period {self.node_monitor_grace:g}s cannot be: use "
                f"{GRACE_MIN:g}s to 1h."
            )
        if not 1 <= self.autoscaler_period <= 3600:
            problems.append(
                f"--horizontal-pod-autoscaler-sync-period {self.autoscaler_period:g}s cannot be: "
                "use 1s to 1h."
            )
        if not 0 <= self.shutdown_grace_critical <= self.shutdown_grace <= 3600:
            problems.append(
                "--shutdown-grace-period is 0s to 1h, and --shutdown-grace-period-critical-pods "
                "no more than that."
            )
        if not 1 <= self.nodes <= NODES_MAX:
            problems.append(
                f"--nodes {self.nodes} cannot be: 1 to {NODES_MAX} nodes fit on a machine, and "
                "--control-plane-only is for none."
            )
        if self.nodes > 1 and (self.control_plane_only or self.runtime_endpoint):
            problems.append(
                "--nodes goes with neither --control-plane-only nor --runtime-endpoint: each node "
                "has a container runtime of its own."
            )
        return problems + networks.problems(self)

    @property
    def dual_stack(self) -> bool:
        """Whether pods, Services and nodes have addresses of both families."""
        return "," in self.cluster_cidr

    @property
    def service_cidrs(self) -> tuple[str, ...]:
        """The networks of ClusterIPs, one for each family."""
        return tuple(self.service_cidr.split(","))

    @property
    def cluster_cidrs(self) -> tuple[str, ...]:
        """The networks of all pods."""
        return tuple(self.cluster_cidr.split(","))

    @property
    def node_cidrs(self) -> tuple[str, ...]:
        """The networks that join the nodes on this machine."""
        return tuple(self.node_cidr.split(","))

    @property
    def node_only(self) -> bool:
        """Whether this is a node of a cluster whose control plane is elsewhere."""
        return bool(self.api_server)

    @property
    def gateway(self) -> str:
        """This machine's address in the network of its nodes."""
        return self.gateways[0]

    @property
    def gateways(self) -> tuple[str, ...]:
        """This machine's addresses in the networks of its nodes."""
        return tuple(str(ipaddress.ip_network(network)[1]) for network in self.node_cidrs)

    @property
    def balancer_cidrs(self) -> tuple[str, ...]:
        """Addresses of LoadBalancer Services, one network for each family of the cluster.

        Those which were asked for; else as many as nodes may have, right after those.
        """
        asked = [ipaddress.ip_network(each) for each in self.load_balancer_cidr.split(",") if each]
        nodes = map(ipaddress.ip_network, self.node_cidrs)
        behind = {n.version: f"{n.broadcast_address + 1}/{n.prefixlen}" for n in nodes}
        return tuple((behind | {each.version: str(each) for each in asked}).values())

    @property
    def cgroup_root(self) -> str:
        """The cgroup of all pods of this node."""
        parts = ["/kubepods", *([str(self.slot)] if self.slot or self.index > 1 else [])]
        return "-".join([*parts, *([str(self.index)] if self.index > 1 else [])])

    @property
    def node_lease_seconds(self) -> int:
        """How long a node counts as alive after a heartbeat, of which four come in that time.

        Upstream's 40 s of its 50, and as much of less.
        """
        return min(40, int(self.node_monitor_grace * 0.8))

    @property
    def kubernetes_ip(self) -> str:
        """ClusterIP of `default/kubernetes`."""
        return str(ipaddress.ip_network(self.service_cidrs[0])[1])

    @property
    def server(self) -> str:
        """URL of the API server for programs on this machine."""
        return self.api_server or f"https://127.0.0.1:{self.port}"


def save(settings: Settings, path: Path) -> None:
    """Write the file, all of it or nothing; it holds the token, so only the owner reads it."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(settings), indent=2))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(path: Path) -> Settings:
    """Read the file.

    Raises:
        SettingsError: there is none, or it is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except FileNotFoundError:
        raise SettingsError(
            f"there is no cluster in {path.parent}: start one with `kybern up`."
        ) from None
    except msgspec.DecodeError as error:
        raise SettingsError(
            f"{path} is damaged ({error}): restore it from a backup, or remove the cluster and its "
            f"data with `kybern down --purge --data-dir {path.parent}`."
        ) from None
