"""Which endpoints of a Service this node uses.

In:   every endpoint of one port.
Out:  those for traffic from anywhere, and those for traffic that stays on this node.
By:   model.py. Pure.

The ready ones; while there are none, those that still serve although they are terminating
(KEP-1669). Traffic from anywhere prefers those meant for this node or zone, as far as every ready
endpoint has a hint and one is for us (KEP-2433, KEP-3015).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.discovery.v1 import Endpoint


class Target(NamedTuple):
    """Where a connection may go."""

    ip: str
    port: int


class Backend(NamedTuple):
    """An endpoint of one port.

    Attributes:
        target: where it is.
        ready: it gets traffic.
        leaving: it still serves, but is terminating.
        local: it is on this node.
        nodes: the nodes which should use it; none when that is open.
        zones: the zones which should.
    """

    target: Target
    ready: bool
    leaving: bool = False
    local: bool = False
    nodes: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()

    @classmethod
    def of(cls, endpoint: Endpoint, port: int, node: str) -> Backend:
        """Return one as the API has it; a condition that is not told means yes."""
        told, hints = endpoint.conditions, endpoint.hints
        ready = told is None or told.ready is not False
        serving = ready if told is None or told.serving is None else told.serving
        return cls(
            Target(endpoint.addresses[0], port),
            ready,
            leaving=not ready and serving and bool(told and told.terminating),
            local=endpoint.nodeName == node,
            nodes=tuple(n.name for n in hints.forNodes or ()) if hints else (),
            zones=tuple(z.name for z in hints.forZones or ()) if hints else (),
        )


def choose(
    backends: Iterable[Backend], node: str, zone: str
) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
    """Return the endpoints for traffic from anywhere, and those of this node; both sorted."""
    backends = list(backends)
    near = _meant_for(node, zone, [b for b in backends if b.ready])
    return _usable(near or backends), _usable([b for b in backends if b.local])


def _meant_for(node: str, zone: str, ready: list[Backend]) -> list[Backend]:
    if all(b.nodes for b in ready) and (here := [b for b in ready if node in b.nodes]):
        return here
    return [b for b in ready if zone in b.zones] if all(b.zones for b in ready) else []


def _usable(backends: list[Backend]) -> tuple[Target, ...]:
    ready = {b.target for b in backends if b.ready}
    return tuple(sorted(ready or {b.target for b in backends if b.leaving}))
