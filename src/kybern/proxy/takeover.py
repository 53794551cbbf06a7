"""What an earlier run left in the kernel and is kept: which clients have which endpoint.

In:   our table as nft lists it, without elements.
Out:  the beginning of a transaction that empties the table of all else.
By:   sync.py, whenever everything is written anew.

Packets go by the old rules until the transaction comes into force, and by the new ones from then
on; clients who had to stay with their endpoint do.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from kybern.proxy import nft
from kybern.proxy.rules import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.proxy.family import Family


class Earlier(NamedTuple):
    """A table that is there.

    Attributes:
        clearing: the script that leaves nothing but the sets of clients; "" for no such table.
        clients: the names of these.
    """

    clearing: str = ""
    clients: frozenset[str] = frozenset()


async def find(table: str, family: Family) -> Earlier:
    """Look what is there."""
    words = [nft.program(), "-j", "-t", "list", "table", family.table, table]
    code, listing = await nft.run(words)
    return Earlier() if code else read(listing, f"{family.table} {table}")


def read(listing: str, where: str) -> Earlier:
    """Understand a listing in JSON."""
    found: dict[str, list[str]] = {"set": [], "map": [], "chain": []}
    for each in json.loads(listing)["nftables"]:
        for kind in each.keys() & found.keys():
            found[kind].append(each[kind]["name"])
    clients = frozenset(name for name in found["set"] if name.startswith(f"{CLIENTS}-"))
    found["set"] = [name for name in found["set"] if name not in clients]
    lines = [f"flush table {where}"]  # of rules, so that nothing needs the rest
    lines += [f"flush map {where} {name}" for name in found["map"]]
    lines += [f"delete {kind} {where} {name}" for kind, names in found.items() for name in names]
    return Earlier("".join(f"{line}\n" for line in lines), clients)


def forget(table: str, family: Family, clients: Iterable[str]) -> str:
    """Return the script that removes sets of clients which nobody needs."""
    return "".join(f"delete set {family.table} {table} {name}\n" for name in sorted(clients))
