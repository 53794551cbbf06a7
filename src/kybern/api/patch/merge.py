"""Merge what somebody declares into the live object, as the schema says.

In:   a schema Node, the live tree and the declared one.
Out:  the merged tree; parts that nobody touched are shared with the live one.
By:   apply.py. Source of the rules: structured-merge-diff, also for the order of items.
"""

from __future__ import annotations

from typing import Any, Final

from kybern.api.fields import Shape
from kybern.api.patch.items import item_step
from kybern.api.patch.schema import DEDUCED, Node

_NOTHING: Final = object()


def merge(node: Node, live: dict[str, Any], declared: dict[str, Any]) -> dict[str, Any]:
    """Return the object with everything declared in it."""
    merged = _merge(node, live, declared)
    return merged if isinstance(merged, dict) else {}


def _merge(node: Node, live: Any, declared: Any) -> Any:
    """Merge two values; `_NOTHING` stands for a missing one, and for a result without parts."""
    if declared is _NOTHING:
        return live
    if node.leaf or live is _NOTHING or not (live or declared):
        return declared
    if node.shape is Shape.LIST:
        if isinstance(live, list | None) and isinstance(declared, list | None):
            return _merge_items(node, live or [], declared or [])
        return declared
    if isinstance(live, dict | None) and isinstance(declared, dict | None):
        return _merge_map(node, live or {}, declared or {})
    return declared


def _merge_map(node: Node, live: dict[str, Any], declared: dict[str, Any]) -> Any:
    out: dict[str, Any] = {}
    for name in {**live, **declared}:
        child = node.child(name) or DEDUCED
        merged = _merge(child, live.get(name, _NOTHING), declared.get(name, _NOTHING))
        if merged is not _NOTHING:
            out[name] = merged
    return out or _NOTHING


def _merge_items(node: Node, live: list[Any], declared: list[Any]) -> Any:
    """Merge two lists: declared items in their order, the others where they were among them."""
    element = node.element or DEDUCED
    before = [item_step(node, item) for item in live]
    wanted = {item_step(node, item): item for item in declared}
    old: dict[str, Any] = {}
    for step, item in zip(before, live, strict=True):
        old[step] = None if step in old else item  # repeated ones are not merged with
    out: list[Any] = []
    for place in _order(before, list(wanted)):
        if isinstance(place, int):
            out.append(live[place])
            continue
        mine = old.get(place)
        merged = _merge(element, _NOTHING if mine is None else mine, wanted[place])
        if merged is not _NOTHING:
            out.append(merged)
    return out or _NOTHING


def _order(before: list[str], after: list[str]) -> list[int | str]:
    """Return the order of the result: an index of `before` for what stays, a step of `after`.

    Both lists are walked at once. What is only live is taken when its turn comes; what is in both
    is taken when the declared order has come to it.
    """
    declared, live = set(after), set(before)
    shared = [step for step in after if step in live]
    done: set[str] = set()
    out: list[int | str] = []
    l_at = r_at = 0
    while l_at < len(before) or r_at < len(after):
        if l_at < len(before) and r_at < len(after):
            step = before[l_at]
            if step == after[r_at]:
                out.append(step)
                done.add(step)
                shared = shared[1:]
                l_at, r_at = l_at + 1, r_at + 1
                continue
            if step in declared and shared and shared[0] != step:
                l_at += 1  # declared too, but not its turn: it comes with the declared items
                continue
        if l_at < len(before):
            step = before[l_at]
            if step not in declared:
                out.append(l_at)
                l_at += 1
                continue
            if step in done:
                l_at += 1
        if r_at < len(after):
            step = after[r_at]
            out.append(step)
            done.add(step)
            if shared and shared[0] == step:
                shared = shared[1:]
            r_at += 1
    return out
