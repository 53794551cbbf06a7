"""The resource claim controller.

In:   pods with `resourceClaims`, claims, templates.
Out:  a claim for each template a pod names, and its name in the pod's status; reservations of pods
      that did not come from the scheduler; claims without users deallocated, those made for a pod
      that is done deleted.
By:   controllers.all.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.api.core.v1 import Pod
from kybern.api.resource.v1 import (
    ResourceClaim,
    ResourceClaimConsumerReference,
    ResourceClaimTemplate,
)
from kybern.api.scheme import SCHEME
from kybern.controllers.resourceclaim.plan import (
    ANNOTATION,
    FINALIZER,
    Steps,
    claim_names,
    free,
    generated,
    is_done,
    named,
    owning_pod,
    reservation,
    reserves,
)
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.ownership import is_controlled_by
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, Terminal, key_of
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.api.core.v1 import PodResourceClaim
    from kybern.controllers.runtime.host import Context

log = logs.get("controllers.resourceclaim")
# Names of indexes are shared by everybody who looks at pods: "claim" is that of volumes.
BY_CLAIM, BY_TEMPLATE, BY_POD = "resource-claim", "resource-claim-template", "pod"


class ResourceClaimController:
    """Makes and frees claims."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._recorder = ctx.recorder
        self._pods = ctx.informers.of(
            Pod, indexers={BY_CLAIM: _claims_of, BY_TEMPLATE: _templates_of}
        )
        self._claims = ctx.informers.of(ResourceClaim, indexers={BY_POD: _owner})
        self._templates = ctx.informers.of(ResourceClaimTemplate)
        after = (self._pods, self._claims, self._templates)
        self._loop: Loop[Key] = Loop("resourceclaim-pods", self.reconcile, after=after)
        self._for_claims: Loop[Key] = Loop("resourceclaim", self.reconcile_claim, after=after)
        # Claims the cache may not show yet, by the pod's uid and the claim's name in it.
        self._made: dict[tuple[str, str], str] = {}
        self._pods.on(add=self._pod_seen, update=lambda _, pod: self._pod_seen(pod))
        self._pods.on(delete=self._pod_gone)
        self._claims.on(add=self._claim_seen, update=lambda _, claim: self._claim_seen(claim))
        self._claims.on(delete=self._claim_gone)
        self._templates.on(add=self._template_seen)

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop.run())
            group.create_task(self._for_claims.run())

    def statistics(self) -> dict[str, int]:
        """Return the loops' counters."""
        return self._loop.statistics()

    # --- a pod's claims ------------------------------------------------------------------------

    async def reconcile(self, key: Key) -> Outcome:
        """Make the claims that a pod lacks, and give it those that are allocated.

        Raises:
            Terminal: a template is missing.
        """
        pod = self._pods.get(*key)
        if pod is None or pod.metadata.deletionTimestamp is not None or is_done(pod):
            return DONE
        made = {}
        for claim in pod.spec.resourceClaims or ():
            try:
                name = await self._make(pod, claim)
            except (errors.ApiError, Terminal) as error:
                text = f"PodResourceClaim {claim.name}: {error}"
                self._recorder.event(pod, "Warning", "FailedResourceClaimCreation", text)
                raise
            if name:
                made[claim.name] = name
        if made:
            statuses = [{"name": n, "resourceClaimName": made[n]} for n in sorted(made)]
            body = {
                "metadata": {"uid": pod.metadata.uid},
                "status": {"resourceClaimStatuses": statuses},
            }
            await self._client.patch(
                Pod, key.name, key.namespace, body, type="strategic", subresource="status"
            )
        if pod.spec.nodeName:  # otherwise the scheduler reserves
            await self._reserve(pod)
        return DONE

    async def _make(self, pod: Pod, wanted: PodResourceClaim) -> str:
        """Return the name of a claim the pod does not know of yet; "" when it knows all."""
        known = named(pod, wanted)
        if not known.generated or known.name is None:
            return ""
        if known.name and await self._is_there(pod, known.name):
            return ""
        made = self._found(pod, wanted.name)
        if made is None:
            namespace = pod.metadata.namespace or ""
            template = self._template(namespace, wanted.resourceClaimTemplateName or "")
            created = await self._client.create(generated(pod, wanted, template))
            made = created.metadata.name or ""
            self._made[pod.metadata.uid or "", wanted.name] = made
        return made if made != known.name else ""

    async def _is_there(self, pod: Pod, name: str) -> bool:
        namespace = pod.metadata.namespace or ""
        claim = self._claims.get(namespace, name)
        if claim is None:  # gone, or too new for the cache
            try:
                claim = await self._client.get(ResourceClaim, name, namespace)
            except errors.NotFound:
                self._made = {key: made for key, made in self._made.items() if made != name}
                return False
        return is_controlled_by(claim, pod)

    def _found(self, pod: Pod, name: str) -> str | None:
        """Return a claim that was made before, though the pod's status does not say so."""
        uid = pod.metadata.uid or ""
        for claim in self._claims.by_index(BY_POD, uid):
            gone = claim.metadata.deletionTimestamp is not None
            if (claim.metadata.annotations or {}).get(ANNOTATION) == name and not gone:
                return claim.metadata.name
        return self._made.get((uid, name))

    def _template(self, namespace: str, name: str) -> ResourceClaimTemplate:
        found = self._templates.get(namespace, name)
        if found is None:  # when it comes, the pod is looked at again
            missing = errors.NotFound.of(SCHEME.of(ResourceClaimTemplate), name)
            raise Terminal(f'resource claim template "{name}": {missing}')
        return found

    async def _reserve(self, pod: Pod) -> None:
        for wanted in pod.spec.resourceClaims or ():
            known = named(pod, wanted)
            claim = self._claims.get(pod.metadata.namespace or "", known.name or "")
            if claim is None or (known.generated and not is_controlled_by(claim, pod)):
                continue
            if reserves(pod, claim):
                mine = codec.clone(claim)
                mine.status.reservedFor = [*(mine.status.reservedFor or ()), reservation(pod)]
                await self._client.update_status(mine)

    # --- a claim's users -----------------------------------------------------------------------

    async def reconcile_claim(self, key: Key) -> Outcome:
        """Free a claim of the pods which are done with it."""
        claim = self._claims.get(*key)
        if claim is None:
            return DONE
        valid = [u for u in claim.status.reservedFor or () if await self._uses(key.namespace, u)]
        steps = free(claim, valid, owner_done=self._owner_done(claim))
        if steps != Steps():
            await self._carry_out(claim, steps)
        return DONE

    async def _carry_out(self, claim: ResourceClaim, steps: Steps) -> None:
        # Replaced, not patched: when somebody else has just reserved it, this must fail.
        mine = codec.clone(claim)
        where = f"{claim.metadata.namespace}/{claim.metadata.name}"
        if steps.users is not None or steps.deallocate:
            if steps.users is not None:
                mine.status.reservedFor = steps.users or None
            if steps.deallocate:
                mine.status.allocation = None
            mine = await self._client.update_status(mine)
            log.debug("claim freed", claim=where, deallocated=steps.deallocate)
        if steps.unprotect:
            mine.metadata.finalizers = [
                each for each in mine.metadata.finalizers or () if each != FINALIZER
            ]
            mine = await self._client.update(mine)
        if steps.delete:
            try:
                await self._client.delete(
                    ResourceClaim, claim.metadata.name or "", claim.metadata.namespace or "",
                    uid=claim.metadata.uid,
                )  # fmt: skip
            except errors.NotFound:
                return

    async def _uses(self, namespace: str, user: ResourceClaimConsumerReference) -> bool:
        """Say whether a reservation still holds.

        Raises:
            Terminal: something else than a pod has it.
        """
        if user.apiGroup or user.resource != "pods":
            raise Terminal(f"unsupported ReservedFor entry: {codec.to_tree(user)}")
        pod = self._pods.get(namespace, user.name)
        if pod is None:  # gone, or too new for the cache; the scheduler may be at it
            try:
                pod = await self._client.get(Pod, user.name, namespace)
            except errors.NotFound:
                return False
        return pod.metadata.uid == user.uid and not is_done(pod)

    def _owner_done(self, claim: ResourceClaim) -> bool:
        """Say whether the pod for which a claim was made needs it no more.

        Of a pod which is gone the garbage collector removes what it owned.
        """
        owner = owning_pod(claim)
        pod = self._pods.get(claim.metadata.namespace or "", owner[0]) if owner else None
        return (
            pod is not None and owner is not None and (pod.metadata.uid != owner[1] or is_done(pod))
        )

    # --- from events to keys -------------------------------------------------------------------

    def _pod_seen(self, pod: Pod) -> None:
        if not pod.spec.resourceClaims:
            return
        if is_done(pod):
            self._look_at_claims(pod)
        elif pod.metadata.deletionTimestamp is None:
            self._loop.add(key_of(pod))

    def _pod_gone(self, pod: Pod) -> None:
        if pod.spec.resourceClaims:
            self._look_at_claims(pod)
            self._made = {k: made for k, made in self._made.items() if k[0] != pod.metadata.uid}

    def _look_at_claims(self, pod: Pod) -> None:
        namespace = pod.metadata.namespace or ""
        for name in claim_names(pod):
            self._for_claims.add(Key(namespace, name))
        for claim in self._claims.by_index(BY_POD, pod.metadata.uid or ""):
            self._for_claims.add(key_of(claim))

    def _claim_seen(self, claim: ResourceClaim) -> None:
        self._for_claims.add(key_of(claim))
        self._claim_gone(claim)

    def _claim_gone(self, claim: ResourceClaim) -> None:
        for pod in self._pods.by_index(BY_CLAIM, str(key_of(claim))):
            self._pod_seen(pod)

    def _template_seen(self, template: ResourceClaimTemplate) -> None:
        for pod in self._pods.by_index(BY_TEMPLATE, str(key_of(template))):
            self._pod_seen(pod)


def _claims_of(pod: Pod) -> list[str]:
    return [f"{pod.metadata.namespace}/{name}" for name in claim_names(pod)]


def _templates_of(pod: Pod) -> list[str]:
    names = [claim.resourceClaimTemplateName for claim in pod.spec.resourceClaims or ()]
    return [f"{pod.metadata.namespace}/{name}" for name in names if name]


def _owner(claim: ResourceClaim) -> list[str]:
    owner = owning_pod(claim)
    return [owner[1]] if owner is not None else []
