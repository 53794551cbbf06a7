"""nftables, without a kernel: tables that take transactions and refuse what the kernel refuses.

In:   scripts.
Out:  chains and sets, or Refused and nothing changed.
By:   walk.py sends packets through; node.py and the tests fill it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.packets.rules import NoMatch, Rule, Value, Verdict, compiled, fits, key
from tests.packets.syntax import Command, commands, elements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.packets.syntax import Line

PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "srcnat": 100}
LONGEST_NAME = 128


class Refused(Exception):
    """The kernel would not take this; the message says why."""


class Hook(NamedTuple):
    """Where packets come into a base chain."""

    kind: str
    name: str
    priority: int


class Set:
    """A set or map; a map leads to values or verdicts."""

    def __init__(self, kind: str, is_map: bool, is_verdicts: bool) -> None:
        self.kind, self.is_map, self.is_verdicts = kind, is_map, is_verdicts
        self.elements: dict[Value, Any] = {}
        self.expiry: dict[Value, float] = {}
        self.now = 0.0

    def copy(self) -> Set:
        """Return one that can be changed."""
        made = Set(self.kind, self.is_map, self.is_verdicts)
        made.elements, made.expiry, made.now = dict(self.elements), dict(self.expiry), self.now
        return made

    def has(self, value: Value) -> bool:
        """Whether a value is in it, or in a network that is."""
        if value in self.elements:
            return self.expiry.get(value, self.now) >= self.now
        return any(fits(value, one) for one in self.elements if not isinstance(one, (str, tuple)))

    def get(self, value: Value) -> Any:
        """Return what a value leads to.

        Raises:
            NoMatch: nowhere.
        """
        try:
            return self.elements[value]
        except KeyError:
            raise NoMatch from None


class Chain:
    """Rules, and the hook of a base chain."""

    def __init__(self, hook: Hook | None = None, policy: str = "accept") -> None:
        self.hook, self.policy = hook, policy
        self.rules: list[Rule] = []


class Table:
    """Chains and sets."""

    def __init__(self) -> None:
        self.chains: dict[str, Chain] = {}
        self.sets: dict[str, Set] = {}

    def leads_to(self, chain: str) -> bool:
        """Whether something leads to this chain."""
        rules = (rule for each in self.chains.values() for rule in each.rules)
        kept = (v for s in self.sets.values() if s.is_verdicts for v in s.elements.values())
        return any(chain in rule.chains for rule in rules) or any(v.chain == chain for v in kept)

    def uses(self, name: str) -> bool:
        """Whether a rule asks this set."""
        return any(name in rule.sets for each in self.chains.values() for rule in each.rules)


class Kernel:
    """All tables."""

    def __init__(self) -> None:
        self.scripts: list[str] = []
        self.tables: dict[tuple[str, str], Table] = {}

    def apply(self, script: str) -> None:
        """Take a transaction, as a whole or not at all.

        Raises:
            Refused: not at all.
        """
        before = self.tables
        self.tables = {name: _copied(table) for name, table in before.items()}
        try:
            for command in commands(script):
                self._obey(command)
        except Refused:
            self.tables = before
            raise
        self.scripts.append(script)

    def base_chains(self, family: str, hook: str) -> Iterator[tuple[Table, Chain]]:
        """Yield the chains that see packets of a family at a hook, in their order."""
        found = [
            (chain.hook.priority, number, table, chain)
            for number, ((kind, _), table) in enumerate(self.tables.items())
            if kind in (family, "inet")
            for chain in table.chains.values()
            if chain.hook and chain.hook.name == hook
        ]
        for _, _, table, chain in sorted(found, key=lambda each: each[:2]):
            yield table, chain

    def listed(self, family: str, name: str) -> list[dict[str, Any]]:
        """Return what `nft -j -t list table` shows: names, and no elements."""
        table = self.tables.get((family, name), Table())
        sets = [{"map" if s.is_map else "set": {"name": n}} for n, s in table.sets.items()]
        return sets + [{"chain": {"name": n}} for n in table.chains]

    def pass_time(self, seconds: float) -> None:
        """Let elements grow old."""
        for kept in (s for table in self.tables.values() for s in table.sets.values()):
            kept.now += seconds

    def _obey(self, command: Command) -> None:
        if command.what == "table" and command.verb != "flush":
            if command.verb == "add":
                self.tables.setdefault(command.table, Table())
            elif self.tables.pop(command.table, None) is None:
                raise Refused(f"{command}: no such table")
            return
        table = self.tables.get(command.table)
        if table is None:
            raise Refused(f"{command}: no such table")
        DEEDS[command.verb, command.what](table, command)


def _copied(table: Table) -> Table:
    made = Table()
    made.sets = {name: each.copy() for name, each in table.sets.items()}
    for name, chain in table.chains.items():
        made.chains[name] = Chain(chain.hook, chain.policy)
        made.chains[name].rules = list(chain.rules)
    return made


# --- commands --------------------------------------------------------------------------------


def _flush_table(table: Table, _: Command) -> None:
    for chain in table.chains.values():
        chain.rules.clear()


def _add_chain(table: Table, command: Command) -> None:
    if command.name in table.chains:
        return
    if len(command.name) > LONGEST_NAME:
        raise Refused(f"{command.name}: name too long")
    said = {line[0]: line for line in command.body}
    table.chains[command.name] = Chain(
        _hook(said["type"]) if "type" in said else None, said.get("policy", ("", "accept"))[1]
    )


def _hook(line: Line) -> Hook:
    _, kind, _, name, _, *priority = line
    number = PRIORITIES.get(priority[0])
    if number is None:
        return Hook(kind, name, int(priority[0]))
    return Hook(kind, name, number + int("".join(priority[1:]) or 0))


def _flush_chain(table: Table, command: Command) -> None:
    _chain(table, command).rules.clear()


def _delete_chain(table: Table, command: Command) -> None:
    _chain(table, command).rules.clear()
    if table.leads_to(command.name):
        raise Refused(f"{command}: Device or resource busy")
    del table.chains[command.name]


def _add_rule(table: Table, command: Command) -> None:
    chain = _chain(table, command)
    rule = compiled(command.body[0])
    missing = [name for name in rule.chains if name not in table.chains]
    if missing := missing + [name for name in rule.sets if name not in table.sets]:
        raise Refused(f"{command}: no such chain or set: {missing}")
    chain.rules.append(rule)


def _add_set(table: Table, command: Command) -> None:
    said = {line[0]: line for line in command.body}
    kind = " ".join(said.get("type") or said["typeof"])
    if command.name in table.sets:
        if table.sets[command.name].kind != kind:
            raise Refused(f"{command}: File exists")
        return
    made = Set(kind, command.what == "map", kind.endswith(" verdict"))
    table.sets[command.name] = made
    if "elements" in said:
        _put(table, made, said["elements"][3:-1], command)


def _delete_set(table: Table, command: Command) -> None:
    _set(table, command)
    if table.uses(command.name):
        raise Refused(f"{command}: Device or resource busy")
    del table.sets[command.name]


def _flush_set(table: Table, command: Command) -> None:
    _set(table, command).elements.clear()


def _add_element(table: Table, command: Command) -> None:
    _put(table, _set(table, command), command.body[0], command)


def _put(table: Table, kept: Set, words: Line, command: Command) -> None:
    for name, value in elements(words):
        where, what = key(name), _value(kept, value)
        if kept.is_verdicts and what.chain and what.chain not in table.chains:
            raise Refused(f"{command}: no such chain {what.chain}")
        if kept.elements.setdefault(where, what) != what:
            raise Refused(f"{command}: {where}: File exists")


def _value(kept: Set, words: Line) -> Any:
    if not kept.is_map:
        return None
    return Verdict(*words) if kept.is_verdicts else key(words)


def _delete_element(table: Table, command: Command) -> None:
    kept = _set(table, command)
    for name, _ in elements(command.body[0]):
        if key(name) not in kept.elements:
            raise Refused(f"{command}: {key(name)}: No such file or directory")
        del kept.elements[key(name)]


def _chain(table: Table, command: Command) -> Chain:
    try:
        return table.chains[command.name]
    except KeyError:
        raise Refused(f"{command}: no such chain") from None


def _set(table: Table, command: Command) -> Set:
    try:
        return table.sets[command.name]
    except KeyError:
        raise Refused(f"{command}: no such set") from None


DEEDS = {
    ("flush", "table"): _flush_table, ("add", "chain"): _add_chain, ("flush", "chain"): _flush_chain,
    ("delete", "chain"): _delete_chain, ("add", "rule"): _add_rule,
    ("add", "set"): _add_set, ("add", "map"): _add_set, ("delete", "set"): _delete_set,
    ("delete", "map"): _delete_set, ("flush", "set"): _flush_set, ("flush", "map"): _flush_set,
    ("add", "element"): _add_element, ("delete", "element"): _delete_element,
}  # fmt: skip
