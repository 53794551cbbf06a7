"""`kybern proxy`: the node's proxy alone, against any API server.

In:   flags with upstream's names, a kubeconfig.
Out:  Services as nftables maps; they stay when the proxy ends, until `--cleanup` removes them.
By:   the command line; whoever swaps one part of a cluster.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from kybern.cmd import flags
from kybern.cmd.process import Fatal, run

if TYPE_CHECKING:
    from argparse import Namespace


def main() -> None:
    """Run a proxy."""
    args = parse()
    run(lambda: clean_up(args) if args.cleanup else proxy(args), "proxy")


def parse(words: list[str] | None = None) -> Namespace:
    """Read the flags."""
    parser = flags.Parser("proxy", "Let Services through to their endpoints.")
    flags.add_client(parser)
    option = parser.option
    option(
        "--proxy-mode",
        "nftables is what there is",
        type=flags.among("nftables"),
        default="nftables",
    )
    option("--hostname-override", "name of this Node, instead of the machine's", default="")
    option(
        "--cluster-cidr",
        "network of the pods; traffic to Services from elsewhere is masqueraded",
        type=flags.network,
        default="10.244.0.0/16",
    )
    option(
        "--service-cluster-ip-range",
        "network of the ClusterIPs",
        type=flags.network,
        default="10.96.0.0/16",
    )
    option("--table", "name of the nftables table", default="kybern")
    option(
        "--healthz-bind-address",
        "where health is served",
        type=flags.endpoint,
        default=("", 10256),
        metavar="ADDRESS:PORT",
    )
    option(
        "--metrics-bind-address",
        "where metrics are served",
        type=flags.endpoint,
        default=("127.0.0.1", 10249),
        metavar="ADDRESS:PORT",
    )
    parser.switch("--cleanup", "remove all rules and end", default=False)
    parser.refuse("--config", "use the flags")
    return parser.parse_args(words)


async def proxy(args: Namespace) -> None:
    """Follow the cluster until cancelled."""
    from kybern.client.informer import Informers
    from kybern.client.rest import Client
    from kybern.client.tls import TlsTransport
    from kybern.cmd.serving import Window, open_window
    from kybern.lib.clock import SYSTEM
    from kybern.lib.tasks import Tasks
    from kybern.proxy import nft
    from kybern.proxy.sync import Proxy, ProxyConfig

    flags.configure_logs(args)
    _check_root()
    config = ProxyConfig(
        node_name=(args.hostname_override or os.uname().nodename).lower(),
        table=args.table,
        cluster_cidr=args.cluster_cidr,
        service_cidr=args.service_cluster_ip_range,
    )
    client = Client(TlsTransport(flags.client_config(args)), SYSTEM, user_agent="kube-proxy")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.transport.close)
        tasks = await stack.enter_async_context(Tasks("proxy", clock=SYSTEM))
        part = Proxy(config, Informers(client, tasks))
        window = Window(part.synced.is_set)
        for flag in ("--healthz-bind-address", "--metrics-bind-address"):
            host, port = getattr(args, flag[2:].replace("-", "_"))
            if port:
                server = await open_window(window, host, port, flag)
                stack.push_async_callback(server.close, 0.1)
        try:
            await part.run()
        except nft.MissingError as error:
            raise Fatal(str(error)) from None


async def clean_up(args: Namespace) -> None:
    """Remove the rules."""
    from kybern.proxy import nft, sync

    _check_root()
    try:
        await sync.clean_up(args.table)
    except nft.NftError as error:
        raise Fatal(f"the table {args.table} could not be removed: {error}") from None


def _check_root() -> None:
    if os.geteuid() != 0:
        raise Fatal("a proxy needs root, for packet filtering: run it with sudo.")


if __name__ == "__main__":
    main()
