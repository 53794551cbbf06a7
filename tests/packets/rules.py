"""One rule of nftables, as something that can be asked about a packet.

In:   the words of a rule; a packet on its way.
Out:  a verdict, None where the rule says nothing.
By:   kernel.py compiles, walk.py asks.

What Kybern does not write is an error here: a rule that is not understood must not seem to pass.
"""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.packets.syntax import elements

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.packets.syntax import Line
    from tests.packets.walk import Way

Value = Any  # an address as text, a number, or a tuple of them
PROTOCOLS = ("tcp", "udp", "sctp")
FINAL = ("accept", "drop", "return", "continue")
OPERATORS = {
    "&": int.__and__, "and": int.__and__, "|": int.__or__, "or": int.__or__,
    "^": int.__xor__, "xor": int.__xor__,
}  # fmt: skip


class Verdict(NamedTuple):
    """What a rule says: accept, drop, return, reject, jump or goto; for these two, where to."""

    word: str
    chain: str = ""
    how: str = ""


class NoMatch(Exception):
    """A condition does not hold: on to the next rule."""


@dataclass
class Rule:
    """The words, what they do, and what they need."""

    words: Line
    steps: list[Callable[[Way], Verdict | None]] = field(default_factory=list)
    chains: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)

    def __call__(self, way: Way) -> Verdict | None:
        """Ask about a packet."""
        try:
            for step in self.steps:
                if (verdict := step(way)) is not None:
                    return verdict
        except NoMatch:
            pass
        return None


@functools.cache
def literal(text: str) -> Value:
    """Return a constant: a number, a network, a range, an address or a word."""
    text = text.strip('"')
    for reader in (lambda t: int(t, 0), ipaddress.ip_address, ipaddress.ip_network):
        try:
            found = reader(text)
        except ValueError:
            continue
        return str(found) if isinstance(found, ADDRESS) else found
    first, dash, last = text.partition("-")
    if dash and first.isdecimal() and last.isdecimal():
        return range(int(first), int(last) + 1)
    return text


ADDRESS = (ipaddress.IPv4Address, ipaddress.IPv6Address)
NETWORK = (ipaddress.IPv4Network, ipaddress.IPv6Network)


def key(words: Line) -> Value:
    """Return the key of an element: a constant, or several joined by dots."""
    for option in ("timeout", "expires", "counter"):
        if option in words:
            words = words[: words.index(option)]
    parts = tuple(literal(word) for word in words if word != ".")
    return parts[0] if len(parts) == 1 else parts


@functools.lru_cache(100_000)
def fits(value: Value, constant: Value) -> bool:
    """Whether a value is this constant, or in this network or range."""
    if isinstance(constant, tuple):
        return all(fits(v, c) for v, c in zip(value, constant, strict=True))
    if isinstance(constant, NETWORK):
        return ipaddress.ip_address(value) in constant
    return value in constant if isinstance(constant, range) else value == constant


@functools.cache
def compiled(words: Line) -> Rule:
    """Understand a rule.

    Raises:
        ValueError: it says something that is not known here.
    """
    reader = _Reader(words)
    while reader.left:
        reader.rule.steps.append(reader.step())
    return reader.rule


class _Reader:
    """Reads the words of one rule, from left to right."""

    def __init__(self, words: Line) -> None:
        self.left = list(words)
        self.rule = Rule(words)

    def next(self) -> str:
        if not self.left:
            raise ValueError(f"{' '.join(self.rule.words)}: it ends too early")
        return self.left.pop(0)

    def peek(self, *wanted: str) -> bool:
        """Take the next word if it is one of these."""
        if self.left and self.left[0] in wanted:
            self.left.pop(0)
            return True
        return False

    def step(self) -> Callable[[Way], Verdict | None]:
        """Read one condition or deed."""
        word = self.left[0]
        if word in FINAL or word in ("jump", "goto"):
            verdict = self.verdict()
            return lambda _: verdict
        if word in STATEMENTS:
            self.next()
            return STATEMENTS[word](self)
        return self.condition()

    def verdict(self) -> Verdict:
        word = self.next()
        if word in ("jump", "goto"):
            self.rule.chains.append(self.next())
            return Verdict(word, self.rule.chains[-1])
        if word not in FINAL:
            raise ValueError(f"{word} is no verdict")
        return Verdict(word)

    def condition(self) -> Callable[[Way], Verdict | None]:
        """Read an expression and what it is compared with, looked up in or set to."""
        start = self.left[:2]
        value = self.expression()
        if self.peek("set"):
            return self.assignment(start, self.expression())
        if self.peek("vmap"):
            return self.lookup(value)
        holds = not self.peek("!=")
        self.peek("==")
        contained = self.right()

        def ask(way: Way) -> None:
            if contained(way, value(way)) is not holds:
                raise NoMatch

        return ask

    def right(self) -> Callable[[Way, Value], bool]:
        """Read what a value is compared with."""
        if self.left[0].startswith("@"):
            name = self.named(self.next())
            return lambda way, value: way.table.sets[name].has(value)
        if self.left[0] == "{":
            constants = [key(words) for words, _ in elements(self.braces())]
        else:
            constants = [self.constant()]
            while self.peek(","):
                constants.append(self.constant())
        return lambda _, value: any(fits(value, constant) for constant in constants)

    def constant(self) -> Value:
        parts = [literal(self.next())]
        while self.peek("."):
            parts.append(literal(self.next()))
        return parts[0] if len(parts) == 1 else tuple(parts)

    def expression(self) -> Callable[[Way], Value]:
        """Read what is asked of the packet; parts joined by dots are a tuple."""
        parts = [self.part()]
        while self.peek("."):
            parts.append(self.part())
        if len(parts) > 1:
            value = lambda way: tuple(part(way) for part in parts)  # noqa: E731
        else:
            value = parts[0]
        while self.left and self.left[0] in OPERATORS:
            value = self.operation(value, OPERATORS[self.next()], literal(self.next()))
        if self.peek("map"):
            value = self.lookup(value)
        return value

    @staticmethod
    def operation(
        value: Callable[[Way], int], operator: Callable[[int, int], int], number: int
    ) -> Callable[[Way], int]:
        return lambda way: operator(value(way), number)

    def part(self) -> Callable[[Way], Value]:
        word = self.next()
        if word in ("ip", "ip6"):
            return _of_family(word, self.next())
        if word in ("th", *PROTOCOLS):
            return _of_protocol(word, self.next())
        if word in ("iifname", "oifname"):
            return lambda way: getattr(way, word)
        if word in ("meta", "ct"):
            name = {"state": "state", "l4proto": "protocol"}.get(self.left[0], f"{word}_mark")
            if self.next() not in ("state", "l4proto", "mark"):
                raise ValueError(f"{' '.join(self.rule.words)}: what is {word} {name}")
            return lambda way: getattr(way, name)
        if word == "fib":
            side, kind = self.next(), self.next()
            assert kind == "type", kind
            return lambda way: way.kind_of(getattr(way, side))
        if word == "numgen":
            assert (self.next(), self.next()) == ("random", "mod")
            count = int(self.next())
            return lambda way: way.lot(count)
        constant = literal(word)
        return lambda _: constant

    def lookup(self, value: Callable[[Way], Value]) -> Callable[[Way], Any]:
        """Read a map; what is not in it ends the rule."""
        if self.left[0].startswith("@"):
            name = self.named(self.next())
            return lambda way: way.table.sets[name].get(value(way))
        found = {}
        for words, result in elements(self.braces()):
            reader = _Reader(result)
            found[key(words)] = (
                reader.verdict() if result[0] in (*FINAL, "jump", "goto") else key(result)
            )
            self.rule.chains += reader.rule.chains

        def get(way: Way) -> Any:
            try:
                return found[value(way)]
            except KeyError:
                raise NoMatch from None

        return get

    def braces(self) -> Line:
        assert self.next() == "{"
        end = self.left.index("}")
        inside, self.left = self.left[:end], self.left[end + 1 :]
        return tuple(inside)

    def named(self, word: str) -> str:
        """Note the name of a set that the rule needs."""
        self.rule.sets.append(word.removeprefix("@"))
        return self.rule.sets[-1]

    def assignment(
        self, target: list[str], value: Callable[[Way], Value]
    ) -> Callable[[Way], Verdict | None]:
        name = f"{target[0]}_{target[1]}"
        assert name in ("meta_mark", "ct_mark"), name
        return lambda way: setattr(way, name, value(way))

    def options(self, *words: str) -> None:
        while self.peek(*words):
            pass


def _of_family(family: str, side: str) -> Callable[[Way], Value]:
    def ask(way: Way) -> Value:
        if way.family != family:
            raise NoMatch
        return getattr(way, side)

    assert side in ("saddr", "daddr"), side
    return ask


def _of_protocol(protocol: str, side: str) -> Callable[[Way], Value]:
    def ask(way: Way) -> Value:
        if way.protocol != protocol != "th":
            raise NoMatch
        return getattr(way, side)

    assert side == "dport", side
    return ask


# --- deeds -----------------------------------------------------------------------------------


def _reject(reader: _Reader) -> Callable[[Way], Verdict]:
    how = "reset" if "reset" in reader.left else "unreachable"
    reader.left.clear()

    def reject(way: Way) -> Verdict:
        if how == "reset" and way.protocol != "tcp":
            raise NoMatch
        return Verdict("reject", how=how)

    return reject


def _masquerade(reader: _Reader) -> Callable[[Way], Verdict]:
    reader.options("fully-random", "random", "persistent")

    def masquerade(way: Way) -> Verdict:
        way.masqueraded = True
        return Verdict("accept")

    return masquerade


def _dnat(reader: _Reader) -> Callable[[Way], Verdict]:
    reader.peek("ip", "ip6")
    assert reader.next() == "to"
    value = reader.expression()

    def dnat(way: Way) -> Verdict:
        found = value(way)
        address, port = found if isinstance(found, tuple) else _address_and_port(found)
        way.lead(address, port)
        return Verdict("accept")

    return dnat


def _address_and_port(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def _update(reader: _Reader) -> Callable[[Way], None]:
    name = reader.named(reader.next())
    words = reader.braces()
    at = words.index("timeout")
    value, seconds = _Reader(words[:at]).expression(), duration(words[at + 1])
    return lambda way: way.remember(way.table.sets[name], value(way), seconds)


def duration(text: str) -> int:
    """Read `3h`, `1m30s` or `60s`."""
    total, number = 0, ""
    for sign in text:
        if sign.isdecimal():
            number += sign
        else:
            total += int(number) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[sign]
            number = ""
    return total


STATEMENTS: dict[str, Callable[[_Reader], Callable[[Way], Verdict | None]]] = {
    "reject": _reject, "masquerade": _masquerade, "dnat": _dnat, "update": _update,
}  # fmt: skip
