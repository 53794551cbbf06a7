"""Everything that can be chosen about a kubelet, as one frozen value.

In:   flags and files, read by cmd/.
Out:  KubeletConfig, checked.
By:   the agent and its parts.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class KubeletConfig:
    """How one node agent behaves.

    Attributes:
        node_name: the name of its Node.
        data_dir: volumes, logs and everything else it keeps are below.
        runtime_endpoint: the CRI socket, `unix:///…`.
        cluster_dns: addresses of the cluster's DNS, for pods' resolv.conf; () for the node's own.
        cluster_domain: the domain of services.
        pod_cidr: the addresses of pods on this node; "" when a controller gives them out.
        node_ip: the node's address, or one of each family with a comma; "" to take that of the
            default route.
        bind_address: where the kubelet's own server listens.
        port: its port; 0 takes any free one.
        tls_cert: certificate of the server, PEM.
        tls_key: its key, PEM.
        client_ca: certificates of who may sign clients of the server, PEM.
        allowed_clients: common names which may use the server, besides group system:masters.
        labels: put on the Node.
        taints: put on the Node when it is first registered, as `key=value:Effect`.
        max_pods: more are refused.
        cgroup_driver: `cgroupfs` or `systemd`; the same as the runtime's.
        cgroup_root: the pods' cgroups are below; absolute. "" for one which no other data directory
            has: two kubelets on a machine would take each other's pods for orphans.
        resolv_conf: the node's resolver configuration.
        reserved: CPU, memory and so on kept from pods, as quantities by resource name.
        status_interval: seconds between reports of an unchanged node status.
        lease_seconds: how long the node counts as alive after a heartbeat.
        relist_interval: seconds between looks at everything, should an event have been lost.
        shutdown_grace: seconds pods have to end before the machine shuts down; 0 for none.
        shutdown_grace_critical: how many of these are for critical pods alone, after the others.
        shutdown_by_priority: instead of both: pairs of a priority and the seconds that pods of this
            priority and above have.
        log_max_bytes: size at which a container's log is rotated.
        log_max_files: how many logs of a container are kept, the current one included.
        parallel_starts: how many pods are started at the same time.
        parallel_pulls: how many images are pulled at the same time.
    """

    node_name: str
    data_dir: Path
    runtime_endpoint: str
    cluster_dns: tuple[str, ...] = ("10.96.0.10",)
    cluster_domain: str = "cluster.local"
    pod_cidr: str = "10.244.0.0/24"
    node_ip: str = ""
    bind_address: str = "0.0.0.0"  # noqa: S104 - the API server reaches it on the node's address
    port: int = 10250
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    allowed_clients: tuple[str, ...] = ("kube-apiserver-kubelet-client", "kube-apiserver")
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    max_pods: int = 110
    cgroup_driver: str = "cgroupfs"
    cgroup_root: str = ""
    resolv_conf: Path = Path("/etc/resolv.conf")
    reserved: Mapping[str, str] = field(default_factory=dict)
    status_interval: float = 300.0
    lease_seconds: int = 40
    relist_interval: float = 60.0
    shutdown_grace: float = 0.0
    shutdown_grace_critical: float = 0.0
    shutdown_by_priority: tuple[tuple[int, int], ...] = ()
    log_max_bytes: int = 10 << 20
    log_max_files: int = 5
    parallel_starts: int = 8
    parallel_pulls: int = 4

    @property
    def pods_cgroup(self) -> str:
        """The cgroup of all pods."""
        if self.cgroup_root:
            return self.cgroup_root
        digest = hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:8]
        return f"/kubepods-{digest}"

    @property
    def pods_dir(self) -> Path:
        """One directory per pod, by uid."""
        return self.data_dir / "kubelet" / "pods"

    @property
    def allotments_dir(self) -> Path:
        """What each pod was given of the node, by uid."""
        return self.data_dir / "kubelet" / "allotments"

    @property
    def local_volumes_dir(self) -> Path:
        """The volumes of the class local-path."""
        return self.data_dir / "volumes"

    @property
    def node_ips(self) -> tuple[str, ...]:
        """The node's addresses, as far as they were chosen."""
        return tuple(filter(None, self.node_ip.split(",")))

    @property
    def logs_dir(self) -> Path:
        """One directory of container logs per pod."""
        return self.data_dir / "logs" / "pods"

    def check(self) -> list[str]:
        """Return a sentence for each thing that cannot work."""
        found = []
        if not self.node_name:
            found.append("The node needs a name.")
        if not self.data_dir.is_absolute():
            found.append(f"The data directory {self.data_dir} is not an absolute path.")
        if self.cgroup_driver not in ("cgroupfs", "systemd"):
            found.append(f"There is no cgroup driver {self.cgroup_driver!r}: cgroupfs or systemd.")
        if not self.pods_cgroup.startswith("/"):
            found.append(f"The cgroup root {self.cgroup_root!r} does not begin with a slash.")
        if bool(self.tls_cert) != bool(self.tls_key):
            found.append("A TLS certificate needs its key, and a key its certificate.")
        found += self._shutdown_problems()
        if self.log_max_files < 2:
            found.append("At least two log files per container are needed to rotate.")
        for address in (*self.cluster_dns, *self.node_ips):
            if not _is_address(address):
                found.append(f"{address!r} is not an IP address.")
        if self.pod_cidr and not _is_network(self.pod_cidr):
            found.append(f"{self.pod_cidr!r} is not a network such as 10.244.0.0/24.")
        return found

    def _shutdown_problems(self) -> list[str]:
        """Return what is wrong with the time pods have before a shutdown."""
        found = []
        for name in ("shutdown_grace", "shutdown_grace_critical"):
            if not (getattr(self, name) == 0 or getattr(self, name) >= 1):
                option = name.replace("shutdown_grace", "shutdown-grace-period")
                option = option.replace("_critical", "-critical-pods")
                found.append(f"--{option} must be either zero or otherwise >= 1 sec.")
        if self.shutdown_grace_critical > self.shutdown_grace:
            found.append(
                "--shutdown-grace-period-critical-pods must be <= --shutdown-grace-period."
            )
        if self.shutdown_grace and self.shutdown_by_priority:
            found.append("Shutdown periods are given as a whole or by priority, not both.")
        return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
