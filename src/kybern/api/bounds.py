"""How deep a document may nest, and how large one may become: decided before it is made.

In:   the text of JSON or YAML.
Out:  nothing, or the sentence that says what is too much.
By:   the codec, the readers of patches, yaml_text; the registry, before it stores.

Readers of nested documents call themselves, some of them in C: what nests too deeply would end
the process. And a few lines of YAML whose aliases stand for aliases become gigabytes.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from kybern.api.fields import Shape, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

DEEPEST: Final = 200
"""Of objects and lists within each other. Upstream's limit is 10000; its objects need about 50."""
TOO_DEEP: Final = f"exceeded max depth of {DEEPEST}"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = tuple(1 if code in b"[{" else -1 for code in range(256))

FEW_ALIASES, FEW_NODES = 100, 1000
MANY_NODES, TOO_MANY_NODES = 400_000, 4_000_000
HIGHEST_RATIO, LOWEST_RATIO = 0.99, 0.10


def too_deep(data: bytes) -> bool:
    """Say whether JSON nests deeper than it may. Whether it is JSON is not looked at."""
    # What is empty holds nothing: managedFields have hundreds of those, side by side.
    empty = data.count(b"{}") + data.count(b"[]")
    if data.count(b"{") + data.count(b"[") - empty < DEEPEST:
        return False
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEEPEST


_open_ended: dict[type[msgspec.Struct], bool] = {}


def open_ended(struct: type[msgspec.Struct]) -> bool:
    """Say whether objects of a type can nest without end; what owns their fields is not counted."""
    found = _open_ended.get(struct)
    if found is None:
        found = _open_ended[struct] = _reaches(struct, ())
    return found


def _reaches(struct: type[msgspec.Struct], around: tuple[type, ...]) -> bool:
    if struct in around:
        return True
    inner = (*around, struct)
    return any(
        info.shape is Shape.ANY
        or info.item is Shape.ANY
        or (info.element is not None and _reaches(info.element, inner))
        for info in fields_of(struct).values()
        if info.name != "managedFields"
    )


class Excess(ValueError):
    """The document is too deep or would become too large."""


class Growth:
    """Follows the events of a YAML document and says when it becomes too much.

    Source: go-yaml refuses documents most of which comes from aliases; small ones may do so.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str | None, int]] = []  # anchor, nodes before it
        self._sizes: dict[str, int] = {}
        self._nodes = 0
        self._aliased = 0

    def check(self, events: Iterable[object]) -> None:
        """Look at the events of one document.

        Raises:
            Excess: with go-yaml's sentence.
        """
        for event in events:
            kind = type(event).__name__
            if kind == "ScalarEvent":
                self._leaf(getattr(event, "anchor", None))
            elif kind in ("MappingStartEvent", "SequenceStartEvent"):
                self._begin(getattr(event, "anchor", None))
            elif kind in ("MappingEndEvent", "SequenceEndEvent"):
                self._end()
            elif kind == "AliasEvent":
                self._alias(getattr(event, "anchor", ""))

    def _leaf(self, anchor: str | None) -> None:
        self._nodes += 1
        if anchor:
            self._sizes[anchor] = 1

    def _begin(self, anchor: str | None) -> None:
        if len(self._open) >= DEEPEST:
            raise Excess(TOO_DEEP)
        self._open.append((anchor, self._nodes))
        self._nodes += 1
        if anchor:
            self._sizes.pop(anchor, None)

    def _end(self) -> None:
        anchor, before = self._open.pop()
        if anchor:
            self._sizes[anchor] = self._nodes - before

    def _alias(self, anchor: str) -> None:
        size = self._sizes.get(anchor)
        if size is None:
            if any(anchor == name for name, _ in self._open):
                raise Excess(f"anchor '{anchor}' value contains itself")
            raise Excess(f"unknown anchor '{anchor}' referenced")
        self._nodes += size
        self._aliased += size
        few = self._aliased <= FEW_ALIASES or self._nodes <= FEW_NODES
        if not few and self._aliased > self._nodes * _allowed(self._nodes):
            raise Excess("document contains excessive aliasing")


def _allowed(nodes: int) -> float:
    """Return which part of a document of so many nodes may come from aliases."""
    if nodes <= MANY_NODES:
        return HIGHEST_RATIO
    if nodes >= TOO_MANY_NODES:
        return LOWEST_RATIO
    way = (nodes - MANY_NODES) / (TOO_MANY_NODES - MANY_NODES)
    return HIGHEST_RATIO - (HIGHEST_RATIO - LOWEST_RATIO) * way
