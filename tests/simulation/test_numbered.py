"""Hours of StatefulSets and DaemonSets: names, order, claims, and what must be there in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from kybern.api import codec, errors
from kybern.api.apps.v1 import DaemonSet, StatefulSet
from kybern.api.core.v1 import PersistentVolume, Pod
from kybern.controllers.statefulset.plan import _Planner
from tests.simulation.profiles import TROUBLE, Profile
from tests.simulation.run import simulate
from tests.simulation.settled import Settled
from tests.simulation.workload import Users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.store.interface import Event
    from tests.simulation.world import World

CLAIMS, PODS = "/registry/persistentvolumeclaims/", "/registry/pods/default/"
MOST = 4
CALM = Profile(nodes=3, steps=8, whole=True)
ROUGH = Profile(
    nodes=3, steps=8, lost=0.02, conflicts=0.05, drops=0.05, stalls=0.02, refused=0.02,
    unavailable=0.02, crashes=4, deaths=1, losses=1, slow=0.3, latency=0.02, whole=True,
)  # fmt: skip


@dataclass
class Set:
    """A StatefulSet as it was last asked for."""

    name: str
    policy: str
    claims: bool
    replicas: int = 3
    image: str = "app:1"

    def tree(self) -> dict[str, Any]:
        """Return the object to create."""
        resources = {"requests": {"storage": "1Gi"}}
        claim = {
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": resources,
                "storageClassName": "manual",
            },
        }  # fmt: skip
        return {
            "metadata": {"name": self.name, "namespace": "default"},
            "spec": {
                "serviceName": self.name, "replicas": self.replicas,
                "podManagementPolicy": self.policy, "selector": {"matchLabels": {"app": self.name}},
                "template": template(self.name, self.image),
                "volumeClaimTemplates": [claim] if self.claims else [],
            },
        }  # fmt: skip


def template(name: str, image: str) -> dict[str, Any]:
    container = {"name": "c", "image": image, "resources": {"requests": {"cpu": "100m"}}}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


class Operators(Users):
    """They scale, roll out, take pods, and take sets while their pods stay."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.deployments = []
        self.sets = [Set("one", "OrderedReady", True), Set("two", "Parallel", False)]
        self.daemon = "app:1"
        self._claims: dict[str, str] = {}
        world.engine.onlookers.append(self._see)

    async def run(self) -> None:
        """Ask for everything, then change it step by step."""
        world, rng = self._world, self._world.rng
        for number in range(MOST):
            await self._insist(lambda n=number: self._client.create(volume(n)), ALREADY)  # type: ignore[misc]
        for wanted in self.sets:
            await self._create_anew(StatefulSet, codec.from_tree(wanted.tree(), StatefulSet))
        tree = {
            "metadata": {"name": "every", "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": {"app": "every"}},
                "template": template("every", "app:1"),
            },
        }
        await self._create_anew(DaemonSet, codec.from_tree(tree, DaemonSet))
        for at in sorted(rng.uniform(10, TROUBLE) for _ in range(world.profile.steps)):
            await world.clock.sleep(max(0.0, at - world.clock.monotonic()))
            step, wanted = rng.choice(self.DEEDS), rng.choice(self.sets)
            world.note("step", f"{step.__name__} {wanted.name}")
            await step(self, wanted)

    async def _resize(self, wanted: Set) -> None:
        wanted.replicas = self._world.rng.randint(0, MOST)
        await self._change(StatefulSet, wanted.name, {"replicas": wanted.replicas})

    async def _renew(self, wanted: Set) -> None:
        wanted.image = f"app:{self._world.rng.randint(2, 5)}"
        body = {"template": template(wanted.name, wanted.image)}
        await self._change(StatefulSet, wanted.name, body)

    async def _renew_daemon(self, _: Set) -> None:
        self.daemon = f"app:{self._world.rng.randint(2, 5)}"
        await self._change(DaemonSet, "every", {"template": template("every", self.daemon)})

    async def _take_pod(self, wanted: Set) -> None:
        name = f"{wanted.name}-{self._world.rng.randint(0, MOST - 1)}"
        delete = self._client.delete
        await self._insist(lambda: delete(Pod, name, "default"), (errors.NotFound,))

    async def _replace(self, wanted: Set) -> None:
        """Take the set and leave its pods: the next one adopts them."""
        await self._gone(StatefulSet, wanted.name, "default", "Orphan")
        await self._create_anew(StatefulSet, codec.from_tree(wanted.tree(), StatefulSet))

    async def _change(self, what: type[Any], name: str, spec: dict[str, Any]) -> None:
        body = {"spec": spec}
        await self._insist(
            lambda: self._client.patch(what, name, "default", body, type="strategic")
        )

    def _see(self, event: Event) -> None:
        """No claim goes, and none is made twice; nor is a pod made before those below it."""
        key = event.entry.key
        if key.startswith(CLAIMS):
            uid = msgspec.json.decode(event.entry.data)["metadata"]["uid"]
            if event.type == "DELETED" or self._claims.setdefault(key, uid) != uid:
                self._world.violate(f"claims: {key} is not kept")
        elif key.startswith(f"{PODS}one-") and event.type == "ADDED":
            self._world.invariants.checked["order"] += 1
            below = range(int(key.rpartition("-")[2]))
            missing = [n for n in below if f"{PODS}one-{n}" not in self._world.engine.entries]
            if missing and self._world.profile is CALM:
                self._world.violate(f"order: {key} was made before {missing}")

    DEEDS = (_resize, _resize, _renew, _renew, _renew_daemon, _take_pod, _take_pod, _replace)


ALREADY = (errors.AlreadyExists,)


def volume(number: int) -> PersistentVolume:
    tree = {
        "metadata": {"name": f"v{number}"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": "manual", "hostPath": {"path": f"/v{number}"},
        },
    }  # fmt: skip
    return codec.from_tree(tree, PersistentVolume)


class Complete(Settled):
    """Sets are as they were last asked for."""

    def problems(self) -> Iterator[str]:
        """Yield what is wrong."""
        yield from super().problems()
        users = self._users
        assert isinstance(users, Operators)
        pods = {p.metadata.name: p for p in self._world.invariants.pods.values()}
        for wanted in users.sets:
            tree = self._tree(f"/registry/statefulsets/default/{wanted.name}")
            yield from self._status(tree, wanted.replicas, ("", "ready", "updated", "available"))
            status = tree["status"]
            if status.get("currentRevision") != status.get("updateRevision"):
                yield f"liveness: {wanted.name} has not arrived at its revision"
            names = {n for n, p in pods.items() if p.metadata.labels.get("app") == wanted.name}
            if names != {f"{wanted.name}-{number}" for number in range(wanted.replicas)}:
                yield f"liveness: {wanted.name} wants {wanted.replicas} and has {sorted(names)}"
            images = {pods[name].spec.containers[0].image for name in names}
            if images - {wanted.image}:
                yield f"liveness: {wanted.name} runs {images}"
        every = [p for p in pods.values() if p.metadata.labels.get("app") == "every"]
        nodes = {key.rpartition("/")[2] for key in self._entries if "/minions/" in key}
        found = sorted(p.spec.nodeName for p in every if p.ready)
        if found != sorted(nodes):
            yield f"liveness: the nodes are {sorted(nodes)}, the daemon runs on {found}"
        if {p.spec.containers[0].image for p in every} != {users.daemon}:
            yield "liveness: the daemon is not what it was asked to be"

    def _tree(self, key: str) -> Any:
        return msgspec.json.decode(self._entries[key].data)

    def _status(self, tree: Any, wanted: int, counts: tuple[str, ...]) -> Iterator[str]:
        status, name = tree["status"], tree["metadata"]["name"]
        if status.get("observedGeneration") != tree["metadata"]["generation"]:
            yield f"liveness: {name} was not looked at since it changed"
        for count in counts:
            field = f"{count}Replicas" if count else "replicas"
            if status.get(field, 0) != wanted:
                yield f"liveness: {name} wants {wanted}, {field} is {status.get(field, 0)}"


@pytest.mark.parametrize("seed", range(3))
def test_a_calm_hour(seed: int) -> None:
    outcome = simulate(seed, profile=CALM, users=Operators, settled=Complete)
    assert outcome.violations == ()
    assert outcome.checked["order"] >= 3


@pytest.mark.parametrize("seed", range(4))
def test_a_rough_hour(seed: int) -> None:
    assert simulate(seed, profile=ROUGH, users=Operators, settled=Complete).violations == ()


def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods in order are made all at once."""
    make = _Planner.__init__

    def hasty(self: Any, *args: Any) -> None:
        make(self, *args)
        self.burst = True

    monkeypatch.setattr(_Planner, "__init__", hasty)
    # Not every hour tells: the pods made at once may happen to come in order.
    hours = (simulate(seed, profile=CALM, users=Operators, settled=Complete) for seed in range(8))
    assert any("was made before" in found for hour in hours for found in hour.violations)
