"""What is chosen about a node's pod network, as one frozen value.

In:   flags, read by cmd/.
Out:  NetworkConfig, checked.
By:   cni.py, rules.py, cleanup.py.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

BRIDGE_NAME_MAX = 15


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The pod network of one node.

    Attributes:
        data_dir: the cluster's data directory; configuration and state are in `cni` below.
        bridge: name of the bridge all pods of this node are on; one per node on a machine.
        pod_cidr: the addresses of this node's pods; router.py takes them from the Node.
        cluster_cidr: the addresses of all pods; traffic to them keeps its source address.
        pod_cidr6: the same as `pod_cidr`, for IPv6; "" without.
        cluster_cidr6: the same as `cluster_cidr`, for IPv6; "" without.
        cni_bin_dir: where the CNI plugins are.
        mtu: of the bridge and the pods; 0 for the kernel's default.
        tunnel_id: the number of the cluster's tunnel; the same on all nodes.
    """

    data_dir: Path
    bridge: str = "kybern0"
    pod_cidr: str = "10.244.0.0/24"
    cluster_cidr: str = "10.244.0.0/16"
    pod_cidr6: str = ""
    cluster_cidr6: str = ""
    cni_bin_dir: Path = Path("/usr/lib/cni")
    mtu: int = 0
    tunnel_id: int = 1

    @property
    def conf_dir(self) -> Path:
        """Where the runtime finds the network's configuration."""
        return self.data_dir / "cni" / "net.d"

    @property
    def state_dir(self) -> Path:
        """Where it is kept which addresses are in use."""
        return self.data_dir / "cni" / "state"

    @property
    def policy_table(self) -> str:
        """Name of the packet filter table of NetworkPolicies."""
        return f"{self.table}-policy"

    @property
    def table(self) -> str:
        """Name of the packet filter table."""
        return f"kybern-node-{self.bridge}"

    @property
    def tunnel(self) -> str:
        """Name of the device that leads to nodes of other networks."""
        return f"{self.bridge[: BRIDGE_NAME_MAX - 3]}-vx"

    @property
    def cluster_cidrs(self) -> tuple[str, ...]:
        """The addresses of all pods, of each family there is."""
        return (
            (self.cluster_cidr, self.cluster_cidr6) if self.cluster_cidr6 else (self.cluster_cidr,)
        )

    def holds(self, network: str) -> bool:
        """Say whether a network is one of pods."""
        inner = ipaddress.ip_network(network)
        outers = map(ipaddress.ip_network, self.cluster_cidrs)
        return any(inner.version == o.version and inner.subnet_of(o) for o in outers)  # type: ignore[arg-type]

    @property
    def gateway(self) -> str:
        """The node's address on the bridge."""
        return str(next(ipaddress.ip_network(self.pod_cidr).hosts()))

    def check(self) -> list[str]:
        """Return a sentence for each thing that cannot work."""
        found = []
        if not 0 < len(self.bridge) <= BRIDGE_NAME_MAX or "/" in self.bridge:
            found.append(f"{self.bridge!r} is no name for a bridge (1 to 15 characters, no slash).")
        for name, text in (("pod", self.pod_cidr), ("cluster", self.cluster_cidr)):
            try:
                ipaddress.IPv4Network(text)
            except ValueError as error:
                found.append(f"The {name} network {text!r} cannot be used: {error}.")
        for name, text in (("pod", self.pod_cidr6), ("cluster", self.cluster_cidr6)):
            try:
                ipaddress.IPv6Network(text or "::")
            except ValueError as error:
                found.append(f"The {name} network {text!r} cannot be used: {error}.")
        return found
