"""Eviction: delete a pod unless a disruption budget says no.

In:   a policy/v1 Eviction POSTed to `pods/eviction`.
Out:  a Status; 429 with the budget's state when it allows no disruption now.
By:   registry.special. Source: upstream's `pkg/registry/core/pod/storage/eviction.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors, selectors
from kybern.api.core.pods import is_ready, set_condition
from kybern.api.core.v1 import PodCondition
from kybern.api.meta.v1 import DeleteOptions
from kybern.apiserver.registry import generic
from kybern.lib.clock import rfc3339
from kybern.store.interface import Mismatch

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.api.policy.v1 import Eviction, PodDisruptionBudget
    from kybern.apiserver.context import RequestContext
    from kybern.store.interface import Entry

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
MOST_TRACKED = 2000
ATTEMPTS = 20


async def evict(ctx: RequestContext, eviction: Eviction) -> Any:
    """Delete the pod of the path if its budget allows it.

    Raises:
        TooManyRequests, NotFound, Conflict, InternalError.
    """
    if eviction.metadata.name and eviction.metadata.name != ctx.name:
        raise errors.BadRequest(
            "name in URL does not match name in Eviction object: "
            f"{ctx.name} != {eviction.metadata.name}"
        )
    options = eviction.deleteOptions or DeleteOptions()
    if options.dryRun:
        ctx.dry_run = True
    resource = ctx.services.resources.find("", "v1", "pods")
    entry = generic.find(ctx, resource)
    pod: Pod = resource.decode(entry)
    if not _free_to_go(pod):
        await _ask_budget(ctx, pod)
        if not ctx.dry_run:
            await _note(ctx, resource, options)
    await generic.delete(ctx, resource, ctx.name, options)
    return SUCCESS


def _free_to_go(pod: Pod) -> bool:
    return (
        pod.status.phase in ("Succeeded", "Failed", "Pending")
        or pod.metadata.deletionTimestamp is not None
    )


async def _ask_budget(ctx: RequestContext, pod: Pod) -> None:
    """Take one disruption from the budget of a pod, if it has one."""
    resource = ctx.services.resources.find("policy", "v1", "poddisruptionbudgets")
    store = ctx.services.store
    for _ in range(ATTEMPTS):
        listing = store.list(resource.scope(ctx.namespace))
        found = [
            (entry, budget)
            for entry in listing.entries
            if _covers(budget := resource.decode(entry), pod)
        ]
        if not found:
            return
        if len(found) > 1:
            raise errors.InternalError(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource "
                "does not support.",
                {},
            )
        entry, budget = found[0]
        if _spared(budget, pod):
            return
        _take(budget, pod, rfc3339(ctx.services.clock.now()))
        if ctx.dry_run or await _stored(store, entry, resource.encode(budget)):
            return
    raise errors.TooManyRequests.of("couldn't update PodDisruptionBudget: it keeps changing", 10)


async def _stored(store: Any, entry: Entry, data: bytes) -> bool:
    try:
        await store.update(entry.key, data, entry)
    except Mismatch:
        return False
    return True


def _covers(budget: PodDisruptionBudget, pod: Pod) -> bool:
    if budget.spec.selector is None:
        return False
    return selectors.from_struct(budget.spec.selector).matches(pod.metadata.labels)


def _spared(budget: PodDisruptionBudget, pod: Pod) -> bool:
    """Say whether the budget lets this pod go because it is not healthy anyway."""
    if is_ready(pod):
        return False
    if budget.spec.unhealthyPodEvictionPolicy == "AlwaysAllow":
        return True
    healthy, wanted = budget.status.currentHealthy or 0, budget.status.desiredHealthy or 0
    return healthy >= wanted > 0


def _take(budget: PodDisruptionBudget, pod: Pod, now: str) -> None:
    status, meta = budget.status, budget.metadata
    if (status.observedGeneration or 0) < (meta.generation or 0):
        why = f"The disruption budget {meta.name} is still being processed by the server."
        raise _refused(why, 10)
    allowed = status.disruptionsAllowed or 0
    if allowed < 0:
        raise errors.Forbidden(
            f'poddisruptionbudgets.policy "{meta.name}" is forbidden: pdb disruptions allowed is '
            "negative",
            {"name": meta.name, "group": "policy", "kind": "poddisruptionbudgets"},
        )
    if len(status.disruptedPods or {}) > MOST_TRACKED:
        raise errors.Forbidden(
            f'poddisruptionbudgets.policy "{meta.name}" is forbidden: DisruptedPods map too big - '
            "too many evictions not confirmed by PDB controller",
            {"name": meta.name, "group": "policy", "kind": "poddisruptionbudgets"},
        )
    if allowed == 0:
        needed, found = status.desiredHealthy or 0, status.currentHealthy or 0
        why = f"The disruption budget {meta.name} needs {needed} healthy pods and has {found}"
        why += " currently"
        raise _refused(why, 0)
    status.disruptionsAllowed = allowed - 1
    status.disruptedPods = {**(status.disruptedPods or {}), pod.metadata.name or "": now}


def _refused(why: str, retry_after: int) -> errors.TooManyRequests:
    cause = {"reason": "DisruptionBudget", "message": why}
    return errors.TooManyRequests.of(REFUSED, retry_after, [cause])


async def _note(ctx: RequestContext, resource: Any, options: DeleteOptions) -> None:
    """Write into the pod's status why it goes."""
    store = ctx.services.store
    for _ in range(ATTEMPTS):
        entry = generic.find(ctx, resource)
        pod: Pod = resource.decode(entry)
        wanted = options.preconditions
        if wanted is not None and wanted.uid and wanted.uid != pod.metadata.uid:
            return  # the deletion that follows says so
        condition = PodCondition(
            type="DisruptionTarget",
            status="True",
            reason="EvictionByEvictionAPI",
            message="Eviction API: evicting",
        )
        if not set_condition(pod, condition, rfc3339(ctx.services.clock.now())):
            return
        if await _stored(store, entry, resource.encode(pod)):
            return
