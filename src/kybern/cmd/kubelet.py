"""`kybern kubelet`: the node agent alone, against any API server and any CRI runtime.

In:   flags with upstream's names, a kubeconfig, a runtime that is running.
Out:  a node that runs its pods; containers go on running without it.
By:   the command line; whoever swaps one part of a cluster.

The pod network is the runtime's business, as it is with upstream's kubelet: configure CNI there.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.cmd import flags
from kybern.cmd.process import Fatal, run
from kybern.kubelet.config import KubeletConfig

if TYPE_CHECKING:
    from argparse import Namespace

    from kybern.kubelet.runtime.cri import CriRuntime

ROOT = Path("/var/lib/kubelet")  # upstream's places
RUNTIME = "unix:///run/containerd/containerd.sock"
ANYWHERE = "0.0.0.0"  # noqa: S104 - the API server asks from elsewhere
PATIENCE = 20.0  # seconds for a runtime that is just starting


def main() -> None:
    """Run a kubelet."""
    args = parse()
    run(lambda: kubelet(args), "kubelet")


def parse(words: list[str] | None = None) -> Namespace:
    """Read the flags."""
    parser = flags.Parser("kubelet", "Run the pods of one node.")
    flags.add_client(parser)
    _add_node(parser)
    _add_server(parser)
    _add_pods(parser)
    parser.refuse("--config", "use the flags")
    parser.refuse("--bootstrap-kubeconfig", "name a kubeconfig with a certificate: --kubeconfig")
    args = parser.parse_args(words)
    if bool(args.tls_cert_file) != bool(args.tls_private_key_file):
        parser.error("--tls-cert-file and --tls-private-key-file go together")
    parser.check(config_of(args).check())
    return args


def _add_node(parser: flags.Parser) -> None:
    option = parser.option
    option("--hostname-override", "name of the Node, instead of the machine's", default="")
    option("--node-ip", "the node's address, or one of each family", type=flags.addresses)
    parser.listing("--node-labels", "put on the Node: key=value,…", flags.pair, "LABELS")
    parser.listing(
        "--register-with-taints", "put on a new Node: key=value:Effect,…", metavar="TAINTS"
    )
    option(
        "--node-status-report-frequency",
        "time between reports of nothing new",
        type=flags.duration,
        default=300.0,
        metavar="TIME",
    )
    for name, text in (
        ("--shutdown-grace-period", "what pods have before the machine shuts down"),
        ("--shutdown-grace-period-critical-pods", "how much of it is for critical pods alone"),
    ):
        option(name, text, type=flags.duration, default=0.0, metavar="TIME")
    for name in ("--system-reserved", "--kube-reserved"):
        parser.listing(name, "kept from pods: cpu=200m,memory=500Mi", _amount, "AMOUNTS")


def _add_server(parser: flags.Parser) -> None:
    option = parser.option
    option(
        "--address", "where the kubelet's own server listens", type=flags.address, default=ANYWHERE
    )
    option("--port", "its port", type=flags.port, default=10250)
    option("--tls-cert-file", "its certificate; one of its own by default", type=flags.file)
    option("--tls-private-key-file", "the key", type=flags.file)
    option("--client-ca-file", "who signs the API server's certificate", type=flags.file)
    parser.fixed("--anonymous-auth", "anonymous requests get 401", value=False)


def _add_pods(parser: flags.Parser) -> None:
    option = parser.option
    option("--container-runtime-endpoint", "socket of the CRI runtime", default=RUNTIME)
    option("--root-dir", "volumes, logs and the like", type=Path, default=ROOT)
    parser.listing("--cluster-dns", "DNS servers for pods", flags.address, "ADDRESSES")
    option("--cluster-domain", "what names of Services end with", default="cluster.local")
    option(
        "--resolv-conf",
        "the node's resolver configuration",
        type=Path,
        default=Path("/etc/resolv.conf"),
    )
    option(
        "--pod-cidr",
        "the pods' network, where no controller gives one out",
        type=flags.network,
    )
    option("--max-pods", "more are refused", type=int, default=110)
    option("--cgroup-driver", "cgroupfs or systemd, as the runtime's", default="cgroupfs")
    option("--cgroup-root", "the pods' cgroups are below", default="/kubepods")
    option(
        "--container-log-max-size",
        "when a container's log is rotated",
        type=flags.size,
        default=10 << 20,
    )
    option("--container-log-max-files", "how many are kept", type=int, default=5)


def config_of(args: Namespace) -> KubeletConfig:
    """Return the kubelet's settings; the certificate is found later."""
    return KubeletConfig(
        node_name=(args.hostname_override or os.uname().nodename).lower(),
        data_dir=args.root_dir,
        runtime_endpoint=args.container_runtime_endpoint,
        cluster_dns=flags.words(args.cluster_dns, ()),
        cluster_domain=args.cluster_domain,
        pod_cidr=args.pod_cidr or "",
        node_ip=args.node_ip or "",
        bind_address=args.address,
        port=args.port,
        tls_cert=args.tls_cert_file,
        tls_key=args.tls_private_key_file,
        client_ca=args.client_ca_file,
        labels=dict(args.node_labels or ()),
        taints=flags.words(args.register_with_taints, ()),
        max_pods=args.max_pods,
        cgroup_driver=args.cgroup_driver,
        cgroup_root=args.cgroup_root,
        resolv_conf=args.resolv_conf,
        reserved=_reserved(args.system_reserved or [], args.kube_reserved or []),
        status_interval=args.node_status_report_frequency,
        log_max_bytes=args.container_log_max_size,
        log_max_files=args.container_log_max_files,
        shutdown_grace=args.shutdown_grace_period,
        shutdown_grace_critical=args.shutdown_grace_period_critical_pods,
    )


def _amount(text: str) -> tuple[str, str]:
    from kybern.api import quantity

    name, amount = flags.pair(text)
    try:
        quantity.parse(amount)
    except ValueError:
        raise flags.wrong(f"{amount!r} is not an amount such as 200m or 500Mi") from None
    return name, amount


def _reserved(*amounts: list[tuple[str, str]]) -> dict[str, str]:
    """Add up what is kept for the system and for Kubernetes."""
    from kybern.api import quantity

    total: dict[str, str] = {}
    for name, amount in (pair for pairs in amounts for pair in pairs):
        total[name] = quantity.add(total[name], amount) if name in total else amount
    return total


async def kubelet(args: Namespace) -> None:
    """Run pods until cancelled."""
    from dataclasses import replace

    from kybern.client.rest import Client
    from kybern.client.tls import TlsTransport
    from kybern.cmd.containerd import cgroup_version
    from kybern.cmd.serving import cannot_listen, keep_own
    from kybern.kubelet.agent import Kubelet
    from kybern.kubelet.runtime.cri import CriRuntime
    from kybern.lib.clock import SYSTEM

    flags.configure_logs(args)
    if os.geteuid() != 0:
        raise Fatal("a kubelet needs root, for containers and mounts: run it with sudo.")
    config = config_of(args)
    client = Client(TlsTransport(flags.client_config(args)), SYSTEM, user_agent="kubelet")
    if config.tls_cert is None:
        names, addresses = (config.node_name,), tuple({*config.node_ips, "127.0.0.1"})
        certificate, key = keep_own(names, addresses, config.data_dir / "pki", "kubelet")
        config = replace(config, tls_cert=certificate, tls_key=key)
    runtime = CriRuntime(config.runtime_endpoint, SYSTEM)
    try:
        await _wait_runtime(runtime)
        agent = Kubelet(config, client, runtime, SYSTEM, cgroup_version=cgroup_version())
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, agent.shut_down)
        await agent.run()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            raise
        raise Fatal(cannot_listen(config.bind_address, config.port, error, "--port")) from None
    finally:
        await runtime.close()
        await client.transport.close()


async def _wait_runtime(runtime: CriRuntime) -> None:
    from kybern.kubelet.runtime.interface import RuntimeFailure

    try:
        async with asyncio.timeout(PATIENCE):
            await runtime.version()
    except (TimeoutError, RuntimeFailure) as error:
        raise Fatal(
            f"the container runtime at {runtime.endpoint} does not answer"
            f"{f' ({error})' if str(error) else ''}: start it, or name another socket with "
            "--container-runtime-endpoint."
        ) from None


if __name__ == "__main__":
    main()
