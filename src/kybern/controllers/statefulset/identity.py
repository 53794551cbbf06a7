"""What the pods of a StatefulSet are called, and what they are made from.

In:   a StatefulSet, a number.
Out:  names, pods.
By:   the other files here. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolumeClaimVolumeSource, Pod, Volume
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.runtime.ownership import reference_to

if TYPE_CHECKING:
    from kybern.api.apps.v1 import StatefulSet
    from kybern.api.core.v1 import PersistentVolumeClaim, PodTemplateSpec

POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
POD_INDEX: Final = "apps.kubernetes.io/pod-index"
REVISION: Final = "controller-revision-hash"
_NUMBERED: Final = re.compile(r"(.*)-([0-9]+)", re.DOTALL).fullmatch
_LARGEST: Final = 2**31 - 1


class Revision(NamedTuple):
    """A template and the name of its ControllerRevision."""

    name: str
    template: PodTemplateSpec


def parent_and_number(pod: Pod) -> tuple[str, int]:
    """Return whose pod it is by its name, and its number: ('', -1) when the name does not say."""
    found = _NUMBERED(pod.metadata.name or "")
    if found is None:
        return "", -1
    number = int(found[2])
    return found[1], number if number <= _LARGEST else -1


def number_of(pod: Pod) -> int:
    """Return a pod's number; -1 when it has none."""
    return parent_and_number(pod)[1]


def is_member(stateful_set: StatefulSet, pod: Pod) -> bool:
    """Whether a pod's name says that it belongs to a set."""
    return parent_and_number(pod)[0] == stateful_set.metadata.name


def numbers(stateful_set: StatefulSet) -> range:
    """Return the numbers of the pods that are wanted."""
    spec = stateful_set.spec
    start = (spec.ordinals.start if spec.ordinals is not None else None) or 0
    return range(start, start + (1 if spec.replicas is None else spec.replicas))


def revision_of(pod: Pod) -> str:
    """Return the name of the revision a pod was made from."""
    return (pod.metadata.labels or {}).get(REVISION, "")


def claim_name(claim: PersistentVolumeClaim, stateful_set: StatefulSet, number: int) -> str:
    """Return what the claim of a template is called for one pod."""
    return f"{claim.metadata.name}-{stateful_set.metadata.name}-{number}"


def new_pod(stateful_set: StatefulSet, revision: Revision, number: int) -> Pod:
    """Return a pod of a revision; it shares parts of the template: encode, do not change."""
    metadata, template = stateful_set.metadata, revision.template
    name = f"{metadata.name}-{number}"
    spec = codec.clone(template.spec)
    spec.hostname, spec.subdomain = name, stateful_set.spec.serviceName or None
    spec.volumes = _volumes(stateful_set, number, spec.volumes) or None
    labels = {**(template.metadata.labels or {}), **_labels(name, number), REVISION: revision.name}
    return Pod(
        metadata=ObjectMeta(
            name=name,
            generateName=f"{metadata.name}-",
            namespace=metadata.namespace,
            labels=labels,
            annotations=template.metadata.annotations,
            finalizers=template.metadata.finalizers,
            ownerReferences=[reference_to(stateful_set)],
        ),
        spec=spec,
    )


def is_itself(stateful_set: StatefulSet, pod: Pod) -> bool:
    """Whether a pod has its label and its volumes."""
    labels = pod.metadata.labels or {}
    if labels.get(POD_NAME) != pod.metadata.name:
        return False
    claimed = {
        volume.name: volume.persistentVolumeClaim.claimName
        for volume in pod.spec.volumes or ()
        if volume.persistentVolumeClaim is not None
    }
    return all(
        claimed.get(claim.metadata.name or "") == claim_name(claim, stateful_set, number_of(pod))
        for claim in stateful_set.spec.volumeClaimTemplates or ()
    )


def restored(stateful_set: StatefulSet, pod: Pod) -> Pod:
    """Return a pod with the label and the volumes it should have."""
    mine, number = codec.clone(pod), number_of(pod)
    name = pod.metadata.name or ""
    mine.metadata.labels = {**(pod.metadata.labels or {}), **_labels(name, number)}
    mine.spec.volumes = _volumes(stateful_set, number, mine.spec.volumes) or None
    return mine


def _labels(name: str, number: int) -> dict[str, str]:
    return {POD_NAME: name, POD_INDEX: str(number)}


def _volumes(stateful_set: StatefulSet, number: int, others: list[Volume] | None) -> list[Volume]:
    templates = stateful_set.spec.volumeClaimTemplates or ()
    names = {claim.metadata.name or "" for claim in templates}
    claimed = [
        Volume(
            name=claim.metadata.name or "",
            persistentVolumeClaim=PersistentVolumeClaimVolumeSource(
                claimName=claim_name(claim, stateful_set, number)
            ),
        )
        for claim in templates
    ]
    return claimed + [volume for volume in others or () if volume.name not in names]
