"""The claims of a StatefulSet's pods, and who takes them along when it goes.

In:   a StatefulSet, a pod, the claims there are.
Out:  claims to create; claims with the owners they should have.
By:   statefulset.plan. Pure.

The retention policy is carried out by the garbage collector: a claim that is to go with its set is
owned by the set, and one that is to go when its pod is no longer wanted is owned by that pod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import codec
from kybern.api.scheme import SCHEME
from kybern.controllers.runtime.ownership import reference_to
from kybern.controllers.statefulset.identity import claim_name, number_of, numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kybern.api.apps.v1 import StatefulSet
    from kybern.api.core.v1 import PersistentVolumeClaim, Pod
    from kybern.api.meta.v1 import OwnerReference

    Claims = Mapping[str, PersistentVolumeClaim]

DELETE: Final = "Delete"


def missing(
    stateful_set: StatefulSet, pod: Pod, claims: Claims
) -> tuple[PersistentVolumeClaim, ...]:
    """Return the claims to be created for a pod."""
    number, wanted = number_of(pod), []
    for template in stateful_set.spec.volumeClaimTemplates or ():
        name = claim_name(template, stateful_set, number)
        if name not in claims:
            wanted.append(_claim(stateful_set, template, name))
    return tuple(wanted)


def is_stale(stateful_set: StatefulSet, pod: Pod, claims: Claims) -> bool:
    """Whether a claim is going, perhaps with a former pod, so that a new one must wait for that."""
    _, when_scaled = _policy(stateful_set)
    return any(
        claim.metadata.deletionTimestamp is not None or (when_scaled and _is_outlived(claim, pod))
        for claim in _existing(stateful_set, pod, claims)
    )


def misowned(
    stateful_set: StatefulSet, pod: Pod, claims: Claims
) -> tuple[PersistentVolumeClaim, ...]:
    """Return the claims of a pod whose owners are wrong, with the right ones."""
    changed = []
    for claim in _existing(stateful_set, pod, claims):
        owners = _owners(stateful_set, pod, claim)
        if owners is not None:
            mine = codec.clone(claim)
            mine.metadata.ownerReferences = owners or None
            changed.append(mine)
    return tuple(changed)


def is_disputed(stateful_set: StatefulSet, pod: Pod, claim: PersistentVolumeClaim) -> bool:
    """Whether somebody else controls a claim that the policy would have go."""
    if not any(_policy(stateful_set)):
        return False
    return any(
        not _refers_to(reference, stateful_set, pod) and reference.controller
        for reference in claim.metadata.ownerReferences or ()
    )


def _owners(
    stateful_set: StatefulSet, pod: Pod, claim: PersistentVolumeClaim
) -> list[OwnerReference] | None:
    """Return the owners a claim should have; None when it has them, or it is not ours to say."""
    if _is_outlived(claim, stateful_set) or _is_outlived(claim, pod):
        return None
    others = [
        reference
        for reference in claim.metadata.ownerReferences or ()
        if not _refers_to(reference, stateful_set, pod)
    ]
    if is_disputed(stateful_set, pod, claim):
        return others if len(others) < len(claim.metadata.ownerReferences or ()) else None
    when_deleted, when_scaled = _policy(stateful_set)
    if number_of(pod) in numbers(stateful_set) or not when_scaled:
        mine = [reference_to(stateful_set)] if when_deleted else []
    else:
        mine = [reference_to(pod)]
    current = [one for one in claim.metadata.ownerReferences or () if one not in others]
    if all(one.controller for one in current) and _uids(current) == _uids(mine):
        return None
    return others + mine


def _policy(stateful_set: StatefulSet) -> tuple[bool, bool]:
    """Whether claims go when the set is deleted, and when it is scaled down."""
    policy = stateful_set.spec.persistentVolumeClaimRetentionPolicy
    if policy is None:
        return False, False
    return policy.whenDeleted == DELETE, policy.whenScaled == DELETE


def _existing(
    stateful_set: StatefulSet, pod: Pod, claims: Claims
) -> Iterator[PersistentVolumeClaim]:
    for template in stateful_set.spec.volumeClaimTemplates or ():
        claim = claims.get(claim_name(template, stateful_set, number_of(pod)))
        if claim is not None:
            yield claim


def _claim(
    stateful_set: StatefulSet, template: PersistentVolumeClaim, name: str
) -> PersistentVolumeClaim:
    claim = codec.clone(template)
    metadata = claim.metadata
    metadata.name, metadata.namespace = name, stateful_set.metadata.namespace
    selected = stateful_set.spec.selector.matchLabels or {}
    metadata.labels = {**(metadata.labels or {}), **selected} or None
    if _policy(stateful_set)[0]:
        metadata.ownerReferences = [reference_to(stateful_set)]
    return claim


def _uids(references: Iterable[OwnerReference]) -> set[str]:
    return {reference.uid for reference in references}


def _names(reference: OwnerReference, owner: Any) -> bool:
    kind = SCHEME.of(owner)
    named = (reference.apiVersion, reference.kind, reference.name)
    return named == (kind.api_version, kind.kind, owner.metadata.name)


def _refers_to(reference: OwnerReference, *owners: Any) -> bool:
    return any(_names(reference, owner) for owner in owners)


def _is_outlived(claim: PersistentVolumeClaim, owner: Any) -> bool:
    """Whether a claim is owned by a former object of the same name."""
    references: Iterable[OwnerReference] = claim.metadata.ownerReferences or ()
    return any(_names(one, owner) and one.uid != (owner.metadata.uid or "") for one in references)
