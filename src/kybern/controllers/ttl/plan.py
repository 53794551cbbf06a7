"""How long kubelets may keep Secrets and ConfigMaps.

In:   how many nodes there are, the current step; a node.
Out:  the next step; what the node's annotation has to say.
By:   ttl.controller. Pure.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kybern.api.core.v1 import Node

ANNOTATION = "node.alpha.kubernetes.io/ttl"


class Step(NamedTuple):
    """A range of cluster sizes; neighbours overlap, so that one node more or less is no matter."""

    smallest: float
    largest: float
    seconds: int


STEPS = (
    Step(0, 100, 0),
    Step(90, 500, 15),
    Step(450, 1000, 30),
    Step(900, 2000, 60),
    Step(1800, inf, 300),
)


def step(nodes: int, current: int) -> int:
    """Return the number of the step for so many nodes, coming from the current one."""
    while nodes > STEPS[current].largest:
        current += 1
    while nodes < STEPS[current].smallest:
        current -= 1
    return current


def wanted(node: Node, seconds: int) -> str | None:
    """Return what to write into the annotation; None when it says so already."""
    said = (node.metadata.annotations or {}).get(ANNOTATION, "")
    return None if said.isascii() and said.isdigit() and int(said) == seconds else str(seconds)
