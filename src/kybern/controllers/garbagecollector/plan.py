"""What becomes of one object.

In:   the object as it is now, the state of each of its owners, its dependents.
Out:  a `Verdict`: keep it, drop references, or delete it and how.
By:   garbagecollector.controller. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from kybern.controllers.garbagecollector.graph import FOREGROUND, ORPHAN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kybern.client.metadata import Owner, PartialMetadata


class OwnerState(Enum):
    """What is known about an owner."""

    SOLID = "solid"  # it exists and means to stay, or at least takes nobody with it
    WAITING = "waiting"  # it is being deleted and waits for its dependents to go first
    ABSENT = "absent"  # there is none of this uid


class Policy(Enum):
    """How an object's own dependents are treated when it is deleted."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do.

    Attributes:
        delete: how to delete it, or None to keep it.
        drop: uids of owners whose references go.
        unblock: first let its owners go before it, because it waits, through its dependents, for
            itself.
    """

    delete: Policy | None = None
    drop: frozenset[str] = frozenset()
    unblock: bool = False


KEEP = Verdict()


def judge(
    metadata: PartialMetadata,
    owners: Mapping[str, OwnerState],
    *,
    has_dependents: bool,
    waiting_dependents: bool,
) -> Verdict:
    """Decide about an object that has owners.

    Args:
        metadata: the object's, fresh from the server.
        owners: the state of each owner, by uid.
        has_dependents: whether it owns anything.
        waiting_dependents: whether something it owns waits for its own dependents already.
    """
    states = set(owners.values())
    if not states:
        return KEEP
    if OwnerState.SOLID in states:
        drop = [uid for uid, state in owners.items() if state is not OwnerState.SOLID]
        return Verdict(drop=frozenset(drop))
    if OwnerState.WAITING in states and has_dependents:
        # An owner waits for us, so what we own has to go before we do.
        return Verdict(delete=Policy.FOREGROUND, unblock=waiting_dependents)
    finalizers = metadata.finalizers or ()
    if ORPHAN in finalizers:
        return Verdict(delete=Policy.ORPHAN)
    if FOREGROUND in finalizers:
        return Verdict(delete=Policy.FOREGROUND)
    return Verdict(delete=Policy.BACKGROUND)


def without(owners: Collection[Owner], gone: Collection[str]) -> list[dict[str, object]]:
    """Return references as a patch has them, without some."""
    return [as_tree(reference) for reference in owners if reference.uid not in gone]


def unblocked(owners: Collection[Owner]) -> list[dict[str, object]]:
    """Return references that make no owner wait."""
    trees = [as_tree(reference) for reference in owners]
    for tree in trees:
        if tree.get("blockOwnerDeletion"):
            tree["blockOwnerDeletion"] = False
    return trees


def as_tree(reference: Owner) -> dict[str, object]:
    """Return a reference as JSON has it."""
    tree: dict[str, object] = {
        "apiVersion": reference.apiVersion,
        "kind": reference.kind,
        "name": reference.name,
        "uid": reference.uid,
    }
    if reference.controller is not None:
        tree["controller"] = reference.controller
    if reference.blockOwnerDeletion is not None:
        tree["blockOwnerDeletion"] = reference.blockOwnerDeletion
    return tree
