"""What a DELETE does to an object: remove it, or mark it and wait.

In:   the object's metadata, the options of the request, the grace the kind asks for.
Out:  a Plan: the metadata changes, and whether the object goes now.
By:   registry.generic. Pure: the time is an argument. Source: upstream's `rest/delete.go` and
      `generic/registry/store.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.lib.clock import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from kybern.api.meta.v1 import DeleteOptions, ObjectMeta

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


class Plan(NamedTuple):
    """The metadata after the request, and what to do with the object."""

    finalizers: list[str]
    deletion: str | None
    grace: int | None
    generation: int | None
    remove: bool
    changed: bool


def plan(
    meta: ObjectMeta,
    options: DeleteOptions,
    grace: int | None,
    now: float,
    *,
    orphans: bool = False,
) -> Plan:
    """Decide what deleting means for an object.

    Args:
        meta: as stored.
        options: of the request.
        grace: seconds the kind gives its objects; None when it has no graceful deletion.
        now: the time.
        orphans: whether dependents of such objects stay when nobody says what becomes of them.
    """
    deletion, seconds = meta.deletionTimestamp, meta.deletionGracePeriodSeconds
    graceful = False
    if deletion is not None and seconds is not None and grace is not None:
        wanted = options.gracePeriodSeconds
        if wanted is None or wanted >= seconds:
            return _unchanged(meta)  # already on its way, and nobody is in more of a hurry
        deletion, seconds = rfc3339(parse_rfc3339(deletion) - seconds + wanted), wanted
        graceful = True
    elif deletion is None and grace is not None:
        deletion, seconds, graceful = rfc3339(now + grace), grace, True
    finalizers = _finalizers(list(meta.finalizers or ()), options, orphans=orphans)
    if not graceful and finalizers:
        deletion, seconds = deletion or rfc3339(now), 0
    generation = meta.generation
    if generation and deletion is not None and meta.deletionTimestamp is None:
        generation += 1
    return Plan(
        finalizers, deletion, seconds, generation,
        remove=not finalizers and not (graceful and seconds),
        changed=True,
    )  # fmt: skip


def _unchanged(meta: ObjectMeta) -> Plan:
    return Plan(
        list(meta.finalizers or ()), meta.deletionTimestamp, meta.deletionGracePeriodSeconds,
        meta.generation, remove=False, changed=False,
    )  # fmt: skip


def _finalizers(old: list[str], options: DeleteOptions, *, orphans: bool) -> list[str]:
    """Return the finalizers with those of the garbage collector as the options want them."""
    policy, orphan = options.propagationPolicy, options.orphanDependents
    if orphan is not None:
        wanted = {ORPHAN} if orphan else set()
    elif policy is not None:
        wanted = {"Orphan": {ORPHAN}, "Foreground": {FOREGROUND}}.get(policy, set())
    elif orphans and ORPHAN not in old and FOREGROUND not in old:
        wanted = {ORPHAN}
    else:
        return old
    kept = [f for f in old if f not in (ORPHAN, FOREGROUND) or f in wanted]
    return kept + [f for f in (ORPHAN, FOREGROUND) if f in wanted and f not in kept]


def apply(meta: ObjectMeta, decided: Plan) -> None:
    """Write a plan into metadata."""
    meta.finalizers = decided.finalizers or None
    meta.deletionTimestamp = decided.deletion
    meta.deletionGracePeriodSeconds = decided.grace
    meta.generation = decided.generation


def finished(new: ObjectMeta, old: ObjectMeta) -> bool:
    """Say whether an update of an object being deleted removed the last thing that kept it."""
    return (
        old.deletionTimestamp is not None
        and not old.deletionGracePeriodSeconds
        and not new.finalizers
    )
