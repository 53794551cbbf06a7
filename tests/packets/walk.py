"""The way of a packet through the hooks of a machine.

In:   tables; the machine's addresses; the first packet of a connection.
Out:  every end it may come to: where it is delivered and as whose, refused, or dropped.
By:   the tests beside this file.

    another machine, a pod ─► prerouting ─┬─ own address ─► input
                                          └─ forward ─► postrouting
    a program of the node ─► output ─► postrouting ─► for an own address: prerouting ─► input

Chance is not thrown but tried: `fates` returns what each lot leads to.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from tests.packets.kernel import Table
from tests.packets.rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.packets.kernel import Chain, Kernel, Set
    from tests.packets.rules import Value

HERE = "the node"
DEEPEST = 16  # chains that jump; the kernel's limit


class Endless(Exception):
    """Chains lead to each other without end."""


class Packet(NamedTuple):
    """The first packet of a connection."""

    source: str
    target: str
    port: int
    protocol: str = "tcp"
    state: str = "new"


class Fate(NamedTuple):
    """Where a packet ended.

    Attributes:
        end: delivered, dropped, or how it was refused: reset, unreachable.
        address: who got it.
        port: at which port.
        seen_as: the client's address, or HERE where the node stands in for it.
    """

    end: str
    address: str = ""
    port: int = 0
    seen_as: str = ""


DROPPED = Fate("dropped")


class Machine(NamedTuple):
    """A node: its addresses, the first of which others see, and where its pods are."""

    own: tuple[str, ...]
    pods: str
    bridge: str = "kybern0"

    def is_own(self, address: str) -> bool:
        """Whether packets to this address are for the machine itself."""
        return is_in(address, ("127.0.0.0/8", "::1/128", *self.own))

    def link_of(self, address: str) -> str:
        """Return the link behind which an address is."""
        if self.is_own(address):
            return "lo"
        return self.bridge if is_in(address, (self.pods,)) else "eth0"


@functools.lru_cache(10_000)
def is_in(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an address is in one of some networks."""
    parsed = ipaddress.ip_address(address)
    return any(parsed in ipaddress.ip_network(network) for network in networks)


def fates(kernel: Kernel, machine: Machine, packet: Packet) -> set[Fate]:
    """Return every end that a packet may come to."""
    return {way.fate for way in ways(kernel, machine, packet)}


def ways(kernel: Kernel, machine: Machine, packet: Packet) -> list[Way]:
    """Return every way that a packet may take, one for each outcome of chance."""
    found, lots = [], list[int]()
    while True:
        way = Way(kernel, machine, packet, lots)
        way.go()
        found.append(way)
        lots = [number for number, _ in way.drawn]
        while lots and lots[-1] + 1 == way.drawn[len(lots) - 1][1]:
            lots.pop()
        if not lots:
            return found
        lots[-1] += 1


class Way:
    """A packet under way."""

    def __init__(self, kernel: Kernel, machine: Machine, packet: Packet, lots: list[int]) -> None:
        self.saddr, self.daddr, self.dport, self.protocol, self.state = packet
        self.family = "ip6" if ":" in packet.target else "ip"
        self.meta_mark = self.ct_mark = 0
        self.iifname = self.oifname = ""
        self.masqueraded = False
        self.translated = False
        self.drawn: list[tuple[int, int]] = []
        self.clients: list[tuple[Set, Value, int]] = []
        self.fate = DROPPED
        self.table = Table()  # where the packet is
        self._kernel, self._machine, self._lots = kernel, machine, lots

    # --- what rules ask and do ---------------------------------------------------------------

    def kind_of(self, address: str) -> str:
        """Return what the routing table says of an address."""
        return "local" if self._machine.is_own(address) else "unicast"

    def lot(self, count: int) -> int:
        """Draw a number."""
        number = self._lots[len(self.drawn)] if len(self.drawn) < len(self._lots) else 0
        self.drawn.append((number, count))
        return number

    def lead(self, address: str, port: int) -> None:
        """Send the packet elsewhere."""
        self.daddr, self.dport, self.translated = address, port, True

    def remember(self, kept: Set, client: Value, seconds: int) -> None:
        """Note that a client is to be kept in a set."""
        self.clients.append((kept, client, seconds))

    def arrive(self) -> None:
        """Make the kernel remember what this packet left in it."""
        for kept, client, seconds in self.clients:
            kept.elements[client] = None
            kept.expiry[client] = kept.now + seconds

    # --- the way -----------------------------------------------------------------------------

    def go(self) -> None:
        """Go all the way."""
        machine = self._machine
        hooks = self._from_here() if machine.is_own(self.saddr) else self._from_elsewhere()
        for hook in hooks:
            verdict = self._hook(hook)
            if verdict.word != "accept":
                self.fate = Fate(verdict.how or "dropped")
                return
        stays = machine.is_own(self.saddr) and machine.is_own(self.daddr)
        here = stays or self.masqueraded or self.saddr == machine.own[0]
        self.fate = Fate("delivered", self.daddr, self.dport, HERE if here else self.saddr)

    def _from_elsewhere(self) -> Iterable[str]:
        self.iifname = self._machine.link_of(self.saddr)
        yield "prerouting"
        if self._machine.is_own(self.daddr):
            yield "input"
            return
        self.oifname = self._machine.link_of(self.daddr)
        yield "forward"
        yield "postrouting"

    def _from_here(self) -> Iterable[str]:
        self.oifname = self._machine.link_of(self.daddr)
        yield "output"
        self.oifname = self._machine.link_of(self.daddr)
        yield "postrouting"
        if self._machine.is_own(self.daddr):
            self.iifname, self.oifname, self.translated = "lo", "", True
            yield "prerouting"
            yield "input"

    def _hook(self, name: str) -> Verdict:
        for table, chain in self._kernel.base_chains(self.family, name):
            if chain.hook.kind == "nat" and not self._is_to_be_translated(name):
                continue
            self.table = table
            verdict = self._run(chain) or Verdict(chain.policy)
            if verdict.word != "accept":
                return verdict
        return Verdict("accept")

    def _is_to_be_translated(self, hook: str) -> bool:
        """Only the first packet is, and only once in each direction."""
        done = self.masqueraded if hook == "postrouting" else self.translated
        return self.state == "new" and not done

    def _run(self, chain: Chain, depth: int = 0) -> Verdict | None:
        if depth > DEEPEST:
            raise Endless
        for rule in chain.rules:
            verdict = rule(self)
            if verdict is None or verdict.word == "continue":
                continue
            if verdict.word == "return":
                return None
            if not verdict.chain:
                return verdict
            found = self._run(self.table.chains[verdict.chain], depth + 1)
            if found is not None or verdict.word == "goto":
                return found
        return None
