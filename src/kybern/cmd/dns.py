"""`kybern dns`: the DNS server alone, against any API server.

In:   flags, a kubeconfig.
Out:  answers for the cluster's names; the rest is forwarded.
By:   the command line; whoever swaps one part of a cluster.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kybern.cmd import flags
from kybern.cmd.process import Fatal, run
from kybern.dns.config import DnsConfig
from kybern.dns.listen import Address
from kybern.dns.upstreams import Server

if TYPE_CHECKING:
    from argparse import Namespace


def main() -> None:
    """Run a DNS server."""
    args = parse()
    run(lambda: dns(args), "dns")


def parse(words: list[str] | None = None) -> Namespace:
    """Read the flags."""
    parser = flags.Parser("dns", "Answer for the names of Services and pods.")
    flags.add_client(parser)
    option = parser.option
    parser.listing("--bind-address", "where to listen; loopback by default", flags.address)
    option("--port", "where to listen", type=flags.port, default=53)
    option("--cluster-domain", "what names of Services end with", default="cluster.local")
    parser.listing(
        "--cluster-dns", "where pods find this server, if elsewhere", flags.address, "ADDRESSES"
    )
    option(
        "--resolv-conf",
        "names the servers to which the rest is forwarded",
        default="/etc/resolv.conf",
    )
    parser.listing("--upstream", "or these servers: address or address:port", _server, "SERVERS")
    parser.listing(
        "--stub-domain", "a domain that other servers know", _stub, "DOMAIN=SERVER+SERVER"
    )
    option(
        "--config-map",
        "says more about upstream servers and stub domains; empty for none",
        default="kube-system/kybern-dns",
        metavar="NAMESPACE/NAME",
    )
    option("--ttl", "seconds an answer may be kept", type=int, default=5)
    option(
        "--metrics-bind-address",
        "where health and metrics are served; port 0 for nowhere",
        type=flags.endpoint,
        default=("127.0.0.1", 9153),
        metavar="ADDRESS:PORT",
    )
    args = parser.parse_args(words)
    parser.check(config_of(args).check())
    return args


def _server(text: str) -> Server:
    if text.startswith("[") or text.count(":") == 1:
        return Server(*flags.endpoint(text))
    return Server(flags.address(text))


def _stub(text: str) -> tuple[str, tuple[str, ...]]:
    domain, _, servers = text.partition("=")
    return domain, tuple(servers.split("+")) if servers else ()


def config_of(args: Namespace) -> DnsConfig:
    """Return the server's settings."""
    return DnsConfig(
        domain=args.cluster_domain,
        listen=tuple(Address(h, args.port) for h in args.bind_address or ("127.0.0.1",)),
        cluster_ips=flags.words(args.cluster_dns, ()),
        resolv_conf=args.resolv_conf,
        upstreams=tuple(args.upstream or ()),
        stub_domains=tuple(args.stub_domain or ()),
        config_map=args.config_map,
        ttl=args.ttl,
    )


async def dns(args: Namespace) -> None:
    """Serve until cancelled."""
    from kybern.client.rest import Client
    from kybern.client.tls import TlsTransport
    from kybern.cmd.serving import Window, cannot_listen, open_window
    from kybern.dns.server import DnsServer
    from kybern.lib.clock import SYSTEM

    flags.configure_logs(args)
    client = Client(TlsTransport(flags.client_config(args)), SYSTEM, user_agent="kybern-dns")
    part = DnsServer(config_of(args), client)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.transport.close)
        host, port = args.metrics_bind_address
        if port:
            window = Window(part.ready.is_set)
            server = await open_window(window, host, port, "--metrics-bind-address")
            stack.push_async_callback(server.close, 0.1)
        try:
            await part.run()
        except OSError as error:
            hosts = ", ".join(address.host for address in part.config.listen)
            raise Fatal(cannot_listen(hosts, args.port, error, "--port")) from None


if __name__ == "__main__":
    main()
