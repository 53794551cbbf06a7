"""Spreading endpoints over slices.

In:   the endpoints that should be, and the slices that are, for one set of ports and one family.
Out:  which slices to write anew, to change, to delete.
By:   endpointslice.plan, endpointslicemirroring.plan. Pure.

Every watcher on every node gets every changed slice, so few changed slices matter more than full
ones: endpoints stay where they are, and gaps are only filled in slices that change anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api import codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.discovery.v1 import Endpoint, EndpointSlice

Identity = tuple[str, ...]


@dataclass(slots=True)
class Spread:
    """What becomes of the slices.

    Attributes:
        create: endpoints of each new slice.
        change: slices and their new endpoints.
        keep: slices whose endpoints stay as they are.
        delete: slices that have become empty.
    """

    create: list[list[Endpoint]] = field(default_factory=list)
    change: list[tuple[EndpointSlice, list[Endpoint]]] = field(default_factory=list)
    keep: list[EndpointSlice] = field(default_factory=list)
    delete: list[EndpointSlice] = field(default_factory=list)


def spread(wanted: Sequence[Endpoint], existing: Sequence[EndpointSlice], most: int) -> Spread:
    """Decide with as few changed slices as possible.

    Args:
        wanted: all endpoints.
        existing: the slices with the same ports and family.
        most: endpoints in one slice.
    """
    missing = {identity(endpoint): endpoint for endpoint in wanted}
    result = Spread()
    for one in sorted(existing, key=lambda s: -len(s.endpoints or ())):
        _review(one, missing, most, result)
    left = list(missing.values())
    for _, endpoints in result.change:
        room = most - len(endpoints)
        endpoints.extend(left[:room])
        left = left[room:]
    left = _fill_one(left, result, most)
    result.create = [left[start : start + most] for start in range(0, len(left), most)]
    return result


def identity(endpoint: Endpoint) -> Identity:
    """Return what makes two endpoints the same one, perhaps in another condition."""
    target = endpoint.targetRef
    return (*endpoint.addresses, (target.uid if target is not None else None) or "")


def _review(
    one: EndpointSlice, missing: dict[Identity, Endpoint], most: int, result: Spread
) -> None:
    """Keep of a slice what is still wanted, in its newest form."""
    current = one.endpoints or []
    stays: list[Endpoint] = []
    for endpoint in current:
        if len(stays) == most:
            break
        wanted = missing.pop(identity(endpoint), None)
        if wanted is not None:
            stays.append(wanted)
    if not stays:
        result.delete.append(one)
    elif codec.equal(stays, current):
        result.keep.append(one)
    else:
        result.change.append((one, stays))


def _fill_one(left: list[Endpoint], result: Spread, most: int) -> list[Endpoint]:
    """Put what is left into the fullest unchanged slice that takes all of the last new slice."""
    rest = len(left) % most
    if not rest:
        return left
    fitting = [s for s in result.keep if len(s.endpoints or ()) + rest <= most]
    if not fitting:
        return left
    chosen = max(fitting, key=lambda s: len(s.endpoints or ()))
    result.keep.remove(chosen)
    result.change.append((chosen, [*(chosen.endpoints or ()), *left[-rest:]]))
    return left[:-rest]
