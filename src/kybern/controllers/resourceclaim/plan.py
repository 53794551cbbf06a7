"""What a pod's device claims need, and who still has a claim.

In:   pods, ResourceClaims, ResourceClaimTemplates.
Out:  the names of a pod's claims; the claim a template makes; the reservations that still hold;
      what to do about a claim.
By:   resourceclaim.controller. Pure. Source: upstream's `pkg/controller/resourceclaim`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core import pods as ask
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.resource.v1 import ResourceClaim, ResourceClaimConsumerReference
from kybern.controllers.runtime.ownership import controller_of, reference_to

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod, PodResourceClaim
    from kybern.api.resource.v1 import ResourceClaimTemplate

ANNOTATION = "resource.kubernetes.io/pod-claim-name"
FINALIZER = "resource.kubernetes.io/delete-protection"
USERS_MAX = 256
BASE_MAX = 57  # a name has 63 characters, of which a hyphen and five are the API server's


@dataclass(frozen=True, slots=True)
class Named:
    """A pod's claim: its name, "" before it is made, None when none is needed; whether ours."""

    name: str | None
    generated: bool


def named(pod: Pod, claim: PodResourceClaim) -> Named:
    """Return how a pod's claim is called."""
    if claim.resourceClaimName is not None:
        return Named(claim.resourceClaimName, generated=False)
    for status in pod.status.resourceClaimStatuses or ():
        if status.name == claim.name:
            return Named(status.resourceClaimName, generated=True)
    return Named("", generated=True)


def claim_names(pod: Pod) -> list[str]:
    """Return the names of a pod's claims, as far as they are known."""
    found = []
    for claim in pod.spec.resourceClaims or ():
        if name := named(pod, claim).name:
            found.append(name)
    return found


def is_done(pod: Pod) -> bool:
    """Say whether none of a pod's containers runs or ever will."""
    return ask.is_terminal(pod) or (ask.is_terminating(pod) and not pod.spec.nodeName)


def generated(pod: Pod, claim: PodResourceClaim, template: ResourceClaimTemplate) -> ResourceClaim:
    """Return the claim that a template makes for a pod."""
    meta = template.spec.metadata
    return ResourceClaim(
        metadata=ObjectMeta(
            generateName=_base(pod.metadata.name or "", claim.name),
            namespace=pod.metadata.namespace,
            labels=dict(meta.labels) if meta.labels else None,
            annotations={**(meta.annotations or {}), ANNOTATION: claim.name},
            ownerReferences=[reference_to(pod)],
        ),
        spec=codec.clone(template.spec.spec),
    )


def _base(pod: str, claim: str) -> str:
    """Return what a generated name begins with; of long names, a part of each."""
    base = f"{pod}-{claim}-"
    if len(base) <= BASE_MAX:
        return base
    kept = [text[: len(text) * BASE_MAX // len(base)] for text in (pod, claim)]
    return "-".join(kept)


def reserves(pod: Pod, claim: ResourceClaim) -> bool:
    """Say whether a pod that has a node already still has to get its allocated claim."""
    users = claim.status.reservedFor or []
    return (
        claim.status.allocation is not None
        and all(user.uid != pod.metadata.uid for user in users)
        and len(users) < USERS_MAX
    )


def reservation(pod: Pod) -> ResourceClaimConsumerReference:
    """Return what says that a pod uses a claim."""
    return ResourceClaimConsumerReference(
        resource="pods", name=pod.metadata.name or "", uid=pod.metadata.uid or ""
    )


def owning_pod(claim: ResourceClaim) -> tuple[str, str] | None:
    """Return name and uid of the pod for which a claim was made."""
    owner = controller_of(claim)
    if owner is None or owner.apiVersion != "v1" or owner.kind != "Pod":
        return None
    return owner.name, owner.uid


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do about a claim, in the order of the fields.

    Attributes:
        users: its reservations from now on; None to leave them.
        deallocate: give its devices back.
        unprotect: remove the finalizer.
        delete: it was made for a pod that does not need it any more.
    """

    users: list[ResourceClaimConsumerReference] | None = None
    deallocate: bool = False
    unprotect: bool = False
    delete: bool = False


def free(
    claim: ResourceClaim, valid: list[ResourceClaimConsumerReference], *, owner_done: bool
) -> Steps:
    """Return what to do about a claim of whose users only these are left.

    A claim is deallocated when the last user goes, and not when it never had one: then a driver or
    the scheduler may have reasons to keep it.
    """
    had, protected = claim.status.reservedFor or [], FINALIZER in (claim.metadata.finalizers or ())
    allocated = claim.status.allocation is not None
    fewer = len(valid) < len(had)
    unused = not valid and protected
    goes = claim.metadata.deletionTimestamp is not None
    give_back = unused and allocated and (fewer or goes)
    return Steps(
        users=valid if fewer else None,
        deallocate=give_back,
        unprotect=protected and ((fewer and (give_back or not allocated)) or (not valid and goes)),
        delete=not valid and owner_done and not goes,
    )
