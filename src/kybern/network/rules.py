"""The packet filter table of a node's pod network.

In:   NetworkConfig; which ports of the node lead into which pods.
Out:  scripts for `nft -f`.
By:   filter.py. Pure.

Pods leave the cluster with the node's address. A host port is one element of a map, so adding a pod
is one short transaction, whatever the number of pods. What comes from loopback addresses to a host
port may leave on the bridge (`filter.py`); nothing that bears one comes in from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.network.config import NetworkConfig

ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - what a pod says for "on every address"
LOOPBACK = "127.0.0.0/8"
# Marks connections through a host port, so that the answer finds its way back on the bridge.
MARK = "0x6b79"


class HostPort(NamedTuple):
    """A port of the node which leads into a pod."""

    protocol: str  # tcp, udp, sctp
    port: int
    host_ip: str
    pod_ip: str
    pod_port: int

    @property
    def family(self) -> str:
        """The family of tables that it belongs into."""
        return "ip6" if ":" in self.pod_ip else "ip"

    @property
    def door(self) -> tuple[str, str, int, str]:
        """What no two pods can have."""
        address = "" if self.host_ip in ANYWHERE else self.host_ip
        return self.family, self.protocol, self.port, address

    @property
    def is_on_loopback(self) -> bool:
        """Whether 127.0.0.1 leads there."""
        everywhere = self.host_ip in ANYWHERE and self.family == "ip"
        return everywhere or self.host_ip.startswith("127.")


def table(config: NetworkConfig, ports: Iterable[HostPort] = ()) -> str:
    """Return a script which makes the tables anew, with these host ports."""
    script = _table4(config) + (_table6(config) if config.cluster_cidr6 else "")
    return script + add_ports(config, ports)


def _host_ports(family: str) -> str:
    """Return what leads ports of the node into pods, as text within a table."""
    kind, key = f"ipv{'6' if family == 'ip6' else '4'}_addr", "meta l4proto . th dport"
    mark = f"meta l4proto {{ tcp, udp, sctp }} ct mark set {MARK} dnat {family} to"
    here = f"{family} daddr . {key}"
    return f"""\
  map ports {{
    type inet_proto . inet_service : {kind} . inet_service
  }}
  map address_ports {{
    type {kind} . inet_proto . inet_service : {kind} . inet_service
  }}
  chain host_ports {{
    {here} @address_ports_known {mark} {here} map @address_ports
    {key} @ports_known {mark} {key} map @ports
  }}
  set ports_known {{
    type inet_proto . inet_service
  }}
  set address_ports_known {{
    type {kind} . inet_proto . inet_service
  }}
"""


def _table4(config: NetworkConfig) -> str:
    name, cluster = config.table, config.cluster_cidr
    return f"""\
{no_table("ip", name)}\
table ip {name} {{
{_host_ports("ip")}\
  chain loopback {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{config.bridge}" ip daddr {LOOPBACK} drop
    iifname "{config.bridge}" ip saddr {LOOPBACK} drop
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump host_ports
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local jump host_ports
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ct mark {MARK} ip saddr {{ {cluster}, {LOOPBACK} }} oifname "{config.bridge}" masquerade
    ip saddr {cluster} ip daddr != {{ {cluster}, 224.0.0.0/4 }} masquerade
  }}
}}
"""


def _table6(config: NetworkConfig) -> str:
    """Return the table of IPv6, where no host port can be had at the loopback address."""
    name, cluster = config.table, config.cluster_cidr6
    return f"""\
{no_table("ip6", name)}\
table ip6 {name} {{
{_host_ports("ip6")}\
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump host_ports
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local ip6 daddr != ::1 jump host_ports
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ct mark {MARK} ip6 saddr {cluster} oifname "{config.bridge}" masquerade
    ip6 saddr {cluster} ip6 daddr != {{ {cluster}, ff00::/8 }} masquerade
  }}
}}
"""


def add_ports(config: NetworkConfig, ports: Iterable[HostPort]) -> str:
    """Return a script which opens host ports."""
    return "".join(_elements(config, "add", port) for port in ports)


def remove_ports(config: NetworkConfig, ports: Iterable[HostPort]) -> str:
    """Return a script which closes host ports."""
    return "".join(_elements(config, "delete", port) for port in ports)


def remove_table(config: NetworkConfig) -> str:
    """Return a script which leaves nothing behind."""
    six = no_table("ip6", config.table) if config.cluster_cidr6 else ""
    return no_table("ip", config.table) + six


def no_table(family: str, name: str) -> str:
    """Return a script after which there is no such table, whether or not there was one."""
    return f"add table {family} {name}\ndelete table {family} {name}\n"


def _elements(config: NetworkConfig, verb: str, port: HostPort) -> str:
    if port.host_ip in ANYWHERE:
        where, key = "ports", f"{port.protocol} . {port.port}"
    else:
        where, key = "address_ports", f"{port.host_ip} . {port.protocol} . {port.port}"
    value, table_ = f" : {port.pod_ip} . {port.pod_port}", f"{port.family} {config.table}"
    return (
        f"{verb} element {table_} {where} {{ {key}{value} }}\n"
        f"{verb} element {table_} {where}_known {{ {key} }}\n"
    )
