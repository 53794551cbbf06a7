"""How a DaemonSet gets from the old template to the new one.

In:   what is on each node.
Out:  pods to delete, nodes to get a second pod.
By:   daemonset.plan, when every node has what it should have. Pure.

Either old pods are deleted, so that at most `maxUnavailable` nodes are without, and the nodes get
new ones as any node without a pod; or new pods are put beside at most `maxSurge` old ones, which go
when the new ones are available.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api.core import pods as ask
from kybern.controllers.daemonset.placement import is_updated
from kybern.controllers.runtime.availability import is_available
from kybern.controllers.runtime.shares import share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kybern.api.apps.v1 import DaemonSet, RollingUpdateDaemonSet
    from kybern.api.core.v1 import Pod


@dataclass(frozen=True, slots=True)
class Site:
    """A node and the pods on it.

    Attributes:
        name: of the node.
        runs: whether it should have one.
        stays: whether a pod that is there may stay.
        pods: those there are.
    """

    name: str
    runs: bool
    stays: bool
    pods: Sequence[Pod]


def surge(daemon_set: DaemonSet, wanted: int) -> int:
    """Return on how many nodes there may be two pods."""
    rolling = _rolling(daemon_set)
    return share(rolling.maxSurge or 0, wanted) or 0 if rolling is not None else 0


def roll(
    daemon_set: DaemonSet, sites: Iterable[Site], digest: str, now: float
) -> tuple[list[Pod], list[str]]:
    """Return the pods to delete and the nodes that get another."""
    places = list(sites)
    wanted = sum(site.runs for site in places)
    rolling = _rolling(daemon_set)
    most = share(rolling.maxUnavailable or 0, wanted) or 0 if rolling is not None else 0
    extra = surge(daemon_set, wanted)
    if not extra:
        most = max(most, 1) if wanted else most
        return _replace(daemon_set, places, digest, most, now), []
    return _surge(daemon_set, places, digest, extra, now)


def old_and_new(
    daemon_set: DaemonSet, pods: Iterable[Pod], digest: str
) -> tuple[list[Pod], list[Pod]]:
    """Sort pods, without those on their way out."""
    sides: Mapping[bool, list[Pod]] = {False: [], True: []}
    for pod in pods:
        if not ask.is_terminating(pod):
            sides[is_updated(daemon_set, pod, digest)].append(pod)
    return sides[False], sides[True]


def _replace(
    daemon_set: DaemonSet, sites: list[Site], digest: str, most: int, now: float
) -> list[Pod]:
    patience = daemon_set.spec.minReadySeconds or 0
    unavailable = 0
    broken: list[Pod] = []
    serving: list[Pod] = []
    for site in sites:
        old, new = old_and_new(daemon_set, site.pods, digest)
        if len(old) + len(new) != 1:
            unavailable += 1  # being made, or being cleaned up
        elif new:
            unavailable += not is_available(new[0], patience, now)
        elif is_available(old[0], patience, now):
            serving += old
        else:
            broken += old
    # What serves nobody is replaced in any case: the new template may be what puts it right.
    return broken + serving[: max(0, most - unavailable)]


def _surge(
    daemon_set: DaemonSet, sites: list[Site], digest: str, extra: int, now: float
) -> tuple[list[Pod], list[str]]:
    patience = daemon_set.spec.minReadySeconds or 0
    gone: list[Pod] = []
    needed: list[str] = []
    candidates: list[str] = []
    for site in sites:
        old, new = old_and_new(daemon_set, site.pods, digest)
        if len(old) > 1 or len(new) > 1:
            extra -= 1
        elif old and new:
            if is_available(new[0], patience, now):
                gone += old
            else:
                extra -= 1
        elif old and site.runs:
            (candidates if is_available(old[0], patience, now) else needed).append(site.name)
        elif old and not is_available(old[0], patience, now):
            gone += old  # nobody wants it here, and it serves nobody
    return gone, needed + candidates[: max(0, extra)]


def _rolling(daemon_set: DaemonSet) -> RollingUpdateDaemonSet | None:
    strategy = daemon_set.spec.updateStrategy
    return strategy.rollingUpdate if strategy is not None else None
