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

ANYWHERE = ("", "0.0.0.0")  # noqa: S104 - what a pod says for "on every address"
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
    def is_on_loopback(self) -> bool:
        """Whether 127.0.0.1 leads there."""
        return self.host_ip in ANYWHERE or self.host_ip.startswith("127.")


def table(config: NetworkConfig, ports: Iterable[HostPort] = ()) -> str:
    """Return a script which makes the table anew, with these host ports."""
    name, cluster = config.table, config.cluster_cidr
    key = "meta l4proto . th dport"
    mark = f"meta l4proto {{ tcp, udp, sctp }} ct mark set {MARK} dnat ip to"
    return f"""\
add table ip {name}
delete table ip {name}
table ip {name} {{
  map ports {{
    type inet_proto . inet_service : ipv4_addr . inet_service
  }}
  map address_ports {{
    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
  }}
  chain host_ports {{
    ip daddr . {key} @address_ports_known {mark} ip daddr . {key} map @address_ports
    {key} @ports_known {mark} {key} map @ports
  }}
  set ports_known {{
    type inet_proto . inet_service
  }}
  set address_ports_known {{
    type ipv4_addr . inet_proto . inet_service
  }}
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
""" + add_ports(config, ports)


def add_ports(config: NetworkConfig, ports: Iterable[HostPort]) -> str:
    """Return a script which opens host ports."""
    return "".join(_elements(config, "add", port) for port in ports)


def remove_ports(config: NetworkConfig, ports: Iterable[HostPort]) -> str:
    """Return a script which closes host ports."""
    return "".join(_elements(config, "delete", port) for port in ports)


def remove_table(config: NetworkConfig) -> str:
    """Return a script which leaves nothing behind."""
    return no_table("ip", config.table)


def no_table(family: str, name: str) -> str:
    """Return a script after which there is no such table, whether or not there was one."""
    return f"add table {family} {name}\ndelete table {family} {name}\n"


def _elements(config: NetworkConfig, verb: str, port: HostPort) -> str:
    if port.host_ip in ANYWHERE:
        where, key = "ports", f"{port.protocol} . {port.port}"
    else:
        where, key = "address_ports", f"{port.host_ip} . {port.protocol} . {port.port}"
    value = f" : {port.pod_ip} . {port.pod_port}"
    return (
        f"{verb} element ip {config.table} {where} {{ {key}{value} }}\n"
        f"{verb} element ip {config.table} {where}_known {{ {key} }}\n"
    )
