"""What one Service becomes in the kernel: elements of maps, and for some of them chains.

In:   Frontends, as they should be.
Out:  Rendered: plain text of nftables by name, which kernel.py compares with what is there.
By:   sync.py. Pure.

An ordinary Service is elements only (base.py has the chains they lead to). Chains of its own has
one that keeps clients with their endpoint (session affinity), one that keeps traffic from outside
on the node, one that lets only some clients in. Source of the shape: upstream's
pkg/proxy/nftables/README.md.

    svc-…  any endpoint        loc-…  the endpoints of this node     ep-…  one endpoint
    ext-…  from outside: pods and the node itself reach any endpoint, others those of this node
    fw-…   drops whom loadBalancerSourceRanges does not name
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from kybern.proxy.family import IPV6, family_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.proxy.endpoints import Target
    from kybern.proxy.model import Frontend

CLIENTS = "aff"  # what the names of sets of clients begin with
REJECT = "goto refuse"
DROP = "drop"
PLAIN = str.maketrans("/:", "..")  # nft's names have neither


class Rendered(NamedTuple):
    """One Service as it stands in the kernel.

    Attributes:
        chains: name → rules.
        elements: map or set name → key → value ("" in sets).
        sets: names of the sets that remember clients.
        counts: how many endpoints there are where one is picked by lot.
    """

    chains: dict[str, tuple[str, ...]]
    elements: dict[str, dict[str, str]]
    sets: frozenset[str]
    counts: frozenset[int]


EMPTY = Rendered({}, {}, frozenset(), frozenset())


def render(frontends: Iterable[Frontend], cluster_cidr: str) -> Rendered:
    """Return one Service as it should stand in the kernel."""
    draft = _Draft()
    for front in frontends:
        _Port(front, cluster_cidr, draft).render()
    return Rendered(draft.chains, draft.elements, frozenset(draft.sets), frozenset(draft.counts))


def name_of(prefix: str, front: Frontend, target: Target | None = None) -> str:
    """Return a name within the kernel's limit that says whose chain it is."""
    text = f"{front.service}/{front.protocol}/{front.port_name}"
    if target:
        text += f"/{target.ip}/{target.port}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{prefix}-{digest}-{text.translate(PLAIN)[:100]}"


class _Draft:
    def __init__(self) -> None:
        self.chains: dict[str, tuple[str, ...]] = {}
        self.elements: dict[str, dict[str, str]] = {}
        self.sets: set[str] = set()
        self.counts: set[int] = set()

    def put(self, name: str, key: str, value: str = "") -> None:
        self.elements.setdefault(name, {})[key] = value


class _Port:
    """Writes one port of a Service into a draft."""

    def __init__(self, front: Frontend, cluster_cidr: str, draft: _Draft) -> None:
        self.front = front
        self.cluster_cidr = cluster_cidr
        self.saddr = f"{family_of(cluster_cidr).table} saddr"
        self.draft = draft
        # nothing anywhere is refused; something elsewhere, which must not be used, is dropped
        self.nothing = DROP if front.targets else REJECT

    def render(self) -> None:
        front = self.front
        for ip in front.cluster_ips:
            self.draft.put("cluster_addresses", ip)
            if front.internal_targets:
                self._lead(ip, self._inside())
            elif front.targets:  # where there are none at all, the address refuses every port
                self._refuse(ip)
        for ip in (*front.external_ips, *front.balancer_ips):
            self._outside(ip)
        if front.node_port:
            self._outside("")
        for ip in front.balancer_ips if front.sources else ():
            self._guard(ip)
        for target in {*front.targets, *front.local_targets}:
            self.draft.put("hairpin", f"{target.ip} . {target.ip}")

    def _inside(self) -> str:
        """Return the chain for ClusterIPs; "" for one that is shared."""
        front = self.front
        if not front.affinity:
            return ""
        return self._choice("loc" if front.internal_local else "svc", front.internal_targets)

    def _key(self, ip: str) -> str:
        front = self.front
        if not ip:
            return f"{front.protocol} . {front.node_port}"
        return f"{ip} . {front.protocol} . {front.port}"

    def _lead(self, ip: str, chain: str, *, marked: bool = False) -> None:
        """Let an address ("": the node port) lead to a chain of ours, or to endpoints by lot."""
        front, draft = self.front, self.draft
        where = "services" if ip else "node_ports"
        if chain:
            draft.put(where, self._key(ip), f"goto {chain}")
            return
        targets = front.targets if marked else front.internal_targets
        draft.counts.add(len(targets))
        kind = "" if ip else "node-"
        verb = "marked" if marked else "pick"
        draft.put(where, self._key(ip), f"goto {kind}{verb}-{len(targets)}")
        key = f"{ip} . {front.port}" if ip else f"{front.node_port}"
        for number, target in enumerate(targets):
            draft.put(
                f"{front.protocol}-{kind}endpoints",
                f"{key} . {number}", f"{target.ip} . {target.port}",
            )  # fmt: skip

    def _refuse(self, ip: str) -> None:
        where = "no_endpoints" if ip else "no_endpoint_node_ports"
        self.draft.put(where, self._key(ip), self.nothing)

    def _outside(self, ip: str) -> None:
        """Let an external address, or the node port, lead to the endpoints."""
        front = self.front
        if front.targets or front.external_targets:
            own = front.external_local or front.affinity
            self._lead(ip, self._entry() if own else "", marked=True)
        if not front.external_targets:
            self._refuse(ip)

    def _entry(self) -> str:
        """Return the chain for traffic from outside."""
        front = self.front
        name = name_of("ext", front)
        if name in self.draft.chains:
            return name
        rules = []
        anywhere = self._choice("svc", front.targets) if front.targets else ""
        if not front.external_local:
            rules = ["jump to-masquerade", f"goto {anywhere}"]
        else:
            if anywhere:
                rules = [
                    f"{self.saddr} {self.cluster_cidr} goto {anywhere}",
                    "fib saddr type local jump to-masquerade",
                    f"fib saddr type local goto {anywhere}",
                ]
            if front.local_targets:
                rules.append(f"goto {self._choice('loc', front.local_targets)}")
        self.draft.chains[name] = tuple(rules)
        return name

    def _choice(self, prefix: str, targets: tuple[Target, ...]) -> str:
        """Return a chain that chooses one of these endpoints."""
        name = name_of(prefix, self.front)
        if name in self.draft.chains:
            return name
        if self.front.affinity:
            chains = [self._endpoint(target) for target in targets]
            known = [
                f"{self.saddr} @{name_of(CLIENTS, self.front, target)} goto {chain}"
                for target, chain in zip(targets, chains, strict=True)
            ]
            lots = ", ".join(f"{i} : goto {chain}" for i, chain in enumerate(chains))
            new = f"numgen random mod {len(chains)} vmap {{ {lots} }}"
            self.draft.chains[name] = (*known, new)
        else:
            lots = ", ".join(f"{i} : {t.ip} . {t.port}" for i, t in enumerate(targets))
            choose = f"dnat to numgen random mod {len(targets)} map {{ {lots} }}"
            self.draft.chains[name] = (f"meta l4proto {self.front.protocol} {choose}",)
        return name

    def _endpoint(self, target: Target) -> str:
        """Return the chain of one endpoint, which remembers who came."""
        front = self.front
        name, clients = name_of("ep", front, target), name_of(CLIENTS, front, target)
        self.draft.sets.add(clients)
        self.draft.chains[name] = (
            f"update @{clients} {{ {self.saddr} timeout {front.affinity}s }}",
            f"meta l4proto {front.protocol} dnat to {_bracketed(target.ip)}:{target.port}",
        )
        return name

    def _guard(self, ip: str) -> None:
        """Let only clients in that the Service names."""
        name = name_of("fw", self.front)
        sources = ", ".join(self.front.sources)
        self.draft.chains[name] = (f"{self.saddr} != {{ {sources} }} drop",)
        self.draft.put("firewall", self._key(ip), f"goto {name}")


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if IPV6.has(ip) else ip
