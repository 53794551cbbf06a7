"""What we have put into the kernel, and what has to change.

In:   Services as they should stand there (rules.py).
Out:  one transaction: a script for `nft -f` with what differs.
By:   sync.py. Pure.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from kybern.proxy.base import pick
from kybern.proxy.family import IPV4, Family
from kybern.proxy.rules import EMPTY, Rendered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Kernel:
    """The Services that are in the kernel."""

    def __init__(self, table: str, family: Family = IPV4) -> None:
        self.table = table
        self.family = family
        self._services: dict[str, Rendered] = {}
        self._holders: dict[str, int] = {}  # several Services share an element of `hairpin`
        self._counts: set[int] = set()

    def plan(self, wanted: Mapping[str, Rendered]) -> str:
        """Return the transaction that brings these Services to what is wanted.

        Additions come before removals wherever one refers to the other: new chains, then
        elements, then old chains.
        """
        pairs = [(self._services.get(key, EMPTY), wanted[key]) for key in sorted(wanted)]
        pairs = [(old, new) for old, new in pairs if old != new]
        where = f"{self.family.table} {self.table}"
        clients = f"{{ type {self.family.type}; flags dynamic,timeout; }}"
        counts = set().union(*(new.counts for _, new in pairs)) - self._counts
        lines = [pick(self.table, count, self.family) for count in sorted(counts)]
        for old, new in pairs:
            lines += [f"add set {where} {n} {clients}\n" for n in sorted(new.sets - old.sets)]
            lines += _new_chains(where, old.chains, new.chains)
        lines += self._elements(where, pairs)
        for old, new in pairs:
            gone = sorted(old.chains.keys() - new.chains.keys())
            lines += [f"flush chain {where} {name}\n" for name in gone]
            lines += [f"delete chain {where} {name}\n" for name in gone]
            lines += [f"delete set {where} {name}\n" for name in sorted(old.sets - new.sets)]
        return "".join(lines)

    def applied(self, wanted: Mapping[str, Rendered]) -> None:
        """Note that the transaction went through."""
        for key, new in wanted.items():
            old = self._services.pop(key, EMPTY)
            for by, side in ((-1, old), (+1, new)):
                for element in side.elements.get("hairpin", ()):
                    self._count(element, by)
            self._counts |= new.counts
            if new != EMPTY:
                self._services[key] = new

    def forget(self) -> None:
        """Start from an empty table again."""
        self._services.clear()
        self._holders.clear()
        self._counts.clear()

    def services(self) -> list[str]:
        """Return the keys of the Services that are in the kernel."""
        return list(self._services)

    def _count(self, element: str, by: int) -> None:
        held = self._holders.get(element, 0) + by
        if held:
            self._holders[element] = held
        else:
            self._holders.pop(element, None)

    def _elements(self, where: str, pairs: Iterable[tuple[Rendered, Rendered]]) -> list[str]:
        """Return the changes of maps and sets: each is named once to go and once to come.

        A Service may get an address that another gives up in the same moment, hence all removals
        come first.
        """
        go: dict[str, list[str]] = {}
        come: dict[str, list[str]] = {}
        shared = dict.fromkeys(chain.from_iterable(o.elements.get("hairpin", ()) for o, _ in pairs))
        ahead = self._ahead(pairs)
        for old, new in pairs:
            for name in sorted(old.elements.keys() | new.elements.keys()):
                if name == "hairpin":
                    continue
                before, after = old.elements.get(name, {}), new.elements.get(name, {})
                go.setdefault(name, []).extend(k for k, v in before.items() if after.get(k) != v)
                come.setdefault(name, []).extend(
                    f"{k} : {v}" if v else k for k, v in after.items() if before.get(k) != v
                )
        go["hairpin"] = [k for k in shared if not ahead[k]]
        come["hairpin"] = [k for k, n in ahead.items() if n and not self._holders.get(k)]
        return [
            f"{verb} element {where} {name} {{ {', '.join(keys)} }}\n"
            for verb, changes in (("delete", go), ("add", come))
            for name, keys in changes.items()
            if keys
        ]

    def _ahead(self, pairs: Iterable[tuple[Rendered, Rendered]]) -> dict[str, int]:
        """Return how many Services will hold each shared element that is touched."""
        ahead: dict[str, int] = {}
        for old, new in pairs:
            for by, side in ((-1, old), (+1, new)):
                for k in side.elements.get("hairpin", ()):
                    ahead[k] = ahead.get(k, self._holders.get(k, 0)) + by
        return ahead


def _new_chains(
    where: str, old: Mapping[str, tuple[str, ...]], new: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """Return what makes chains as they should be: all names first, as they lead to each other."""
    changed = [name for name, rules in new.items() if old.get(name) != rules]
    lines = [f"{'flush' if n in old else 'add'} chain {where} {n}\n" for n in changed]
    return lines + [f"add rule {where} {name} {r}\n" for name in changed for r in new[name]]
