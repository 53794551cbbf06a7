"""The memory store, with somebody looking on.

Every committed event is told to the onlookers before anybody else hears of it. A world begins with
a copy of what a fresh cluster holds, so that writing that is not part of every seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.store.kv import mvcc
from kybern.store.kv.memory import MemoryEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.store.interface import Entry, Event

    Onlooker = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Base:
    """What is stored when a world begins."""

    entries: dict[str, Entry]
    revision: int


class ToldEngine(MemoryEngine):
    """A memory engine which tells onlookers."""

    def __init__(self, base: Base | None = None) -> None:
        super().__init__()
        self.onlookers: list[Onlooker] = []
        if base is not None:
            self._state = mvcc.State(dict(base.entries), base.revision, base.revision)

    @property
    def entries(self) -> dict[str, Entry]:
        """What there is, by key; borrowed."""
        return self._state.current

    def base(self) -> Base:
        """Return a copy of what there is."""
        return Base(dict(self._state.current), self.revision)

    async def _commit(self, event: Event) -> Entry:
        for onlooker in self.onlookers:
            onlooker(event)
        return await super()._commit(event)
