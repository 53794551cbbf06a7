"""Sets of fields, in the form in which managedFields carry them.

A set is the tree of a FieldsV1 itself: a key is one step of a path, its value the steps below.

    {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:replicas": {}}}

holds `.metadata.labels`, `.metadata.labels.app` and `.spec.replicas`. A step that ends a path has
an empty value; one that ends a path and leads on has `.` among its steps. Steps are `f:name` for a
field or key of a map, `k:{"name":"x"}` for an item by its keys, `v:"x"` for an item of a set,
`i:0` for an index. So the algebra needs no parsing, and what is stored is what is computed with.

In:   sets.
Out:  sets. Nothing is changed in place, and results share what they can: treat sets as values.
By:   managed_fields.py and apply.py. The order of steps is upstream's (structured-merge-diff).
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

from kybern.api.bad_value import quote
from kybern.api.patch import go_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FieldSet = dict[str, Any]

SELF: Final = "."
LEAF: Final[FieldSet] = {}
"""The value of a step that ends a path. Shared; never write into it."""

_RANKS: Final = {"f": 1, "k": 2, "v": 3, "i": 4}
_SORTED_BY_VALUE: Final = frozenset("kvi")
_HTML: Final = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def field(name: str) -> str:
    """Return the step to a field of a struct or a key of a map."""
    return "f:" + name


def key(values: Mapping[str, Any]) -> str:
    """Return the step to the item of a list that has these values."""
    return "k:" + _json({name: values[name] for name in sorted(values)})


@functools.lru_cache(maxsize=4096)
def named(name: str, value: str) -> str:
    """Return the step to the item with one key that is a string: nearly all of them."""
    return key({name: value})


def value(item: Any) -> str:
    """Return the step to an item of a set."""
    return "v:" + _json(item)


def _json(tree: Any) -> str:
    text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_HTML)  # as Go's encoder writes strings


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in either."""
    if one is other or not other:
        return one
    if not one:
        return other
    out = dict(one)
    grown = False
    for step, below in other.items():
        mine = out.get(step)
        if mine is None:
            out[step] = below
            grown = True
        elif mine is not below:
            out[step] = _join(mine, below)
    return in_order(out) if grown else out


def _join(one: FieldSet, other: FieldSet) -> FieldSet:
    if one and other:
        return union(one, other)
    if not one and not other:
        return LEAF
    return _with_self(one or other)


def _with_self(below: FieldSet) -> FieldSet:
    return below if SELF in below else {SELF: LEAF, **below}


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in `one` and not in `other`; a path goes without those below it."""
    if not other or not one:
        return one
    out: FieldSet = {}
    changed = False
    for step, below in one.items():
        theirs = other.get(step)
        if theirs is None:
            out[step] = below
            continue
        rest = _subtract(below, theirs)
        changed = changed or rest is not below
        if rest is not None:
            out[step] = rest
    return out if changed else one


def _subtract(below: FieldSet, theirs: FieldSet) -> FieldSet | None:
    """Subtract what is under one step; None when nothing is left of it."""
    if not below:
        return None if not theirs or SELF in theirs else below
    if not theirs:
        rest = {step: under for step, under in below.items() if step != SELF}
        return rest if len(rest) < len(below) else below
    mine = SELF in below
    rest = difference(below, theirs)
    if rest is below:
        return below
    if mine and SELF in rest and len(rest) == 1:
        return LEAF
    return rest or None


def without(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in `one` and neither in `other` nor below a path of it."""
    if not other or not one:
        return one
    out: FieldSet = {}
    for step, below in one.items():
        theirs = other.get(step)
        if theirs is None:
            out[step] = below
        elif not theirs or SELF in theirs:
            continue
        elif not below:
            out[step] = below
        else:
            rest = without(below, theirs)
            if len(rest) == 1 and SELF in rest:
                out[step] = LEAF
            elif rest:
                out[step] = rest
    return out


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in both."""
    if one is other:
        return one
    out: FieldSet = {}
    for step, below in one.items():
        theirs = other.get(step)
        if theirs is None:
            continue
        member = is_member(below) and is_member(theirs)
        common = intersection(below, theirs) if below and theirs else LEAF
        rest = {s: u for s, u in common.items() if s != SELF}
        if rest:
            out[step] = {SELF: LEAF, **rest} if member else rest
        elif member:
            out[step] = LEAF
    return out


def is_member(below: FieldSet) -> bool:
    """Whether a path ends at the step that has this below it."""
    return not below or SELF in below


def has(fields: FieldSet, *path: str) -> bool:
    """Whether the path is in the set."""
    for step in path:
        found = fields.get(step)
        if found is None:
            return False
        fields = found
    return bool(path) and is_member(fields)


def of(*paths: tuple[str, ...]) -> FieldSet:
    """Return the set of these paths, each a tuple of steps."""
    out: FieldSet = {}
    for path in paths:
        one: FieldSet = LEAF
        for step in reversed(path):
            one = {step: one}
        out = union(out, one)
    return out


def paths(fields: FieldSet, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every path, in the order in which upstream walks: those that end here come first."""
    for step, below in fields.items():
        if step != SELF and is_member(below):
            yield (*prefix, step)
    for step, below in fields.items():
        if below:
            yield from paths(below, (*prefix, step))


def text(path: tuple[str, ...]) -> str:
    """Return a path as messages show it: `.spec.containers[name="x"].image`."""
    return "".join(map(step_text, path))


def step_text(step: str) -> str:
    """Return one step as messages show it."""
    kind, _, rest = step.partition(":")
    if kind == "f":
        return "." + rest
    if kind == "k":
        pairs = json.loads(rest)
        return "[" + ",".join(f"{name}={_show(pairs[name])}" for name in sorted(pairs)) + "]"
    if kind == "v":
        return f"[={_show(json.loads(rest))}]"
    return f"[{rest}]"


def _show(scalar: Any) -> str:
    if scalar is None:
        return "null"
    return quote(scalar) if isinstance(scalar, str) else go_format.plain(scalar)


def in_order(fields: FieldSet) -> FieldSet:
    """Return the set with the steps of its first level in upstream's order."""
    if any(step[0] in _SORTED_BY_VALUE for step in fields):
        return {step: fields[step] for step in sorted(fields, key=order)}
    return {step: fields[step] for step in sorted(fields)}  # `.` and fields: text will do


def parse(tree: Any) -> FieldSet:
    """Return the set in a FieldsV1 that a client may have written.

    Unknown kinds of steps are dropped, as upstream does.

    Raises:
        ValueError: no set; the text says why.
    """
    if not isinstance(tree, dict):
        raise ValueError("not an object")  # noqa: TRY004 - bad input, not a bug
    return in_order({step: parse(below) for step, below in tree.items() if _known(step)})


def _known(step: str) -> bool:
    if step == SELF:
        return True
    if len(step) < 2:
        raise ValueError("key must be 2 characters long:")
    if step[1] != ":":
        raise ValueError(f"missing colon: {step}")
    if step[0] == "k" and not isinstance(json.loads(step[2:]), dict):
        raise ValueError(f"not the keys of an item: {step}")
    if step[0] == "v":
        json.loads(step[2:])
    return step[0] in _RANKS


@functools.lru_cache(maxsize=8192)
def order(step: str) -> tuple[Any, ...]:
    """Return what sorts steps as upstream does: fields, keys, values, indices; numbers by size."""
    if step == SELF:
        return (0,)
    kind, rest = step[0], step[2:]
    rank = _RANKS[kind]
    if kind == "f":
        return rank, rest
    if kind == "i":
        return rank, int(rest)
    if kind == "v":
        return rank, _comparable(json.loads(rest))
    pairs = json.loads(rest)
    return rank, tuple((name, _comparable(pairs[name])) for name in sorted(pairs))


def _comparable(scalar: Any) -> tuple[int, Any]:
    """Order scalars of different kinds: numbers, strings, booleans, null, the rest."""
    if isinstance(scalar, bool):
        return 2, scalar
    if isinstance(scalar, int | float):
        return 0, scalar
    if isinstance(scalar, str):
        return 1, scalar
    return (3, 0) if scalar is None else (4, _json(scalar))
