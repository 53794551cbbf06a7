"""Which nodes get a pod of a DaemonSet, and what a pod for a node looks like.

In:   a DaemonSet, a node.
Out:  a `Fate`; pods.
By:   the other files here. Pure.

The scheduler places these pods like all others: each asks for its node by name. So what is decided
here has to be what the scheduler would decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from kybern.api import codec
from kybern.api.core import pods as ask
from kybern.api.core.node_affinity import NAME_FIELD, fits
from kybern.api.core.nodes import (
    DISK_PRESSURE,
    MEMORY_PRESSURE,
    NETWORK_UNAVAILABLE,
    NOT_READY,
    PID_PRESSURE,
    UNREACHABLE,
    UNSCHEDULABLE,
)
from kybern.api.core.v1 import (
    Affinity,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    Toleration,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.runtime.ownership import reference_to

if TYPE_CHECKING:
    from kybern.api.apps.v1 import DaemonSet
    from kybern.api.core.v1 import Node, PodSpec

HASH: Final = "controller-revision-hash"
GENERATION: Final = "pod-template-generation"
TEMPLATE_GENERATION: Final = "deprecated.daemonset.template.generation"
_TOLERATED: Final = (
    (NOT_READY, "NoExecute"), (UNREACHABLE, "NoExecute"), (DISK_PRESSURE, "NoSchedule"),
    (MEMORY_PRESSURE, "NoSchedule"), (PID_PRESSURE, "NoSchedule"), (UNSCHEDULABLE, "NoSchedule"),
)  # fmt: skip


class Fate(NamedTuple):
    """What becomes of a DaemonSet's pod on a node."""

    runs: bool
    """It should be there."""
    stays: bool
    """If it is there it may stay."""


def fate(daemon_set: DaemonSet, node: Node) -> Fate:
    """Say whether a node should have a pod."""
    spec = daemon_set.spec.template.spec
    if spec.nodeName not in (None, "", node.metadata.name) or not fits(spec, node):
        return Fate(runs=False, stays=False)
    allowed = tolerations(spec)
    if ask.untolerated(allowed, node.spec.taints) is None:
        return Fate(runs=True, stays=True)
    drives_out = ask.untolerated(allowed, node.spec.taints, ("NoExecute",))
    return Fate(runs=False, stays=drives_out is None)


def tolerations(spec: PodSpec) -> list[Toleration]:
    """Return what pods of a template bear: what the author says, and what becomes of any node."""
    found = list(spec.tolerations or ())
    taints = [*_TOLERATED, *([(NETWORK_UNAVAILABLE, "NoSchedule")] if spec.hostNetwork else ())]
    for key, effect in taints:
        one = Toleration(key=key, operator="Exists", effect=effect)
        if one not in found:
            found.append(one)
    return found


def target_of(pod: Pod) -> str:
    """Return the node a pod is on, or is meant for; '' when it does not say."""
    if pod.spec.nodeName:
        return pod.spec.nodeName
    affinity = pod.spec.affinity.nodeAffinity if pod.spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity else None
    for term in required.nodeSelectorTerms if required is not None else ():
        for one in term.matchFields or ():
            if one.key == NAME_FIELD and one.operator == "In" and one.values:
                return one.values[0]
    return ""


def new_pod(daemon_set: DaemonSet, node: str, digest: str) -> Pod:
    """Return a pod for a node; it shares parts of the template: encode, do not change."""
    metadata, template = daemon_set.metadata, daemon_set.spec.template
    labels = {**(template.metadata.labels or {}), HASH: digest}
    generation = (metadata.annotations or {}).get(TEMPLATE_GENERATION)
    if generation:
        labels[GENERATION] = generation
    spec = msgspec.structs.replace(
        template.spec,
        tolerations=tolerations(template.spec),
        affinity=_meant_for(template.spec.affinity, node),
    )
    return Pod(
        metadata=ObjectMeta(
            generateName=f"{metadata.name}-",
            namespace=metadata.namespace,
            labels=labels,
            annotations=template.metadata.annotations,
            finalizers=template.metadata.finalizers,
            ownerReferences=[reference_to(daemon_set)],
        ),
        spec=spec,
    )


def is_updated(daemon_set: DaemonSet, pod: Pod, digest: str) -> bool:
    """Whether a pod is of the current template."""
    labels = pod.metadata.labels or {}
    if labels.get(HASH) == digest:
        return True
    generation = (daemon_set.metadata.annotations or {}).get(TEMPLATE_GENERATION)
    return generation is not None and labels.get(GENERATION) == generation


def _meant_for(affinity: Affinity | None, node: str) -> Affinity:
    """The requirements of the template are met by this node: its name takes their place."""
    mine = codec.clone(affinity) if affinity is not None else Affinity()
    if mine.nodeAffinity is None:
        mine.nodeAffinity = NodeAffinity()
    name = NodeSelectorRequirement(key=NAME_FIELD, operator="In", values=[node])
    mine.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution = NodeSelector(
        nodeSelectorTerms=[NodeSelectorTerm(matchFields=[name])]
    )
    return mine
