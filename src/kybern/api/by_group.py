"""Tables of one function per kind, kept in a module per API group.

In:   the name of the modules and of the table in each: `defaults`, `DEFAULTERS`.
Out:  one read-only mapping from (group, kind); a group's module is imported when it is asked for.
By:   `api.defaults`, `api.validation`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from kybern.api.scheme import SCHEME

T = TypeVar("T")


class ByGroup(Mapping[tuple[str, str], T], Generic[T]):
    """`(group, kind)` to whatever the group's module has for that kind."""

    def __init__(self, module: str, table: str) -> None:
        self._module = module
        self._table = table
        self._groups: dict[str, dict[str, T]] = {}

    def _group(self, group: str) -> dict[str, T]:
        found = self._groups.get(group)
        if found is None:
            head = group.split(".", 1)[0] or "core"
            known = any(kind.group == group for kind in SCHEME.kinds)
            found = self._groups[group] = self._load(head) if known else {}
        return found

    def _load(self, head: str) -> dict[str, T]:
        # A group whose rules fill a package has its table in that package's `all`.
        for name in (f"{head}.{self._module}.all", f"{head}.{self._module}"):
            try:
                spec = importlib.util.find_spec(f"kybern.api.{name}")
            except ModuleNotFoundError:
                continue
            if spec is not None:
                module = importlib.import_module(f"kybern.api.{name}")
                table: dict[str, T] = getattr(module, self._table)
                return table
        return {}

    def __getitem__(self, key: tuple[str, str]) -> T:
        return self._group(key[0])[key[1]]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for group in dict.fromkeys(kind.group for kind in SCHEME.kinds):
            for kind in self._group(group):
                yield group, kind

    def __len__(self) -> int:
        return sum(1 for _ in self)
