"""The node of `kybern up`: kubelet, proxy and DNS in one process.

In:   a data directory with settings, certificates and kubeconfigs.
Out:  a node that runs pods, lets Services through and answers for names; each part speaks to the
      API server over TLS, as the user it would be anywhere else.
By:   the supervisor, beside the control plane and containerd, in any order: it waits for both.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.client.config import load_kubeconfig
from kybern.client.informer import Informers
from kybern.client.rest import Client
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.cluster import known_servers, prerequisites
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cmd import cluster_dns, containerd
from kybern.cmd.process import Fatal, run
from kybern.dns.config import DnsConfig
from kybern.dns.listen import Address
from kybern.dns.server import DnsServer
from kybern.ingress.config import IngressConfig
from kybern.ingress.sync import IngressProxy
from kybern.kubelet import images
from kybern.kubelet.agent import Kubelet
from kybern.kubelet.config import KubeletConfig
from kybern.kubelet.image_mounts import ImageMounts
from kybern.kubelet.runtime.cri import CriRuntime
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.clock import SYSTEM
from kybern.lib.tasks import Tasks
from kybern.network.cni import nft_program
from kybern.network.config import NetworkConfig
from kybern.network.filter import NodeFilter
from kybern.network.policy.enforcer import Enforcer
from kybern.network.router import Router
from kybern.proxy.sync import Proxy, ProxyConfig

if TYPE_CHECKING:
    from kybern.client.servers import Servers
    from kybern.cluster.settings import Settings
    from kybern.kubelet.runtime.messages.service import RuntimeStatus

log = logs.get("node")

READING = Backoff(initial=0.01, factor=2.0, cap=5.0)  # the runtime reads what we wrote
WAIT = 0.03  # seconds between questions to a server that is just starting


def main() -> None:
    """Run the node of the cluster in the directory given."""
    directory = Directory(Path(sys.argv[1]))
    try:
        settings = settings_file.load(directory.settings)
    except settings_file.SettingsError as error:
        sys.exit(str(error))
    run(lambda: node(directory, settings), "node")


async def node(directory: Directory, settings: Settings) -> None:
    """Prepare the machine, then run the three parts until told to stop."""
    network = network_config(directory, settings)
    node_filter = NodeFilter(network)
    runtime = CriRuntime(endpoint(directory, settings), SYSTEM)
    servers = known_servers.load(directory, settings.server)
    kubelet_client = client_of(directory, servers, "kubelet-client", "kubelet")
    proxy_client = client_of(directory, servers, "proxy", "kube-proxy")
    try:
        async with Tasks("node", clock=SYSTEM) as tasks:
            informers = Informers(proxy_client, tasks)
            dns = DnsServer(dns_config(settings), proxy_client, informers=informers)
            async with asyncio.TaskGroup() as group:
                group.create_task(node_filter.start(), name="packet filter")
                group.create_task(_prepare_runtime(directory, settings, runtime), name="runtime")
                await _wait_ready(kubelet_client)
                # First of all: pods miss their DNS server sooner than the other parts.
                answering = tasks.spawn_forever(dns.run, "dns")
            known_servers.follow(informers, servers, directory)
            kubelet = Kubelet(
                kubelet_config(directory, settings),
                kubelet_client,
                runtime,
                SYSTEM,
                host_ports=node_filter,
                cgroup_version=containerd.cgroup_version(),
                image_mounts=image_mounts(directory, settings),
            )
            proxies = [Proxy(config, informers) for config in proxy_configs(settings)]
            ingress = IngressProxy(ingress_config(directory, settings), proxy_client, informers)
            router = Router(network, settings.node_name, informers)
            policies = Enforcer(
                network.policy_table,
                settings.node_name,
                nft_program(),
                informers,
                ipv6=settings.dual_stack,
            )
            cluster_dns.publish(
                kubelet_client, informers, tasks, settings.node_name, settings.dns_port
            )
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, kubelet.shut_down)
            tasks.spawn_forever(lambda: _announce(router, runtime, kubelet), "network")
            await asyncio.wait(
                (
                    tasks.spawn(kubelet.run(), name="kubelet"),
                    *(tasks.spawn_forever(proxy.run, "proxy") for proxy in proxies),
                    answering,
                    tasks.spawn_forever(ingress.run, "ingress"),
                    tasks.spawn_forever(router.run, "router"),
                    tasks.spawn_forever(policies.run, "policies"),
                ),
                return_when=asyncio.FIRST_COMPLETED,
            )
            raise Fatal("the kubelet ended; its error is above. It is started again.")
    finally:
        await runtime.close()


def client_of(directory: Directory, servers: Servers, name: str, agent: str) -> Client:
    """Return the API servers, as one of the node's users."""
    config = load_kubeconfig(directory.kubeconfigs / f"{name}.kubeconfig")
    return Client(TlsTransport(config, servers=servers), SYSTEM, user_agent=agent)


def endpoint(directory: Directory, settings: Settings) -> str:
    """Return the CRI socket: ours, or the one that was named."""
    return settings.runtime_endpoint or f"unix://{containerd.socket_of(directory.root)}"


def network_config(directory: Directory, settings: Settings) -> NetworkConfig:
    """Return the node's pod network."""
    plugins = prerequisites.cni_directory()
    if plugins is None:
        raise Fatal("the CNI plugins are missing: install containernetworking-plugins.")
    return NetworkConfig(
        data_dir=directory.root,
        bridge=settings.bridge,
        cluster_cidr=settings.cluster_cidrs[0],
        cluster_cidr6="".join(settings.cluster_cidrs[1:]),
        cni_bin_dir=plugins,
        tunnel_id=int.from_bytes(sha256((directory.pki / "ca.crt").read_bytes()).digest()[:3]),
    )


def kubelet_config(directory: Directory, settings: Settings) -> KubeletConfig:
    """Return the kubelet's settings."""
    pki = directory.pki
    return KubeletConfig(
        node_name=settings.node_name,
        data_dir=directory.root,
        runtime_endpoint=endpoint(directory, settings),
        cluster_dns=(settings.dns_ip,),
        cluster_domain=settings.cluster_domain,
        pod_cidr="",
        node_ip=",".join(filter(None, (settings.node_ip, settings.node_ip6))),
        port=settings.kubelet_port,
        tls_cert=pki / "kubelet.crt",
        tls_key=pki / "kubelet.key",
        client_ca=pki / "ca.crt",
        cgroup_root=settings.cgroup_root,
        lease_seconds=settings.node_lease_seconds,
        shutdown_grace=settings.shutdown_grace,
        shutdown_grace_critical=settings.shutdown_grace_critical,
    )


def proxy_configs(settings: Settings) -> list[ProxyConfig]:
    """Return the settings of the proxy for each family."""
    networks = (settings.cluster_cidrs, settings.service_cidrs, settings.balancer_cidrs)
    return [
        ProxyConfig(
            node_name=settings.node_name,
            table=settings.nft_table,
            cluster_cidr=pods,
            service_cidr=services,
            balancer_cidr="" if settings.node_only else balancers,
        )
        for pods, services, balancers in zip(*networks, strict=False)
    ]


def dns_config(settings: Settings) -> DnsConfig:
    """Return the DNS server's settings."""
    return DnsConfig(
        domain=settings.cluster_domain,
        listen=(Address(settings.node_ip, settings.dns_port),),
        cluster_ips=(settings.dns_ip,),
    )


def ingress_config(directory: Directory, settings: Settings) -> IngressConfig:
    """Return the settings of the node's ingress."""
    return IngressConfig(
        node_name=settings.node_name,
        address=settings.node_ip,
        directory=directory.run / "ingress",
        http_port=settings.ingress_http_port,
        https_port=settings.ingress_https_port,
    )


def image_mounts(directory: Directory, settings: Settings) -> ImageMounts | None:
    """Return who mounts images from our containerd; nobody with another runtime."""
    if settings.runtime_endpoint:
        return None

    @functools.cache
    def snapshotter() -> str:
        return "overlayfs" if containerd.overlay_works(directory.root) else "native"

    socket = containerd.socket_of(directory.root)
    return ImageMounts(socket, prerequisites.find("ctr") or "", snapshotter)


async def _prepare_runtime(directory: Directory, settings: Settings, runtime: CriRuntime) -> None:
    """Wait for containerd, and give it the image that holds a pod's namespaces."""
    await runtime.version()
    if settings.runtime_endpoint or await runtime.image_status(containerd.SANDBOX_IMAGE):
        return
    archive = images.archive(images.pause_recipe(containerd.SANDBOX_IMAGE))
    socket = containerd.socket_of(directory.root)
    try:
        await images.load_bytes(archive, socket, prerequisites.find("ctr") or "")
    except images.ImageError as error:
        raise Fatal(f"the sandbox image could not be loaded: {error}") from None


async def _announce(router: Router, runtime: CriRuntime, kubelet: Kubelet) -> None:
    """Let the kubelet look at once when the runtime has read the network's configuration."""
    await router.configured.wait()
    attempt = 0
    while not _network_ready(await runtime.status()):
        await SYSTEM.sleep(READING.delay(attempt))
        attempt += 1
    kubelet.look_again()


def _network_ready(status: RuntimeStatus) -> bool:
    return any(each.type == "NetworkReady" and each.status for each in status.conditions)


async def _wait_ready(client: Client) -> None:
    """Wait until the API server answers; it starts at the same time as we do."""
    told = False
    while True:
        try:
            await client.raw("GET", "/readyz")
        except Unreachable as error:
            if not told:
                log.info("waiting for the API server", why=str(error))
            told = True
            await SYSTEM.sleep(WAIT)
        else:
            return


if __name__ == "__main__":
    main()
