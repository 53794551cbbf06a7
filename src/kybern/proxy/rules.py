"""What Services become in the kernel: maps, and one chain per port.

In:   Frontends (what should be), and the Rendered ones that are in the kernel.
Out:  one transaction: a list of commands in the JSON of libnftables.
By:   sync.py. Pure.

    prerouting, output ─► services ─┬─ ip . proto . port  in cluster_ips  ─► svc-… (dnat, by lot)
                                    ├─ ip . proto . port  in external_ips ─► ext-… (mark) ─► svc-…
                                    └─ local, proto . port in node_ports  ─► ext-… (mark) ─► svc-…
    postrouting ─► masquerade what is marked, and what a pod sends to itself through a Service
    input, forward, output ─► ip . proto . port in no_endpoints ─► reject

A lookup costs the same for ten Services and for ten thousand. A change of endpoints replaces the
one rule of one chain. Source of the shape: upstream's pkg/proxy/nftables/README.md.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.proxy.model import Frontend, Target

Command = dict[str, Any]
Key = tuple[str | int, ...]

FAMILY = "ip"
MARK = 0x4000  # as upstream: bit 14 says "masquerade this packet"


class Rendered(NamedTuple):
    """One Service as it stands in the kernel.

    Attributes:
        chains: name → rules, each a list of statements.
        elements: map or set name → key → value (None in sets).
    """

    chains: dict[str, list[list[Command]]]
    elements: dict[str, dict[Key, Command | None]]


EMPTY = Rendered({}, {})


def base(table: str, cluster_cidr: str, service_cidr: str) -> list[Command]:
    """Return the commands that make our table from nothing, whatever is there."""
    add = [{"table": {"family": FAMILY, "name": table}}]
    address = ["ipv4_addr", "inet_proto", "inet_service"]
    for name, key in (
        ("cluster_ips", address), ("external_ips", address), ("no_endpoints", address),
        ("node_ports", address[1:]), ("no_endpoint_node_ports", address[1:]),
    ):  # fmt: skip
        add.append({"map": _in(table) | {"name": name, "type": key, "map": "verdict"}})
    add.append({"set": _in(table) | {"name": "hairpin", "type": ["ipv4_addr", "ipv4_addr"]}})
    for name in ("services", "reject", "mark"):
        add.append(_chain(table, name))
    for name, kind, hook, priority in (
        ("nat-prerouting", "nat", "prerouting", -100), ("nat-output", "nat", "output", -100),
        ("nat-postrouting", "nat", "postrouting", 100),
        ("filter-input", "filter", "input", -110), ("filter-forward", "filter", "forward", -110),
        ("filter-output", "filter", "output", -110),
    ):  # fmt: skip
        add.append(_chain(table, name, type=kind, hook=hook, prio=priority, policy="accept"))
    for chain, rules in _base_rules(cluster_cidr, service_cidr).items():
        add += [_rule(table, chain, rule) for rule in rules]
    # adding before deleting makes the deletion succeed when there was no table
    fresh = [{"add": add[0]}, {"delete": {"table": {"family": FAMILY, "name": table}}}]
    return fresh + [{"add": command} for command in add]


def remove(table: str) -> list[Command]:
    """Return the commands that leave nothing of ours."""
    name = {"table": {"family": FAMILY, "name": table}}
    return [{"add": name}, {"delete": name}]


def _base_rules(cluster_cidr: str, service_cidr: str) -> dict[str, list[list[Command]]]:
    vmap = [{"vmap": {"key": _ADDRESS, "data": "@cluster_ips"}}]
    from_outside = [
        _match(_payload("ip", "daddr"), _prefix(service_cidr)),
        _match(_payload("ip", "saddr"), _prefix(cluster_cidr), "!="),
        {"jump": {"target": "mark"}},
    ]
    to_this_node = [
        _match({"fib": {"result": "type", "flags": ["daddr"]}}, "local"),
        _match(_payload("ip", "daddr"), _prefix("127.0.0.0/8"), "!="),
    ]
    reject = [
        [_match({"meta": {"key": "l4proto"}}, "tcp"), {"reject": {"type": "tcp reset"}}],
        [{"reject": {"type": "icmp", "expr": "port-unreachable"}}],
    ]
    nothing_there = [{"vmap": {"key": _ADDRESS, "data": "@no_endpoints"}}]
    return {
        "mark": [[{"mangle": {"key": _META_MARK, "value": {"|": [_META_MARK, MARK]}}}]],
        "services": [
            from_outside,
            vmap,
            [{"vmap": {"key": _ADDRESS, "data": "@external_ips"}}],
            [*to_this_node, {"vmap": {"key": _PORT, "data": "@node_ports"}}],
        ],
        "nat-prerouting": [[{"jump": {"target": "services"}}]],
        "nat-output": [[{"jump": {"target": "services"}}]],
        "nat-postrouting": [
            [
                _match({"&": [_META_MARK, MARK]}, MARK),
                {"mangle": {"key": _META_MARK, "value": {"^": [_META_MARK, MARK]}}},
                {"masquerade": {"flags": "fully-random"}},
            ],
            [
                _match({"concat": [_payload("ip", "saddr"), _payload("ip", "daddr")]}, "@hairpin"),
                {"masquerade": None},
            ],
        ],
        "reject": reject,
        "filter-input": [
            [
                *to_this_node,
                {"vmap": {"key": _PORT, "data": "@no_endpoint_node_ports"}},
            ],
            nothing_there,
        ],
        "filter-forward": [nothing_there],
        "filter-output": [nothing_there],
    }


def render(frontends: Iterable[Frontend]) -> Rendered:
    """Return one Service as it should stand in the kernel."""
    chains: dict[str, list[list[Command]]] = {}
    elements: dict[str, dict[Key, Command | None]] = {}
    for front in frontends:
        _render_port(front, chains, elements)
    return Rendered(chains, elements)


def _render_port(
    front: Frontend,
    chains: dict[str, list[list[Command]]],
    elements: dict[str, dict[Key, Command | None]],
) -> None:
    def put(name: str, key: Key, value: Command | None) -> None:
        elements.setdefault(name, {})[key] = value

    protocol, port = front.protocol, front.port
    inside, outside = front.internal_targets, front.external_targets
    own = chain_name("svc", front)
    if inside:
        chains[own] = [_dnat(protocol, inside)]
    for ip in front.cluster_ips:
        if inside:
            put("cluster_ips", (ip, protocol, port), {"goto": {"target": own}})
        else:
            put("no_endpoints", (ip, protocol, port), {"goto": {"target": "reject"}})
    if front.external_ips or front.node_port:
        entry = chain_name("ext", front)
        if outside:
            mark = [] if front.external_local else [{"jump": {"target": "mark"}}]
            chains[entry] = [*([mark] if mark else []), _dnat(protocol, outside)]
        for ip in front.external_ips:
            if outside:
                put("external_ips", (ip, protocol, port), {"goto": {"target": entry}})
            else:
                put("no_endpoints", (ip, protocol, port), {"goto": {"target": "reject"}})
        if front.node_port:
            name = "node_ports" if outside else "no_endpoint_node_ports"
            target = entry if outside else "reject"
            put(name, (protocol, front.node_port), {"goto": {"target": target}})
    for target_ in {*inside, *outside}:
        put("hairpin", (target_.ip, target_.ip), None)


def chain_name(prefix: str, front: Frontend) -> str:
    """Return a name within the kernel's limit that says whose chain it is."""
    text = f"{front.service}/{front.protocol}/{front.port_name}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    readable = text.replace("/", ".")[:100]
    return f"{prefix}-{digest}-{readable}"


def _dnat(protocol: str, targets: tuple[Target, ...]) -> list[Command]:
    is_protocol = _match({"meta": {"key": "l4proto"}}, protocol)
    if len(targets) == 1:
        return [is_protocol, {"dnat": {"addr": targets[0].ip, "port": targets[0].port}}]
    lot = {"numgen": {"mode": "random", "mod": len(targets), "offset": 0}}
    choices = [[i, {"concat": [t.ip, t.port]}] for i, t in enumerate(targets)]
    return [
        is_protocol,
        {"dnat": {"family": FAMILY, "addr": {"map": {"key": lot, "data": {"set": choices}}}}},
    ]


class Kernel:
    """What we have put into the kernel; plans what has to change."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._services: dict[str, Rendered] = {}
        self._holders: dict[tuple[str, Key], int] = {}  # several Services share a hairpin element

    def plan(self, wanted: dict[str, Rendered]) -> list[Command]:
        """Return the transaction that brings these Services to what is wanted.

        Additions come before removals wherever one refers to the other: new chains, then
        elements, then old chains.
        """
        make: list[Command] = []
        switch: list[Command] = []
        drop: list[Command] = []
        for key, new in sorted(wanted.items()):
            old = self._services.get(key, EMPTY)
            if old == new:
                continue
            for name, rules in new.chains.items():
                if old.chains.get(name) != rules:
                    make += self._replace_chain(name, rules, exists=name in old.chains)
            switch += self._elements(old, new)
            gone = old.chains.keys() - new.chains.keys()
            drop += [{"flush": _chain(self.table, name)} for name in sorted(gone)]
            drop += [{"delete": _chain(self.table, name)} for name in sorted(gone)]
        return make + switch + drop

    def applied(self, wanted: dict[str, Rendered]) -> None:
        """Note that the transaction went through."""
        for key, new in wanted.items():
            old = self._services.pop(key, EMPTY)
            for name, keys in old.elements.items():
                for element in keys:
                    self._count(name, element, -1)
            for name, keys in new.elements.items():
                for element in keys:
                    self._count(name, element, +1)
            if new != EMPTY:
                self._services[key] = new

    def forget(self) -> None:
        """Start from an empty table again."""
        self._services.clear()
        self._holders.clear()

    def services(self) -> list[str]:
        """Return the keys of the Services that are in the kernel."""
        return list(self._services)

    def _count(self, name: str, element: Key, by: int) -> None:
        held = self._holders.get((name, element), 0) + by
        if held:
            self._holders[name, element] = held
        else:
            self._holders.pop((name, element), None)

    def _replace_chain(
        self, name: str, rules: list[list[Command]], *, exists: bool
    ) -> list[Command]:
        chain = _chain(self.table, name)
        first = {"flush": chain} if exists else {"add": chain}
        return [first, *({"add": _rule(self.table, name, rule)} for rule in rules)]

    def _elements(self, old: Rendered, new: Rendered) -> list[Command]:
        commands = []
        for name in sorted(old.elements.keys() | new.elements.keys()):
            before, after = old.elements.get(name, {}), new.elements.get(name, {})
            gone = [k for k in before if before[k] != after.get(k, 0)]
            come = {k: v for k, v in after.items() if before.get(k, 0) != v}
            if name == "hairpin":  # shared: the last one out removes it
                gone = [k for k in gone if self._holders.get((name, k), 0) <= 1]
            if gone:
                keys = [_key(k) for k in gone]
                commands.append({"delete": {"element": _named(self.table, name, keys)}})
            if come:
                pairs = [[_key(k), v] if v else _key(k) for k, v in come.items()]
                commands.append({"add": {"element": _named(self.table, name, pairs)}})
        return commands


_META_MARK = {"meta": {"key": "mark"}}


def _payload(protocol: str, field: str) -> Command:
    return {"payload": {"protocol": protocol, "field": field}}


_PORT: Command = {"concat": [{"meta": {"key": "l4proto"}}, _payload("th", "dport")]}
_ADDRESS: Command = {"concat": [_payload("ip", "daddr"), *_PORT["concat"]]}


def _match(left: Command, right: Any, op: str = "==") -> Command:
    return {"match": {"op": op, "left": left, "right": right}}


def _prefix(cidr: str) -> Command:
    address, length = cidr.split("/")
    return {"prefix": {"addr": address, "len": int(length)}}


def _key(key: Key) -> Any:
    return {"concat": list(key)}


def _in(table: str) -> Command:
    return {"family": FAMILY, "table": table}


def _named(table: str, name: str, elements: list[Any]) -> Command:
    return _in(table) | {"name": name, "elem": elements}


def _chain(table: str, name: str, **more: Any) -> Command:
    return {"chain": _in(table) | {"name": name, **more}}


def _rule(table: str, chain: str, statements: list[Command]) -> Command:
    return {"rule": _in(table) | {"chain": chain, "expr": statements}}
