"""Endpoints come and go without haproxy reading anything anew.

In:   which servers haproxy has, and the targets there are now.
Out:  commands for its runtime API, or that there is no room.
By:   haproxy.py. Pure.

Each backend has more servers than it needs, the spare ones in maintenance. What is new moves into a
spare one; what went away goes into maintenance, where its requests end in peace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kybern.ingress.backends import Backend, Target

SPARE = 4  # servers a backend has at least

Slots = tuple["Target | None", ...]


def fresh(backends: Mapping[str, Backend]) -> dict[str, Slots]:
    """Return the servers of a new configuration: as many again as there are targets."""
    return {name: _fresh(backend.targets) for name, backend in backends.items()}


def _fresh(targets: Sequence[Target]) -> Slots:
    return (*targets, *[None] * max(SPARE, len(targets)))


def moved(slots: Slots, targets: Sequence[Target]) -> Slots | None:
    """Return the servers after a change; None when they are too few.

    A server that just became free is taken last: its connections may still be in use.
    """
    wanted = set(targets)
    left = [at if at in wanted else None for at in slots]
    new = sorted(wanted.difference(slots))
    free = [i for i, at in enumerate(slots) if at is None]
    free += [i for i, at in enumerate(slots) if at is not None and at not in wanted]
    if len(new) > len(free):
        return None
    for index, target in zip(free, new, strict=False):
        left[index] = target
    return tuple(left)


def commands(name: str, old: Slots, new: Slots) -> list[str]:
    """Return how to get from one to the other: first who is new, then who leaves."""
    pairs = [(i, a, b) for i, (a, b) in enumerate(zip(old, new, strict=True), 1) if a != b]
    words = []
    for i, _, target in pairs:
        if target is not None:
            words.append(f"set server {name}/s{i} addr {target.ip} port {target.port}")
            words.append(f"set server {name}/s{i} state ready")
    return words + [f"set server {name}/s{i} state maint" for i, _, b in pairs if b is None]
