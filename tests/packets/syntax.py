"""The language of nft(8), as far as Kybern writes it and the kernel's listing repeats it.

In:   a script for `nft -f`, or what `nft list table` prints.
Out:  commands, one for each thing that is added, flushed or deleted.
By:   kernel.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = re.compile(r'"[^"]*"|[{};,\n]|[^\s{};,]+')
ENDS = ("\n", ";")

Line = tuple[str, ...]


class Command(NamedTuple):
    """One step of a transaction.

    Attributes:
        verb: add, delete or flush.
        what: table, chain, set, map, element or rule.
        table: family and name.
        name: of the chain or set; "" for tables.
        body: lines of a definition, the elements or the words of one rule.
    """

    verb: str
    what: str
    table: tuple[str, str]
    name: str = ""
    body: tuple[Line, ...] = ()


def commands(text: str) -> Iterator[Command]:
    """Read a script."""
    words = _Words(text)
    while (line := words.line(until="{")) or words.left():
        if not line:
            words.take()
        elif line[0] == "table":
            yield Command("add", "table", (line[1], line[2]))
            yield from _table(words, (line[1], line[2]))
        else:
            yield from _command(words, line)


def elements(tokens: Line) -> Iterator[tuple[Line, Line]]:
    """Yield key and value of each element between braces."""
    one: list[str] = []
    for token in (*tokens, ","):
        if token != ",":
            one.append(token)
        elif one:
            at = one.index(":") if ":" in one else len(one)
            yield tuple(one[:at]), tuple(one[at + 1 :])
            one = []


def _command(words: _Words, line: Line) -> Iterator[Command]:
    verb, what, family, table, *rest = line
    where = (family, table)
    if what == "rule":
        yield Command(verb, what, where, rest[0], ((*rest[1:], *words.rest()),))
    elif what == "element":
        yield Command(verb, what, where, rest[0], (words.block(),))
    elif what in ("set", "map") and verb == "add":
        yield Command(verb, what, where, rest[0], words.lines())
    else:
        yield Command(verb, what, where, *rest)


def _table(words: _Words, table: tuple[str, str]) -> Iterator[Command]:
    words.expect("{")
    chains, sets, rules = [], [], []  # in this order: they may lead to what is further down
    while line := words.line(until="{", over="}"):
        what, name = line
        lines = words.lines()
        if what != "chain":
            sets.append(Command("add", what, table, name, lines))
            continue
        hook = tuple(each for each in lines if each[0] in ("type", "policy"))
        chains.append(Command("add", what, table, name, hook))
        rules += [Command("add", "rule", table, name, (e,)) for e in lines if e not in hook]
    words.expect("}")
    yield from (*chains, *sets, *rules)


class _Words:
    """Tokens, one after the other."""

    def __init__(self, text: str) -> None:
        self._tokens = TOKEN.findall(text)
        self._at = 0

    def left(self) -> bool:
        return self._at < len(self._tokens)

    def take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def expect(self, token: str) -> None:
        while (found := self.take()) in ENDS:
            pass
        assert found == token, (found, token)

    def line(self, until: str = "", over: str = "") -> Line:
        """Return the rest of a line; a block in braces is part of it, unless it ends `until`."""
        found: list[str] = []
        depth = 0
        while self.left():
            token = self._tokens[self._at]
            if not depth and (token in (until, over) or (token in ENDS and found)):
                break
            self._at += 1
            depth += (token == "{") - (token == "}")
            if token not in ENDS:
                found.append(token)
        return tuple(found)

    def rest(self) -> Line:
        """Return what is left of a line of which the words before a brace were taken."""
        return self.line() if self.left() and self._tokens[self._at] == "{" else ()

    def block(self) -> Line:
        """Return what is between braces."""
        line = self.line()
        assert line[0] == "{", line
        assert line[-1] == "}", line
        return line[1:-1]

    def lines(self) -> tuple[Line, ...]:
        """Return the lines between braces."""
        self.expect("{")
        found = []
        while line := self.line(over="}"):
            found.append(line)
        self.expect("}")
        return tuple(found)
