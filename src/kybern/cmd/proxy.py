"""`kybern proxy`: the node's proxy alone, against any API server.

In:   flags with upstream's names, a kubeconfig.
Out:  Services as nftables maps; they stay when the proxy ends, until `--cleanup` removes them.
By:   the command line; whoever swaps one part of a cluster.
"""

from __future__ import annotations

import asyncio
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
    from collections.abc import Sequence

    from kybern.lib.http.messages import Request
    from kybern.proxy.sync import Proxy, ProxyConfig


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
        "network of the pods, one per family; traffic to Services from elsewhere is masqueraded",
        type=flags.networks,
        default="10.244.0.0/16",
    )
    option(
        "--service-cluster-ip-range",
        "network of the ClusterIPs; one per family",
        type=flags.networks,
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
    args = parser.parse_args(words)
    pods, services = _by_family(args.cluster_cidr), _by_family(args.service_cluster_ip_range)
    if pods.keys() != services.keys():
        parser.error("--cluster-cidr and --service-cluster-ip-range must be of the same families")
    return args


def _by_family(networks: str) -> dict[bool, str]:
    return {":" in network: network for network in networks.split(",")}


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
    from kybern.proxy.sync import Proxy

    flags.configure_logs(args)
    client = Client(TlsTransport(flags.client_config(args)), SYSTEM, user_agent="kube-proxy")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.transport.close)
        tasks = await stack.enter_async_context(Tasks("proxy", clock=SYSTEM))
        informers = Informers(client, tasks)
        parts = [Proxy(config, informers) for config in configs_of(args)]
        window = ProxyWindow(parts)
        for flag in ("--healthz-bind-address", "--metrics-bind-address"):
            host, port = getattr(args, flag[2:].replace("-", "_"))
            if port:
                server = await open_window(window, host, port, flag)
                stack.push_async_callback(server.close, 0.1)
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(part.run(), name=part.config.family.name)
        except* nft.NftError as errors:
            raise Fatal(str(errors.exceptions[0])) from None


def configs_of(args: Namespace) -> list[ProxyConfig]:
    """Return the settings for each family of addresses."""
    from kybern.proxy.sync import Mode, ProxyConfig

    services = _by_family(args.service_cluster_ip_range)
    return [
        ProxyConfig(
            mode=Mode(args.proxy_mode),
            node_name=(args.hostname_override or os.uname().nodename).lower(),
            table=args.table,
            cluster_cidr=network,
            service_cidr=services[family],
            node_port_addresses=flags.words(args.nodeport_addresses, ("primary",)),
        )
        for family, network in _by_family(args.cluster_cidr).items()
    ]


class ProxyWindow(Window):
    """Health as load balancers of clouds ask for it: /healthz says no on a node about to go."""

    def __init__(self, parts: Sequence[Proxy]) -> None:
        super().__init__(lambda: all(part.synced.is_set() for part in parts))
        self._parts = parts

    async def app(self, request: Request) -> Response:
        """Answer one request."""
        if request.path not in ("/healthz", "/livez"):
            return await super().app(request)
        healthy = all(part.healthy() for part in self._parts)
        eligible = self._parts[0].eligible()
        said: dict[str, str | bool] = {
            "lastUpdated": rfc3339(min(part.last_synced for part in self._parts)),
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
