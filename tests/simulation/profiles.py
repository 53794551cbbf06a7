"""What a seed brings: how big the cluster is, and how often what goes wrong.

Drawn from the seed, so that calm and rough runs, FIFO and shuffled ones, all come along.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

HOUR = 3600.0
TROUBLE = 2400.0  # until then things are changed and go wrong; then they must come to rest


@dataclass(frozen=True, slots=True)
class Profile:
    """The choices of one seed.

    Attributes:
        nodes: how many there are.
        room: thousandths of a processor that each has; a pod asks for 250.
        shuffled: whether the loop draws what runs next; else first come, first served.
        latency: seconds a request and an answer, or a piece of a watch, take on average.
        refused: share of requests that never arrive.
        lost: share of writes that are carried out and answered with a broken connection.
        unavailable: share of requests answered 503.
        conflicts: share of updates and patches answered 409.
        drops: share of the pieces of a watch with which the connection breaks.
        stalls: share of the pieces of a watch that take up to half a minute.
        crashes: how often a component dies.
        deaths: how often a node dies for a while.
        losses: how often a node is gone for good, and its object deleted.
        compactions: how often the store forgets its past.
        slow: share of nodes that take a minute for what others do in seconds.
        events: whether Events are written; else they are accepted and forgotten.
        deployments: how many there are.
        steps: how many things users do.
        whole: whether every controller runs and every kind is followed; else those that this
            workload has to do with.
        busy: whether bookmarks and renewed watches come at the usual pace; else rarely.
        real_nodes: whether nodes run the real kubelet on the fake runtime.
    """

    nodes: int = 3
    room: int = 4000
    shuffled: bool = True
    latency: float = 0.005
    refused: float = 0.0
    lost: float = 0.0
    unavailable: float = 0.0
    conflicts: float = 0.0
    drops: float = 0.0
    stalls: float = 0.0
    crashes: int = 0
    deaths: int = 0
    losses: int = 0
    compactions: int = 0
    slow: float = 0.0
    events: bool = False
    deployments: int = 3
    steps: int = 8
    whole: bool = False
    busy: bool = False
    real_nodes: bool = False


def draw(seed: int, rng: Random) -> Profile:
    """Draw the profile of a seed: a quarter are calm, every hundredth has real kubelets."""
    profile = _drawn(rng)
    if seed % 100 == 99:
        return replace(profile, real_nodes=True, whole=True, room=4000)
    return profile


def _drawn(rng: Random) -> Profile:
    size = {
        "nodes": rng.randint(2, 3),
        "room": rng.choice((2500, 4000)),
        "whole": rng.random() < 0.05,
        "busy": rng.random() < 0.05,
        "shuffled": rng.random() < 0.8,
        "latency": rng.choice((0.0, 0.0, 0.002, 0.02, 0.2)),
        "events": rng.random() < 0.1,
        "deployments": rng.randint(1, 3),
        "steps": rng.randint(3, 7),
        "slow": rng.choice((0.0, 0.0, 0.3)),
    }
    if rng.random() < 0.25:
        return Profile(**size)

    def some(*shares: float) -> float:
        return rng.choice((0.0, *shares))

    return Profile(
        **size,
        refused=some(0.01, 0.05),
        lost=some(0.01, 0.05),
        unavailable=some(0.01, 0.05),
        conflicts=some(0.02, 0.1),
        drops=some(0.01, 0.1),
        stalls=some(0.01, 0.05),
        crashes=rng.randint(0, 4),
        deaths=rng.choice((0, 0, 0, 1, 2)),
        losses=rng.choice((0, 0, 0, 0, 1)),
        compactions=rng.choice((0, 0, 2)),
    )
