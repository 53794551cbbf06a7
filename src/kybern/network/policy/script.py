"""From one ruleset to the next.

In:   what the kernel has, what it is to have; the name of the table.
Out:  the text of one transaction for `nft -f`.
By:   policy.enforcer. Pure.

What a change costs depends on what changes: a pod that comes is an element in the sets it belongs
to, and in the map of those that are judged. Nothing is taken away before what replaces it is there,
and a transaction is seen by packets as a whole or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.network.policy.plan import EGRESS, INGRESS, IPV6, NAMED, PODS, Ruleset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kybern.network.policy.peers import Port

MAPS = {INGRESS: "received_by", EGRESS: "sent_by"}
MAPS6 = {INGRESS: "received_by6", EGRESS: "sent_by6"}
SELVES = {False: "itself", True: "itself6"}  # through a Service a pod may always reach itself
PORT = ". inet_proto . inet_service"


def empty_table(table: str, *, ipv6: bool = False) -> str:
    """Return what makes the table anew, with nobody judged."""
    return _table4(table) + (_table6(table) if ipv6 else "")


def _table4(table: str) -> str:
    return f"""\
add table inet {table}
delete table inet {table}
table inet {table} {{
  map {MAPS[EGRESS]} {{ type ipv4_addr : verdict; }}
  map {MAPS[INGRESS]} {{ type ipv4_addr : verdict; }}
  set {SELVES[False]} {{ type ipv4_addr . ipv4_addr; }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    ip saddr . ip daddr @{SELVES[False]} accept
    ip saddr vmap @{MAPS[EGRESS]}
    ip daddr vmap @{MAPS[INGRESS]}
  }}
}}
"""


def _table6(table: str) -> str:
    """Return what is to be added for IPv6. Who is whose neighbour is no traffic to be judged."""
    return f"""\
table inet {table} {{
  map {MAPS6[EGRESS]} {{ type ipv6_addr : verdict; }}
  map {MAPS6[INGRESS]} {{ type ipv6_addr : verdict; }}
  set {SELVES[True]} {{ type ipv6_addr . ipv6_addr; }}
  chain forward {{
    ip6 saddr . ip6 daddr @{SELVES[True]} accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    ip6 saddr vmap @{MAPS6[EGRESS]}
    ip6 daddr vmap @{MAPS6[INGRESS]}
  }}
}}
"""


def changes(table: str, old: Ruleset, new: Ruleset) -> str:
    """Return what makes `new` of `old`; "" when nothing is to be done."""
    return "".join(f"{line}\n" for line in _changes(f"inet {table}", old, new))


def _changes(table: str, old: Ruleset, new: Ruleset) -> Iterator[str]:
    for before, after in (
        (_of_addresses(old), _of_addresses(new)),
        (_of_ports(old), _of_ports(new)),
    ):
        for name in sorted(after.keys() - before.keys()):
            yield f"add set {table} {name} {{ type {_type(name)}; }}"
        for name, elements in sorted(after.items()):
            yield from _elements(table, name, before.get(name, frozenset()), elements)
    for name in sorted(new.chains.keys() - old.chains.keys()):
        yield f"add chain {table} {name}"
    for name, rules in sorted(new.chains.items()):
        if old.chains.get(name) != rules:
            if name in old.chains:
                yield f"flush chain {table} {name}"
            yield from (f"add rule {table} {name} {rule}" for rule in rules)
    for maps, ipv6 in ((MAPS, False), (MAPS6, True)):
        yield from _elements(table, SELVES[ipv6], _selves(old, ipv6), _selves(new, ipv6))
        for way, name in maps.items():
            yield from _judges(table, name, _judged(old, way, ipv6), _judged(new, way, ipv6))
    for name in sorted(old.chains.keys() - new.chains.keys()):
        yield f"flush chain {table} {name}"
        yield f"delete chain {table} {name}"
    known = new.addresses.keys() | new.ports.keys()
    for name in sorted((old.addresses.keys() | old.ports.keys()) - known):
        yield f"delete set {table} {name}"


def _type(name: str) -> str:
    kind = "ipv6_addr" if name.startswith((PODS[IPV6], NAMED[IPV6])) else "ipv4_addr"
    return f"{kind} {PORT}" if name.startswith(tuple(NAMED.values())) else kind


def _judged(ruleset: Ruleset, way: str, ipv6: bool) -> dict[str, str]:
    return {a: chain for a, chain in ruleset.judges[way].items() if (":" in a) is ipv6}


def _selves(ruleset: Ruleset, ipv6: bool) -> frozenset[str]:
    return frozenset(f"{a} . {a}" for way in MAPS for a in _judged(ruleset, way, ipv6))


def _judges(table: str, name: str, old: dict[str, str], new: dict[str, str]) -> Iterator[str]:
    gone = [address for address in old if new.get(address) != old[address]]
    come = [f"{a} : jump {chain}" for a, chain in new.items() if old.get(a) != chain]
    if gone:
        yield f"delete element {table} {name} {{ {', '.join(sorted(gone))} }}"
    if come:
        yield f"add element {table} {name} {{ {', '.join(sorted(come))} }}"


def _elements(table: str, name: str, old: frozenset[str], new: frozenset[str]) -> Iterator[str]:
    if old is new:
        return
    for verb, some in (("delete", old - new), ("add", new - old)):
        if some:
            yield f"{verb} element {table} {name} {{ {', '.join(sorted(some))} }}"


def _of_addresses(ruleset: Ruleset) -> dict[str, frozenset[str]]:
    return dict(ruleset.addresses)


def _of_ports(ruleset: Ruleset) -> dict[str, frozenset[str]]:
    return {name: _shown(ports) for name, ports in ruleset.ports.items()}


def _shown(ports: Iterable[Port]) -> frozenset[str]:
    return frozenset(f"{address} . {protocol} . {number}" for address, protocol, number in ports)
