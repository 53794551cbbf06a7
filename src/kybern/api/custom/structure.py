"""What an object of a custom kind may hold: a compiled structural schema.

In:   the OpenAPI v3 schema of a definition's version, as a tree.
Out:  Structure: prunes what the schema does not name, fills in defaults, and (by `values`) judges.
By:   `reading`, `apiserver/custom`. Facts: KEP 2337, KEP 1788 (nulls), upstream's
      apiextensions-apiserver/pkg/apiserver/schema.

Objects are changed in place: they are the caller's.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kybern.api import codec
from kybern.api.custom.rules import KEYWORDS, RULES
from kybern.api.fields import fields_of
from kybern.api.meta.v1 import ObjectMeta

Tree = dict[str, Any]

UNSET: Final = object()
JOINED: Final = ("allOf", "anyOf", "oneOf", "not")
SEEN_OTHERWISE: Final = frozenset(("date-time", "date", "duration", "byte"))
_PLAIN_NAME: Final = re.compile(r"_?[a-zA-Z][a-zA-Z0-9]*(_[a-zA-Z0-9]+)*")
ENVELOPE: Final = frozenset(("kind", "apiVersion", "metadata"))


class Structure:
    """The schema of one value, and of everything in it.

    Attributes:
        tree: the schema as it was written.
        type: `object`, `array`, `string`, `integer`, `number`, `boolean`, or "" for any.
        properties: the schemas of fields.
        extra: the schema of the values of a map; None when it is no map.
        items: the schema of the items of a list.
        joined: the schemas in allOf, anyOf, oneOf and not, which only judge.
        open: whether fields nobody named stay.
        envelope: whether kind, apiVersion and metadata are there besides.
        nullable: whether null is a value.
        default: what it is when it is left out; UNSET when it may stay out.
        fills: whether there is a default in it anywhere.
        keeps_all: whether nothing in it is ever pruned.
        ruled: whether there is a rule for it, or for anything in it.
        plain: whether rules see it just as JSON has it.
    """

    __slots__ = (
        "default", "envelope", "extra", "fills", "items", "joined", "keeps_all", "nullable", "open",
        "plain", "properties", "ruled", "tree", "type",
    )  # fmt: skip

    def __init__(self, tree: Tree, *, root: bool = False) -> None:
        self.tree = tree
        self.type: str = tree.get("type") or ""
        self.properties = {
            name: Structure(each) for name, each in (tree.get("properties") or {}).items()
        }
        values = tree.get("additionalProperties")
        self.extra = Structure(values) if isinstance(values, dict) else None
        items = tree.get("items")
        self.items = Structure(items) if isinstance(items, dict) else None
        self.joined = {
            word: [Structure(each) for each in (found if isinstance(found, list) else [found])]
            for word in JOINED
            if (found := tree.get(word)) is not None
        }
        preserves = bool(tree.get("x-kubernetes-preserve-unknown-fields"))
        self.open = preserves or values is True
        self.envelope = root or bool(tree.get("x-kubernetes-embedded-resource"))
        self.nullable = bool(tree.get("nullable"))
        self.default = tree["default"] if tree.get("default") is not None else UNSET
        parts = self._parts()
        self.fills: bool = self.default is not UNSET or any(part.fills for part in parts)
        closed = self.type == "object" and self.extra is None and not self.open
        closed = closed or (self.envelope and not root)
        self.ruled: bool = bool(tree.get(RULES)) or any(part.ruled for part in parts)
        self.plain: bool = self._is_plain()
        self.keeps_all: bool = not closed and all(part.keeps_all for part in parts)

    def _is_plain(self) -> bool:
        if self.type == "number" or self.tree.get("format") in SEEN_OTHERWISE:
            return False
        named = all(_PLAIN_NAME.fullmatch(n) and n not in KEYWORDS for n in self.properties)
        return named and all(part.plain for part in self._parts())

    def _parts(self) -> list[Structure]:
        parts = list(self.properties.values())
        return parts + [part for part in (self.extra, self.items) if part is not None]

    def prune(self, value: Any, path: str = "") -> list[str]:
        """Drop the fields that the schema does not name; return where they were, in order."""
        gone: list[str] = []
        if not self.keeps_all:
            self.cut(value, path, gone)
        return sorted(gone)

    def cut(self, value: Any, path: str, gone: list[str]) -> None:
        """Do so, and note where they were."""
        if isinstance(value, list):
            if self.items is not None and not self.items.keeps_all:
                for index, item in enumerate(value):
                    self.items.cut(item, f"{path}[{index}]", gone)
            return
        if not isinstance(value, dict):
            return
        for name in list(value):
            where = f"{path}.{name}" if path else name
            if self.envelope and name in ENVELOPE:
                if name == "metadata" and path:
                    _prune_metadata(value[name], where, gone)
                continue
            part = self.properties.get(name, self.extra)
            if part is not None:
                if not part.keeps_all:
                    part.cut(value[name], where, gone)
            elif not self.open:
                gone.append(where)
                del value[name]

    def fill(self, value: Any) -> None:
        """Put defaults where nothing is said; null counts as nothing where it is no value."""
        if isinstance(value, dict):
            for name, part in self.properties.items():
                if part.default is not UNSET:
                    found = value.get(name, UNSET)
                    if found is UNSET or (found is None and not part.nullable):
                        value[name] = codec.clone(part.default)
            for name, each in value.items():
                part_of = self.properties.get(name, self.extra)
                if part_of is None or not part_of.fills:
                    continue
                if each is None and not part_of.nullable and part_of.default is not UNSET:
                    each = value[name] = codec.clone(part_of.default)
                part_of.fill(each)
        elif isinstance(value, list) and self.items is not None and self.items.fills:
            for index, each in enumerate(value):
                if each is None and not self.items.nullable and self.items.default is not UNSET:
                    each = value[index] = codec.clone(self.items.default)
                self.items.fill(each)

    def drop_nulls(self, value: Any) -> None:
        """Drop nulls where null is no value and no default stands in for it."""
        if isinstance(value, dict):
            for name in [name for name, each in value.items() if each is None]:
                part = self.properties.get(name)
                if part is not None and not part.nullable and part.default is UNSET:
                    del value[name]
            for name, each in value.items():
                part = self.properties.get(name, self.extra)
                if part is not None:
                    part.drop_nulls(each)
        elif isinstance(value, list) and self.items is not None:
            for each in value:
                self.items.drop_nulls(each)


def _prune_metadata(metadata: Any, path: str, gone: list[str]) -> None:
    """Drop what is no metadata, of an object within another."""
    if isinstance(metadata, dict):
        for name in [name for name in metadata if name not in fields_of(ObjectMeta)]:
            gone.append(f"{path}.{name}")
            del metadata[name]
