"""`kybern controller-manager`: the controllers alone, against any API server.

In:   flags with upstream's names, a kubeconfig.
Out:  the cluster is brought to what is asked for; health and metrics over HTTPS.
By:   the command line; whoever swaps one part of a cluster.

Every controller writes as its own service account, unless `--use-service-account-credentials` is
false: then all of them write as whom the kubeconfig names, who needs the rights of all.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from kybern.cmd import election, flags, signing
from kybern.cmd.process import Fatal, run
from kybern.controllers.runtime.host import ControllersConfig

if TYPE_CHECKING:
    from argparse import Namespace

    from kybern.client.config import ClientConfig
    from kybern.client.rest import Client

PORT = 10257
AGENT = "kube-controller-manager"


def main() -> None:
    """Run the controllers."""
    args = parse()
    run(lambda: controller_manager(args), "controller-manager")


def parse(words: list[str] | None = None) -> Namespace:
    """Read the flags."""
    from kybern.controllers import all as controllers

    parser = flags.Parser("controller-manager", "Bring the cluster to what is asked for.")
    flags.add_client(parser)
    flags.add_window(parser, PORT)
    election.add_flags(parser, AGENT)
    parser.listing(
        "--controllers",
        "* for those on by default, NAME for one more, -NAME for one less; "
        f"there are {', '.join(one.name for one in controllers.ALL)}",
    )
    parser.option(
        "--root-ca-file",
        "goes into kube-root-ca.crt; the kubeconfig's authority by default",
        type=flags.file,
    )
    parser.switch(
        "--use-service-account-credentials", "each controller is a user of its own", default=True
    )
    parser.option(
        "--service-account-private-key-file",
        "signs tokens that are asked for with a Secret; without it there are none",
        type=flags.file,
    )
    parser.option(
        "--legacy-service-account-token-clean-up-period",
        "after which time such a token that nobody uses goes",
        type=flags.duration,
        default=365 * 86400.0,
        metavar="TIME",
    )
    _add_node_flags(parser)
    signing.add_flags(parser)
    _add_network_flags(parser)
    parser.option(
        "--terminated-pod-gc-threshold", "how many finished pods may stay", type=int, default=12500
    )
    parser.option(
        "--max-endpoints-per-slice", "addresses in an EndpointSlice", type=int, default=100
    )
    args = parser.parse_args(words)
    parser.check(
        [
            *election.check(args),
            *signing.check(args),
            *config_of(args).check(controllers.names()),
        ]
    )
    return args


def _add_node_flags(parser: flags.Parser) -> None:
    for name, default, text in (
        ("--node-monitor-period", 5.0, "time between two looks at heartbeats"),
        ("--node-monitor-grace-period", 50.0, "how long a node may be silent"),
        ("--node-startup-grace-period", 60.0, "the same for a node that never reported"),
    ):
        parser.option(name, text, type=flags.duration, default=default, metavar="TIME")
    for name, rate, text in (
        ("--node-eviction-rate", 0.1, "nodes per second whose pods are evicted"),
        ("--secondary-node-eviction-rate", 0.01, "the same in an unhealthy zone"),
        ("--unhealthy-zone-threshold", 0.55, "share of dead nodes that makes a zone unhealthy"),
    ):
        parser.option(name, text, type=float, default=rate, metavar="NUMBER")
    parser.option(
        "--large-cluster-size-threshold",
        "smaller zones evict nothing while unhealthy",
        type=int,
        default=50,
    )


def _add_network_flags(parser: flags.Parser) -> None:
    parser.switch("--allocate-node-cidrs", "nodes get parts of the pods' network", default=False)
    parser.listing("--cluster-cidr", "network of all pods; one per family", flags.network)
    parser.listing("--service-cluster-ip-range", "no node gets these", flags.network)
    for name, text in (
        ("--node-cidr-mask-size", "length of the mask of a node's part; 24, and 64 for IPv6"),
        ("--node-cidr-mask-size-ipv4", "the same, where there are both families"),
        ("--node-cidr-mask-size-ipv6", "the same, where there are both families"),
    ):
        parser.option(name, text, type=int, default=0)


def config_of(args: Namespace) -> ControllersConfig:
    """Return the controllers' settings; the authority is added later."""
    return ControllersConfig(
        controllers=flags.words(args.controllers, ("*",)),
        node_monitor_period=args.node_monitor_period,
        node_monitor_grace_period=args.node_monitor_grace_period,
        node_startup_grace_period=args.node_startup_grace_period,
        node_eviction_rate=args.node_eviction_rate,
        secondary_node_eviction_rate=args.secondary_node_eviction_rate,
        unhealthy_zone_threshold=args.unhealthy_zone_threshold,
        large_cluster_size_threshold=args.large_cluster_size_threshold,
        signing_duration=args.cluster_signing_duration,
        legacy_token_clean_up_period=args.legacy_service_account_token_clean_up_period,
        terminated_pod_gc_threshold=args.terminated_pod_gc_threshold,
        max_endpoints_per_slice=args.max_endpoints_per_slice,
        allocate_node_cidrs=args.allocate_node_cidrs,
        cluster_cidrs=flags.words(args.cluster_cidr, ()),
        service_cidrs=flags.words(args.service_cluster_ip_range, ()),
        node_cidr_mask_ipv4=args.node_cidr_mask_size_ipv4 or args.node_cidr_mask_size or 24,
        node_cidr_mask_ipv6=args.node_cidr_mask_size_ipv6 or args.node_cidr_mask_size or 64,
    )


async def controller_manager(args: Namespace) -> None:
    """Run the controllers until cancelled."""
    from kybern.client.rest import Client
    from kybern.client.tls import TlsTransport
    from kybern.cmd.serving import Window, open_tls_window
    from kybern.lib.clock import SYSTEM

    flags.configure_logs(args)
    where = flags.client_config(args)
    client = Client(TlsTransport(where), SYSTEM, user_agent=AGENT)
    leading: list[bool] = []

    async def work() -> None:
        leading.append(True)
        await _run(args, where, client)

    window = Window(lambda: bool(leading), client)
    try:
        async with open_tls_window(args, window, AGENT):
            await election.lead(args, client, work)
    finally:
        await client.transport.close()


async def _run(args: Namespace, where: ClientConfig, client: Client) -> None:
    from dataclasses import replace

    from kybern.client.informer import Informers
    from kybern.cmd.accounts import Accounts
    from kybern.controllers.all import ALL
    from kybern.controllers.runtime.host import Host
    from kybern.lib.tasks import Tasks

    config = replace(
        config_of(args),
        root_ca=_authority(args, where),
        signers=signing.authorities(args),
        service_account_key=_token_key(args),
    )
    accounts = Accounts(client, where, AGENT)
    client_for = accounts.client if args.use_service_account_credentials else lambda _: client
    try:
        async with Tasks("controller manager", clock=client.clock) as tasks:
            informers = Informers(client, tasks)
            rng = random.Random()  # noqa: S311 - jitter
            await Host(ALL, client_for, informers, client.clock, config, rng).run()
    finally:
        await accounts.close()


def _token_key(args: Namespace) -> bytes:
    """Return the key (PEM) that signs tokens in Secrets; b"" for none."""
    from kybern.lib import pki

    path = args.service_account_private_key_file
    if path is None:
        return b""
    try:
        key: bytes = path.read_bytes()
        pki.public_key_of(key)
    except OSError as error:
        raise Fatal(f"cannot read {error.filename}: {error.strerror}.") from None
    except pki.PkiError as error:
        raise Fatal(f"cannot sign with {path}: {error}.") from None
    return key


def _authority(args: Namespace, where: ClientConfig) -> str:
    """Return the PEM with which pods trust the API server."""
    try:
        pem = args.root_ca_file.read_bytes() if args.root_ca_file else where.ca
        return str(pem.decode("ascii"))
    except OSError as error:
        raise Fatal(f"cannot read {error.filename}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Fatal(f"{args.root_ca_file or 'the kubeconfig'} holds no PEM certificate.") from None


if __name__ == "__main__":
    main()
