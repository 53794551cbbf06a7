"""Our table before the first Service: maps, hooks, and what is the same for all.

In:   the name of the table, the networks of pods and Services, addresses that serve node ports.
Out:  a script for `nft -f`, of the family that the networks are of.
By:   sync.py. Pure.

    prerouting, output ─► services ─┬─ ip . proto . port  in services    ─► one of the chains below
                                    └─ own address, proto . port in node_ports ─► the same
    pick-3 ─► dnat to (ip . port . lot of 3) in tcp-endpoints
    marked-3 ─► to-masquerade ─► pick-3          for what comes from outside
    postrouting ─► masquerade what is marked, and what a pod sends to itself through a Service
    before both ─► ip . proto . port in firewall ─► who may not come in is dropped
    input, forward, output ─► ip . proto . port in no_endpoints ─► reject or drop

The chains `pick-N` are shared by all Services with N endpoints, so that an ordinary Service is
elements of maps and nothing else: it comes, changes and goes in a time that does not depend on how
many there are, and a lookup costs the same for ten and for ten thousand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.proxy.family import IPV4, Family, family_of

if TYPE_CHECKING:
    from collections.abc import Iterable

MARK = 0x4000  # as upstream: bit 14 says "masquerade this packet"
PORT = "meta l4proto . th dport"
LOT = "numgen random mod"
PROTOCOLS = ("tcp", "udp", "sctp")


def base(
    table: str,
    cluster_cidr: str,
    service_cidr: str,
    node_ports_on: Iterable[str] | None = None,
    *,
    clearing: str = "",
) -> str:
    """Return the script that makes our table from nothing, whatever is there.

    Args:
        table: its name.
        cluster_cidr: the network of the pods.
        service_cidr: the network of the ClusterIPs.
        node_ports_on: networks whose addresses serve node ports; all by default.
        clearing: what empties a table that is there; else it is deleted.
    """
    family = family_of(cluster_cidr)
    ip, addr = family.table, family.type
    where = ", ".join((family.everywhere,) if node_ports_on is None else node_ports_on)
    elements = f"elements = {{ {where} }}" if where else ""
    own = f"fib daddr type local {ip} daddr != {family.loopback} {ip} daddr @node_addresses"
    key = f"{ip} daddr . {PORT}"
    # adding before deleting makes the deletion succeed when there was no table
    return f"""\
add table {ip} {table}
{clearing or f"delete table {ip} {table}"}
table {ip} {table} {{
  map services {{ type {addr} . inet_proto . inet_service : verdict; }}
  map node_ports {{ type inet_proto . inet_service : verdict; }}
{_endpoints(family)}
  map firewall {{ type {addr} . inet_proto . inet_service : verdict; }}
  map no_endpoints {{ type {addr} . inet_proto . inet_service : verdict; }}
  map no_endpoint_node_ports {{ type inet_proto . inet_service : verdict; }}
  set hairpin {{ type {addr} . {addr}; }}
  set cluster_addresses {{ type {addr}; }}
  set node_addresses {{ type {addr}; flags interval; auto-merge; {elements} }}
  chain to-masquerade {{
    meta mark set meta mark or {MARK:#x}
  }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with {family.refusal} type port-unreachable
  }}
  chain services {{
    {ip} daddr {service_cidr} {ip} saddr != {cluster_cidr} jump to-masquerade
    {key} vmap @services
    {own} {PORT} vmap @node_ports
  }}
  chain unserved {{
    {key} vmap @no_endpoints
    {ip} daddr @cluster_addresses goto refuse
  }}
  chain nat-prerouting {{
    type nat hook prerouting priority -100; policy accept;
    jump services
  }}
  chain nat-output {{
    type nat hook output priority -100; policy accept;
    jump services
  }}
  chain nat-postrouting {{
    type nat hook postrouting priority 100; policy accept;
    meta mark & {MARK:#x} == {MARK:#x} meta mark set meta mark xor {MARK:#x} masquerade fully-random
    {ip} saddr . {ip} daddr @hairpin masquerade
  }}
  chain firewall-prerouting {{
    type filter hook prerouting priority -110; policy accept;
    ct state new {key} vmap @firewall
  }}
  chain firewall-output {{
    type filter hook output priority -110; policy accept;
    ct state new {key} vmap @firewall
  }}
  chain filter-input {{
    type filter hook input priority 0; policy accept;
    ct state new {own} {PORT} vmap @no_endpoint_node_ports
    ct state new jump unserved
  }}
  chain filter-forward {{
    type filter hook forward priority 0; policy accept;
    ct state new jump unserved
  }}
  chain filter-output {{
    type filter hook output priority 0; policy accept;
    ct state new jump unserved
  }}
}}
"""


def pick(table: str, count: int, family: Family = IPV4) -> str:
    """Return the script that makes the chains for Services with `count` endpoints.

    Each tries twice: while a transaction comes into force, a packet may have been sent here by the
    old state and find the new one, in which the last endpoint is gone. The first is there.
    """
    return f"""\
table {family.table} {table} {{
  chain pick-{count} {{
    {_by_lot("", f"{family.table} daddr . ", count)}
  }}
  chain node-pick-{count} {{
    {_by_lot("node-", "", count)}
  }}
  chain marked-{count} {{
    jump to-masquerade
    goto pick-{count}
  }}
  chain node-marked-{count} {{
    jump to-masquerade
    goto node-pick-{count}
  }}
}}
"""


def _endpoints(family: Family) -> str:
    """Return the maps of endpoints: one for each protocol, as nft knows `typeof` of one only."""
    address = f"{family.table} daddr"
    return "\n".join(
        f"  map {p}-{kind}endpoints {{ typeof {key}{p} dport . {LOT} 2 : {address} . {p} dport; }}"
        for p in PROTOCOLS
        for kind, key in (("", f"{address} . "), ("node-", ""))
    )


def _by_lot(kind: str, key: str, count: int) -> str:
    """Return the rules that pick one of `count` endpoints."""
    return "\n    ".join(
        f"dnat to {key}{protocol} dport . {LOT} {n} map @{protocol}-{kind}endpoints"
        for n in (count, 1)
        for protocol in PROTOCOLS
    )


def node_addresses(table: str, addresses: Iterable[str], family: Family = IPV4) -> str:
    """Return the script that says which of the node's addresses serve node ports."""
    named = f"{family.table} {table} node_addresses"
    where = ", ".join(addresses)
    return f"flush set {named}\n" + (f"add element {named} {{ {where} }}\n" if where else "")


def remove(table: str, family: Family = IPV4) -> str:
    """Return the script that leaves nothing of ours."""
    return f"add table {family.table} {table}\ndelete table {family.table} {table}\n"
