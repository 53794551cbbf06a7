"""What to do about the pods of a DaemonSet.

In:   a DaemonSet, its pods, all nodes, the hash of the current template, the time.
Out:  a `Plan`: pods to make and to delete, what to tell, the status to write.
By:   daemonset.controller. Pure.

First every node gets what it should have; only when nothing is left to do there, old pods are
replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api.apps.v1 import DaemonSetStatus
from kybern.api.core import pods as ask
from kybern.controllers.daemonset.placement import fate, is_updated, target_of
from kybern.controllers.daemonset.rolling import Site, old_and_new, roll, surge
from kybern.controllers.runtime.availability import available_in, is_available

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kybern.api.apps.v1 import DaemonSet
    from kybern.api.core.v1 import Node, Pod

BURST = 250  # pods made or deleted in one go


@dataclass(slots=True)
class Plan:
    """What to do now.

    Attributes:
        status: as it should be.
        create: names of nodes that get a pod.
        delete: pods to delete.
        failed: names of nodes on which one of those has failed.
        news: type, reason and message of events.
        check_after: seconds after which time alone changes something.
    """

    status: DaemonSetStatus
    create: list[str] = field(default_factory=list)
    delete: list[Pod] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    news: list[tuple[str, str, str]] = field(default_factory=list)
    check_after: float | None = None


def plan(
    daemon_set: DaemonSet,
    pods: Sequence[Pod],
    nodes: Iterable[Node],
    digest: str,
    wait: Callable[[str], float],
    now: float,
) -> Plan:
    """Decide.

    Args:
        daemon_set: what is wanted.
        pods: those it owns.
        nodes: all there are.
        digest: hash of the current template.
        wait: for how many seconds a failed pod on a node must stay.
        now: the time.
    """
    sites = _sites(daemon_set, pods, nodes)
    result = Plan(_status(daemon_set, sites, digest, now))
    _manage(daemon_set, sites, digest, wait, now, result)
    known = {site.name for site in sites}
    for pod in pods:  # one that waits for a node that is gone would wait for ever
        if not pod.spec.nodeName and target_of(pod) not in known and not ask.is_terminating(pod):
            result.delete.append(pod)
    if not result.create and not result.delete and _rolls(daemon_set):
        result.delete, result.create = roll(daemon_set, sites, digest, now)
    result.create, result.delete = result.create[:BURST], result.delete[:BURST]
    _look_again(daemon_set, pods, now, result)
    return result


def _sites(daemon_set: DaemonSet, pods: Iterable[Pod], nodes: Iterable[Node]) -> list[Site]:
    places: dict[str, list[Pod]] = {}
    for pod in pods:
        if not (ask.is_terminal(pod) and ask.is_terminating(pod)):
            places.setdefault(target_of(pod), []).append(pod)
    found = []
    for node in sorted(nodes, key=lambda one: one.metadata.name or ""):
        name = node.metadata.name or ""
        here = sorted(places.get(name, ()), key=_seniority)
        found.append(Site(name, *fate(daemon_set, node), here))
    return found


def _seniority(pod: Pod) -> tuple[bool, str, str]:
    metadata = pod.metadata
    return not pod.spec.nodeName, metadata.creationTimestamp or "9999", metadata.name or ""


def _rolls(daemon_set: DaemonSet) -> bool:
    strategy = daemon_set.spec.updateStrategy
    return strategy is not None and strategy.type == "RollingUpdate"


def _manage(
    daemon_set: DaemonSet,
    sites: list[Site],
    digest: str,
    wait: Callable[[str], float],
    now: float,
    result: Plan,
) -> None:
    doubles = surge(daemon_set, sum(site.runs for site in sites)) > 0
    for site in sites:
        if site.runs and not site.pods:
            result.create.append(site.name)
        elif site.stays:
            alive = _bury(daemon_set, site, wait, result)
            if doubles:
                result.delete += _too_many_in_surge(daemon_set, alive, digest, now)
            else:
                result.delete += alive[1:]
        else:
            result.delete += [pod for pod in site.pods if not ask.is_terminating(pod)]


def _bury(
    daemon_set: DaemonSet, site: Site, wait: Callable[[str], float], result: Plan
) -> list[Pod]:
    """Delete pods that have ended; return those that have not."""
    alive = []
    where = f"{daemon_set.metadata.namespace}/%s on node {site.name}"
    for pod in site.pods:
        if ask.is_terminating(pod):
            continue
        named = where % pod.metadata.name
        if pod.status.phase == "Failed":
            delay = wait(site.name)
            if delay > 0:
                result.check_after = min(delay, result.check_after or delay)
                continue
            told = f"Found failed daemon pod {named}, will try to kill it"
            result.news.append(("Warning", "FailedDaemonPod", told))
            result.failed.append(site.name)
            result.delete.append(pod)
        elif pod.status.phase == "Succeeded":
            told = f"Found succeeded daemon pod {named}, will try to delete it"
            result.news.append(("Normal", "SucceededDaemonPod", told))
            result.delete.append(pod)
        else:
            alive.append(pod)
    return alive


def _too_many_in_surge(
    daemon_set: DaemonSet, alive: list[Pod], digest: str, now: float
) -> list[Pod]:
    """Of pods on one node: the oldest old and the oldest new one may be there for a while."""
    old, new = old_and_new(daemon_set, alive, digest)
    surplus = old[1:] + new[1:]
    if old and new:
        replaced = is_available(new[0], daemon_set.spec.minReadySeconds or 0, now)
        if replaced or not ask.is_ready(old[0]):
            surplus.append(old[0])
    return surplus


def _look_again(daemon_set: DaemonSet, pods: Iterable[Pod], now: float, result: Plan) -> None:
    patience = daemon_set.spec.minReadySeconds or 0
    waits = [wait for pod in pods if (wait := available_in(pod, patience, now))]
    if result.check_after is not None:
        waits.append(result.check_after)
    result.check_after = min(waits, default=None)


def _status(daemon_set: DaemonSet, sites: list[Site], digest: str, now: float) -> DaemonSetStatus:
    patience = daemon_set.spec.minReadySeconds or 0
    wanted = [site for site in sites if site.runs]
    firsts = [site.pods[0] for site in wanted if site.pods]
    ready = [pod for pod in firsts if ask.is_ready(pod)]
    available = sum(is_available(pod, patience, now) for pod in ready)
    updated = sum(is_updated(daemon_set, pod, digest) for pod in firsts)
    before = daemon_set.status
    return DaemonSetStatus(
        observedGeneration=daemon_set.metadata.generation,
        desiredNumberScheduled=len(wanted),
        currentNumberScheduled=len(firsts),
        numberMisscheduled=sum(bool(site.pods) and not site.runs for site in sites),
        numberReady=len(ready),
        updatedNumberScheduled=updated or None,
        numberAvailable=available or None,
        numberUnavailable=len(wanted) - available or None,
        collisionCount=before.collisionCount,
        conditions=before.conditions,
    )
