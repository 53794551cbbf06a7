"""What a DNS server is told when it is made.

In:   values from flags or from the composition.
Out:  one frozen `DnsConfig`; `check` says what is wrong with it.
By:   cmd makes it, server reads it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.dns import wire
from kybern.dns.listen import Address
from kybern.dns.upstreams import stub_domains

if TYPE_CHECKING:
    from kybern.dns.upstreams import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig:
    """How one server serves.

    Attributes:
        domain: the cluster domain.
        listen: where to listen, each for UDP and TCP; port 0 takes a free one.
        cluster_ips: where clients find the server, when that is not where it listens; named in
            the zone's own records, and never used as an upstream.
        resolv_conf: the file that names the upstream servers.
        upstreams: upstream servers; given, the file is not read.
        stub_domains: domains that have servers of their own, such as `("corp", ("10.0.0.1",))`.
        config_map: `namespace/name` of the ConfigMap that says more about both; "" for none.
        ttl: seconds a client may keep an answer about the cluster.
        keep: seconds an upstream answer is kept, at most.
        max_waiting: how many queries may wait for upstream servers; further ones are refused.
    """

    domain: str = "cluster.local"
    listen: tuple[Address, ...] = (Address("127.0.0.1", 53),)
    cluster_ips: tuple[str, ...] = ()
    resolv_conf: str = "/etc/resolv.conf"
    upstreams: tuple[Server, ...] = ()
    stub_domains: tuple[tuple[str, tuple[str, ...]], ...] = ()
    config_map: str = "kube-system/kybern-dns"
    ttl: int = 5
    keep: int = 30
    max_waiting: int = 1000

    def check(self) -> list[str]:
        """Return what is wrong, each as a sentence; nothing when all is well."""
        problems: list[str] = []
        try:
            wire.encode_name(self.domain)
        except ValueError:
            problems.append(f"domain is not a DNS name: {self.domain!r}")
        if not self.listen:
            problems.append("listen names no address")
        hosts = (*(each.host for each in self.listen), *self.cluster_ips)
        for host in (*hosts, *(each.host.split("%")[0] for each in self.upstreams)):
            try:
                ipaddress.ip_address(host)
            except ValueError:
                problems.append(f"not an IP address: {host!r}")
        ports = (*(each.port for each in self.listen), *(each.port for each in self.upstreams))
        problems.extend(f"not a port: {port}" for port in ports if not 0 <= port < 65536)
        try:
            stub_domains(self.stub_domains)
        except ValueError as error:
            problems.append(f"stub_domains: {error}")
        if self.config_map and self.config_map.count("/") != 1:
            problems.append(f"config_map is not namespace/name: {self.config_map!r}")
        if self.ttl < 0 or self.keep < 0:
            problems.append("ttl and keep cannot be negative")
        if self.max_waiting < 1:
            problems.append("max_waiting must be at least 1")
        return problems
