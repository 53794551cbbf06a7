"""What becomes of one object, by the state of its owners."""

from __future__ import annotations

import pytest

from kybern.client.metadata import Owner, PartialMetadata
from kybern.controllers.garbagecollector.plan import (
    KEEP,
    OwnerState,
    Policy,
    Verdict,
    judge,
    unblocked,
    without,
)

SOLID, WAITING, ABSENT = OwnerState.SOLID, OwnerState.WAITING, OwnerState.ABSENT
BACKGROUND = Verdict(delete=Policy.BACKGROUND)


@pytest.mark.parametrize(
    ("owners", "dependents", "waiting", "finalizers", "want"),
    [
        ({}, False, False, None, KEEP),
        ({"a": SOLID}, True, False, None, KEEP),
        ({"a": SOLID, "b": ABSENT}, False, False, None, Verdict(drop=frozenset("b"))),
        ({"a": SOLID, "b": WAITING}, True, True, None, Verdict(drop=frozenset("b"))),
        ({"a": ABSENT}, False, False, None, BACKGROUND),
        ({"a": ABSENT}, True, False, None, BACKGROUND),
        ({"a": ABSENT, "b": ABSENT}, False, False, None, BACKGROUND),
        ({"a": WAITING}, False, False, None, BACKGROUND),
        ({"a": WAITING}, True, False, None, Verdict(delete=Policy.FOREGROUND)),
        ({"a": WAITING}, True, True, None, Verdict(delete=Policy.FOREGROUND, unblock=True)),
        ({"a": WAITING, "b": ABSENT}, True, False, None, Verdict(delete=Policy.FOREGROUND)),
        ({"a": ABSENT}, True, False, ["orphan"], Verdict(delete=Policy.ORPHAN)),
        ({"a": ABSENT}, True, False, ["foregroundDeletion"], Verdict(delete=Policy.FOREGROUND)),
    ],
)
def test_verdicts(owners, dependents, waiting, finalizers, want):
    metadata = PartialMetadata(finalizers=finalizers)
    found = judge(metadata, owners, has_dependents=dependents, waiting_dependents=waiting)
    assert found == want


def test_references_as_patches_have_them():
    owners = [
        Owner("v1", "A", "a", "1", controller=True, blockOwnerDeletion=True),
        Owner("v1", "B", "b", "2"),
    ]
    plain = {"apiVersion": "v1", "kind": "B", "name": "b", "uid": "2"}
    assert without(owners, {"1"}) == [plain]
    first, second = unblocked(owners)
    assert (first["controller"], first["blockOwnerDeletion"]) == (True, False)
    assert second == plain
