"""How much is asked of a driver, and when it is the node's turn."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.controllers.csiresizer import modifying, plan

MI = 1 << 20


def claim(
    wants: int, has: int, state: str = "", begun: int = 0, phase: str = "Bound", **more: Any
) -> PersistentVolumeClaim:
    status: Any = {"phase": phase, "capacity": {"storage": f"{has}Mi"}, **more.pop("status", {})}
    if state:
        status["allocatedResourceStatuses"] = {"storage": state}
    if begun:
        status["allocatedResources"] = {"storage": f"{begun}Mi"}
    spec = {"resources": {"requests": {"storage": f"{wants}Mi"}}, **more}
    return codec.from_tree({"spec": spec, "status": status}, PersistentVolumeClaim)


def volume(size: int) -> PersistentVolume:
    return codec.from_tree({"spec": {"capacity": {"storage": f"{size}Mi"}}}, PersistentVolume)


@pytest.mark.parametrize(
    ("it", "size", "expected"),
    [
        (claim(8, 8), 8, 0),
        (claim(8, 16), 16, 0),
        (claim(16, 8), 8, 16),
        (claim(16, 8, phase="Pending"), 8, 0),
        # it died after the driver had done it: the driver is asked once more
        (claim(16, 8, plan.IN_PROGRESS, 16), 16, 16),
        (claim(16, 8, plan.IN_PROGRESS, 16), 8, 16),
        # the wish is smaller again, but more may have been done already
        (claim(12, 8, plan.IN_PROGRESS, 16), 8, 16),
        (claim(8, 8, plan.IN_PROGRESS, 16), 8, 16),
        # the driver never will: what is wished now counts
        (claim(12, 8, plan.INFEASIBLE, 16), 8, 12),
        (claim(8, 8, plan.INFEASIBLE, 16), 8, 8),
        # the node's turn, until more is asked for
        (claim(16, 8, plan.NODE_PENDING, 16), 16, 0),
        (claim(16, 8, "NodeResizeInProgress", 16), 16, 0),
        (claim(32, 8, plan.NODE_PENDING, 16), 16, 32),
    ],
)
def test_what_is_asked(it: PersistentVolumeClaim, size: int, expected: int) -> None:
    assert plan.wish(it, volume(size)) == expected * MI


def kinds(it: PersistentVolumeClaim) -> list[str]:
    return [each.type for each in it.status.conditions or ()]


def test_the_steps() -> None:
    begun = plan.begun(claim(16, 8), 16 * MI, 0.0)
    assert begun is not None
    assert begun.status.allocatedResources == {"storage": "16Mi"}
    assert kinds(begun) == ["Resizing"]
    assert plan.begun(begun, 16 * MI, 5.0) is None
    broken = plan.failed(begun, "no", 1.0, hopeless=True)
    assert plan.state_of(broken) == plan.INFEASIBLE
    assert plan.failed(broken, "no", 9.0, hopeless=True) == broken  # the time stays
    handed = plan.handed_over(begun, 1.0)
    assert (plan.state_of(handed), kinds(handed)) == (
        plan.NODE_PENDING,
        ["FileSystemResizePending"],
    )
    done = plan.finished(begun, plan.grown(volume(8), 16 * MI))
    assert done.status.capacity == {"storage": "16Mi"}
    assert (plan.state_of(done), kinds(done)) == ("", [])


def test_which_class_is_wanted() -> None:
    gold = {"volumeAttributesClassName": "gold"}
    has = {"status": {"currentVolumeAttributesClassName": "gold"}}
    assert modifying.target(claim(8, 8)) == ""
    assert modifying.target(claim(8, 8, **gold)) == "gold"
    assert modifying.target(claim(8, 8, phase="Pending", **gold)) == ""
    assert modifying.target(claim(8, 8, **gold, **has)) == ""
    half = modifying.in_state(claim(8, 8, **gold, **has), "bad", modifying.INFEASIBLE, "no", 0.0)
    assert half is not None
    assert modifying.target(half) == "gold"
    assert modifying.in_state(half, "bad", modifying.INFEASIBLE, "no", 9.0) is None
    assert modifying.state_of(half) == ("bad", "Infeasible")
    done = modifying.finished(half, "gold")
    assert (modifying.target(done), modifying.state_of(done), kinds(done)) == ("", ("", ""), [])
