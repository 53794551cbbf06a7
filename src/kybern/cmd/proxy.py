"""`kybern proxy`: the node's proxy alone, against any API server.

In:   flags with upstream's names, a kubeconfig.
Out:  Services as nftables maps; they stay when the proxy ends, until `--cleanup` removes them.
By:   the command line; whoever swaps one part of a cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING

from kybern.cmd import flags
from kybern.cmd.process import Fatal, run
from kybern.cmd.serving import Window
from kybern.lib.clock import SYSTEM, rfc3339
from kybern.lib.http.messages import Response

if TYPE_CHECKING:
    from argparse import Namespace

    from kybern.lib.http.messages import Request
    from kybern.proxy.sync import Proxy


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
        "who hands packets on; auto is nftables, where it can be used",
        type=flags.among("nftables", "userspace", "auto"),
        default="auto",
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
    parser.listing(
        "--nodeport-addresses",
        "networks of this node's addresses that serve node ports; primary: the node's own",
        _node_port_network,
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


def _node_port_network(text: str) -> str:
    return text if text == "primary" else flags.network(text)


async def proxy(args: Namespace) -> None:
    """Follow the cluster until cancelled."""
    from kybern.client.informer import Informers
    from kybern.client.rest import Client
    from kybern.client.tls import TlsTransport
    from kybern.cmd.serving import open_window
    from kybern.lib.tasks import Tasks
    from kybern.proxy import nft
    from kybern.proxy.sync import Mode, Proxy, ProxyConfig

    flags.configure_logs(args)
    config = ProxyConfig(
        mode=Mode(args.proxy_mode),
        node_name=(args.hostname_override or os.uname().nodename).lower(),
        table=args.table,
        cluster_cidr=args.cluster_cidr,
        service_cidr=args.service_cluster_ip_range,
        node_port_addresses=flags.words(args.nodeport_addresses, ("primary",)),
    )
    client = Client(TlsTransport(flags.client_config(args)), SYSTEM, user_agent="kube-proxy")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.transport.close)
        tasks = await stack.enter_async_context(Tasks("proxy", clock=SYSTEM))
        part = Proxy(config, Informers(client, tasks))
        window = ProxyWindow(part)
        for flag in ("--healthz-bind-address", "--metrics-bind-address"):
            host, port = getattr(args, flag[2:].replace("-", "_"))
            if port:
                server = await open_window(window, host, port, flag)
                stack.push_async_callback(server.close, 0.1)
        try:
            await part.run()
        except nft.NftError as error:
            raise Fatal(str(error)) from None


class ProxyWindow(Window):
    """Health as load balancers of clouds ask for it: /healthz says no on a node about to go."""

    def __init__(self, part: Proxy) -> None:
        super().__init__(part.synced.is_set)
        self._part = part

    async def app(self, request: Request) -> Response:
        """Answer one request."""
        if request.path not in ("/healthz", "/livez"):
            return await super().app(request)
        healthy, eligible = self._part.healthy(), self._part.eligible()
        said: dict[str, str | bool] = {
            "lastUpdated": rfc3339(self._part.last_synced),
            "currentTime": rfc3339(SYSTEM.now()),
        }
        if request.path == "/healthz":
            healthy = healthy and eligible
            said |= {"nodeEligible": eligible}
        body = json.dumps(said).encode()
        headers = (("X-Content-Type-Options", "nosniff"),)
        return Response(200 if healthy else 503, body, "application/json", headers)


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
