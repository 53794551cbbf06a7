"""The invariants can fail: each planted bug is found, by the rule that is about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kybern.apiserver.registry import metadata
from kybern.apiserver.registry.core import binding
from kybern.client import informer
from kybern.client.workqueue import WorkQueue
from kybern.controllers.deployment import rolling
from kybern.controllers.deployment.sizes import Bounds
from kybern.controllers.garbagecollector.controller import GarbageCollector
from kybern.controllers.replicaset import controller as replicaset
from kybern.controllers.runtime.expectations import Expectations
from kybern.scheduler.binder import Binder
from tests.simulation import run
from tests.simulation.profiles import Profile
from tests.simulation.run import simulate
from tests.simulation.workload import Users

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import Pod

    Patch = Callable[..., None]


def bind_twice(patch: Patch) -> None:
    """The scheduler changes its mind, and the server lets it."""
    check, bind = binding._check, Binder._bind

    def lenient(resource: Any, pod: Pod, wanted: Any) -> None:
        if not pod.spec.nodeName:
            check(resource, pod, wanted)

    async def twice(self: Binder, waiting: Any, node: str) -> None:
        await bind(self, waiting, node)
        await bind(self, waiting, "node-0" if node == "node-1" else "node-1")

    patch(binding, "_check", lenient)
    patch(Binder, "_bind", twice)


def ignore_max_unavailable(patch: Patch) -> None:
    patch(Bounds, "minimum", property(lambda _: 0))


def ignore_max_surge(patch: Patch) -> None:
    patch(rolling, "size_of_new", lambda _new, _old, bounds: bounds.desired)


def expect_nothing(patch: Patch) -> None:
    """A ReplicaSet counts pods in a cache that does not show what it has just made."""
    patch(Expectations, "satisfied", lambda *_: True)
    patch(replicaset, "CAUGHT_UP", replicaset.DONE)
    reconcile = replicaset.ReplicaSetController.reconcile

    async def again(self: Any, key: Any) -> Any:
        await reconcile(self, key)
        return await reconcile(self, key)

    patch(replicaset.ReplicaSetController, "reconcile", again)


def delete_one_more(patch: Patch) -> None:
    plan = replicaset.plan

    def greedy(replica_set: Any, pods: list[Pod], related: Any, now: float) -> Any:
        steps = plan(replica_set, pods, related, now)
        more = [pod for pod in pods if pod not in steps.delete][:1]
        return replicaset.Plan(delete=(*steps.delete, *more)) if steps.delete else steps

    patch(replicaset, "plan", greedy)


def collect_nothing(patch: Patch) -> None:
    async def idle(*_: Any) -> None:
        return None

    patch(GarbageCollector, "reconcile", idle)


def overwrite(patch: Patch) -> None:
    """The server takes whatever is written last."""
    patch(metadata, "check_version", lambda *_args, **_more: None)


def forget_failures(patch: Patch) -> None:
    patch(WorkQueue, "add_rate_limited", lambda *_: None)


def resume_too_late(patch: Patch) -> None:
    """A watch that broke goes on from now, not from where it was."""
    attempt = informer.Informer._attempt

    async def skipping(self: Any) -> bool:
        ended_well = await attempt(self)
        if not ended_well and self.revision:
            self.revision = str(self._client.transport._world.engine.revision)
        return ended_well

    patch(informer.Informer, "_attempt", skipping)


def log_a_bug(patch: Patch) -> None:
    async def broken(*_: Any) -> None:
        raise KeyError("a bug")

    patch(replicaset.ReplicaSetController, "_report", broken)


ROLLOUTS = Profile(steps=9)
ROUGH = Profile(steps=9, lost=0.05, conflicts=0.1, drops=0.2, stalls=0.05, refused=0.05)

PLANTED = [
    (bind_twice, "bound twice", ROLLOUTS),
    (ignore_max_unavailable, "unavailable", ROLLOUTS),
    (ignore_max_surge, "surge", ROLLOUTS),
    (expect_nothing, "too many pods", ROLLOUTS),
    (delete_one_more, "too few pods", ROLLOUTS),
    (collect_nothing, "garbage", ROLLOUTS),
    (overwrite, "lost update", ROLLOUTS),
    (forget_failures, ("liveness", "garbage"), ROUGH),
    (resume_too_late, ("too many pods", "mirror", "liveness", "garbage"), ROUGH),
    (log_a_bug, "error logged", ROLLOUTS),
]


@pytest.mark.parametrize(
    ("plant", "rule", "profile"), PLANTED, ids=lambda x: getattr(x, "__name__", "")
)
def test_a_planted_bug_is_found(monkeypatch, plant, rule, profile):
    plant(monkeypatch.setattr)
    if rule == "lost update":
        monkeypatch.setattr(Users, "STEPS", (Users._count,))
    for seed in range(20):
        found = simulate(seed, profile=profile).violations
        if found:
            assert found[0].startswith(rule), found
            return
    pytest.fail("20 seeds did not find it")


def test_somebody_who_never_waits_is_found(monkeypatch):
    async def never_waiting(*_: Any) -> None:
        while True:
            pass

    monkeypatch.setattr(replicaset.ReplicaSetController, "reconcile", never_waiting)
    monkeypatch.setattr(run, "LIMIT", 0.5)
    found = simulate(1, profile=ROLLOUTS).violations
    assert found[0].startswith("busy: ")
    assert "never_waiting" in found[0]
