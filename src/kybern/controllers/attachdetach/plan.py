"""Where one volume is to be attached, and from where it may be taken away.

In:   every node that a volume is on, or whose pods want it.
Out:  a `Plan`: attachments to make and to delete, which nodes may rely on it, whom to tell what.
By:   attachdetach.controller, again and again until there is nothing to do. Pure.

A volume is taken from a node in three steps, each seen before the next is taken: the node is told
that it can no longer rely on it (`status.volumesAttached`), the node says that it does not use it
(`status.volumesInUse`), the VolumeAttachment is deleted. A node that is not ready loses it all the
same after six minutes; one that was declared out of service, at once.

Source: upstream's `pkg/controller/volume/attachdetach/reconciler/reconciler.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api.core.v1 import AttachedVolume
from kybern.api.storage.attachments import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from kybern.api.core.v1 import Node, PersistentVolume, Pod

LONGEST_WAIT: Final = 360.0
"""Seconds a node that is not ready may go on using what it should not."""
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
KEEP_TERMINATED: Final = "volumes.kubernetes.io/keep-terminated-pod-volumes"

MULTI: Final = 'Multi-Attach error for volume "{}" {}'
EXCLUSIVE: Final = (
    "Volume is already exclusively attached to one node and can't be attached to another"
)


class Place(NamedTuple):
    """One node, as far as one volume goes."""

    node: str
    pods: tuple[Pod, ...] = ()
    """Pods there that want it."""
    attachment: bool = False
    """There is a VolumeAttachment."""
    leaving: bool = False
    """It is being deleted."""
    promised: bool = False
    """The node's status says that it is attached."""
    in_use: bool = False
    """The node says that it uses it."""
    exists: bool = True
    ready: bool = True
    out_of_service: bool = False
    unwanted_since: float | None = None
    """When it was first seen there without a pod that wants it."""


class Told(NamedTuple):
    """A warning for a pod."""

    pod: Pod
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about one volume."""

    attach: tuple[str, ...] = ()
    """Nodes to make an attachment to."""
    withdraw: tuple[str, ...] = ()
    """Nodes that must no longer rely on it."""
    detach: tuple[str, ...] = ()
    """Nodes from which it can go, when they say once more that they do not use it."""
    force: tuple[str, ...] = ()
    """Nodes from which it goes, whatever they say."""
    blocked: tuple[str, ...] = ()
    """Nodes that have to wait until another one has let go."""
    told: tuple[Told, ...] = ()
    wait: float | None = None
    """Seconds until patience with a node ends."""


def plan(
    volume: str, places: Sequence[Place], *, shared: bool, known: AbstractSet[str], now: float
) -> Plan:
    """Return what to do about a volume.

    Args:
        volume: its name, for messages.
        places: every node that matters.
        shared: whether several nodes may have it at a time.
        known: nodes whose pods have been told already that they have to wait.
        now: the time.
    """
    withdraw: list[str] = []
    detach: list[str] = []
    force: list[str] = []
    waits: list[float] = []
    for place in places:
        if not place.attachment or place.leaving or (place.pods and place.exists):
            continue
        since = now if place.unwanted_since is None else place.unwanted_since
        forced = place.out_of_service or not place.exists
        if place.in_use and not forced:
            patience = since + LONGEST_WAIT - now
            forced = not place.ready and patience <= 0
            if not forced:
                waits += [patience] if not place.ready else []
                continue
        if place.promised:
            withdraw.append(place.node)
        elif forced:
            force.append(place.node)
        else:
            detach.append(place.node)
    attach, blocked = _newcomers(places, shared=shared)
    fresh = [place for place in blocked if place.node not in known]
    told = [each for place in fresh for each in _multi_attach(volume, place, places)]
    return Plan(
        tuple(attach), tuple(withdraw), tuple(detach), tuple(force),
        tuple(place.node for place in blocked), tuple(told), min(waits, default=None),
    )  # fmt: skip


def _newcomers(places: Sequence[Place], *, shared: bool) -> tuple[list[str], list[Place]]:
    """Return the nodes to attach a volume to, and those that it is kept from."""
    wanting = [place for place in places if place.pods and place.exists and not place.attachment]
    if shared:
        return [place.node for place in wanting], []
    if any(place.attachment for place in places):
        return [], wanting
    wanting.sort(key=lambda place: (min(map(_age, place.pods)), place.node))
    return [place.node for place in wanting[:1]], wanting[1:]


def _age(pod: Pod) -> str:
    return pod.metadata.creationTimestamp or ""


def _multi_attach(volume: str, waiting: Place, places: Iterable[Place]) -> list[Told]:
    """Tell each pod who is in its way: by name only in its own namespace."""
    others = [pod for place in places if place.node != waiting.node for pod in place.pods]
    told = []
    for pod in waiting.pods:
        local = [p for p in others if p.metadata.namespace == pod.metadata.namespace]
        rest = len(others) - len(local)
        if not others:
            text = EXCLUSIVE
        elif local:
            listed = ", ".join(each.metadata.name or "" for each in local)
            text = f"Volume is already used by pod(s) {listed}"
            text += f" and {rest} pod(s) in different namespaces" if rest else ""
        else:
            text = f"Volume is already used by {rest} pod(s) in different namespaces"
        told.append(Told(pod, MULTI.format(volume, text)))
    return told


def is_shared(volumes: Iterable[PersistentVolume]) -> bool:
    """Say whether several nodes may have a volume at a time."""
    modes = [set(volume.spec.accessModes or ()) for volume in volumes]
    return all(not each or each & SHARED for each in modes)


def wants(pod: Pod, node: Node | None) -> bool:
    """Say whether a pod still needs its volumes on its node."""
    if not _has_ended(pod):
        return True
    return node is not None and (node.metadata.annotations or {}).get(KEEP_TERMINATED) == "true"


def _has_ended(pod: Pod) -> bool:
    if pod.status.phase in ("Succeeded", "Failed"):
        return True
    if pod.metadata.deletionTimestamp is None:
        return False
    states = [each.state for each in pod.status.containerStatuses or ()]
    return all(
        state is not None and (state.terminated is not None or state.waiting is not None)
        for state in states
    )


def place_of(
    name: str,
    node: Node | None,
    volume: str,
    pods: Sequence[Pod],
    *,
    attachment: bool,
    leaving: bool,
    unwanted_since: float | None,
) -> Place:
    """Return how things stand with one volume on one node.

    Args:
        name: the node's name.
        node: the node, if there is one.
        volume: what nodes call the volume.
        pods: the pods there that use it.
        attachment: whether there is an attachment.
        leaving: whether that is being deleted.
        unwanted_since: when the node was first seen with the volume and without such pods.
    """
    wanting = tuple(pod for pod in pods if wants(pod, node))
    if node is None:
        return Place(name, wanting, attachment, leaving, exists=False)
    return Place(
        name, wanting, attachment, leaving,
        promised=any(each.name == volume for each in node.status.volumesAttached or ()),
        in_use=volume in (node.status.volumesInUse or ()),
        ready=_is_ready(node),
        out_of_service=any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints or ()),
        unwanted_since=unwanted_since,
    )  # fmt: skip


def _is_ready(node: Node) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or ())


def promises(
    node: Node, attached: Iterable[str], withdrawn: AbstractSet[str]
) -> list[AttachedVolume] | None:
    """Return what a node's status has to say is attached; None when it says so already."""
    wanted = sorted(set(attached) - withdrawn)
    have = sorted(each.name for each in node.status.volumesAttached or ())
    if wanted == have:
        return None
    return [AttachedVolume(name=name, devicePath="") for name in wanted]


def matters(old: Node, new: Node) -> bool:
    """Say whether a node changed in what attaching depends on."""
    return (
        old.status.volumesInUse != new.status.volumesInUse
        or old.status.volumesAttached != new.status.volumesAttached
        or old.spec.taints != new.spec.taints
        or _is_ready(old) != _is_ready(new)
    )
