"""What must hold after every single write.

The histories of sizes answer for lag: a controller acts on what it has seen. What it has seen is
never older than the generation it has last reported as observed, so its limits are those of the
generations since. Where pods were lost by misfortune, or users took them, what is left is nobody's
own doing, and counting pods for availability is left out until things have been quiet for a while.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.simulation import shapes

if TYPE_CHECKING:
    from kybern.store.interface import Entry, Event
    from tests.simulation.world import World

QUIET = 400.0  # seconds after a disturbance until availability is judged again
UNSEEN = 60.0  # seconds a created pod whose answer was lost may be unknown to who created it
PODS, SETS = "/registry/pods/", "/registry/replicasets/"
DEPLOYMENTS, NODES = "/registry/deployments/", "/registry/minions/"


class Sizes:
    """The limits that follow from the generations a controller may be acting on."""

    __slots__ = ("_limits",)

    def __init__(self) -> None:
        self._limits: list[tuple[int, int, int]] = []

    def note(self, generation: int, low: int, high: int, observed: int) -> None:
        """Note the limits of the current generation, and which one was observed."""
        if not self._limits or self._limits[-1][0] != generation:
            self._limits.append((generation, low, high))
        while len(self._limits) > 1 and self._limits[0][0] < observed:
            del self._limits[0]

    @property
    def low(self) -> int:
        """The smallest number that may be aimed at."""
        return min(low for _, low, _ in self._limits)

    @property
    def high(self) -> int:
        """The greatest."""
        return max(high for _, _, high in self._limits)


def bounds(deployment: shapes.Deployment) -> tuple[int, int]:
    """Return how many must be available and how many there may be, as upstream counts."""
    replicas = deployment.spec.replicas
    rolling = deployment.spec.strategy.rollingUpdate
    if deployment.spec.strategy.type == "Recreate" or rolling is None:
        return 0, replicas
    surge = _share(rolling.maxSurge, replicas, math.ceil)
    unavailable = _share(rolling.maxUnavailable, replicas, math.floor)
    if not surge and not unavailable:
        unavailable = 1
    return max(0, replicas - unavailable), replicas + surge


def _share(value: int | str, whole: int, rounded: Any) -> int:
    if isinstance(value, int):
        return value
    return int(rounded(int(value.rstrip("%")) * whole / 100))


@functools.lru_cache(maxsize=1024)
def known_thing(entry: Entry) -> shapes.Thing:
    """Return what a fresh cluster holds; it is the same in every world."""
    return shapes.thing(entry.data)


class Invariants:
    """Follows the store and tells the world of what must not be."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._revision = world.engine.revision
        self.things: dict[str, Any] = {}
        self._gone: set[str] = set()
        self.pods: dict[str, shapes.Pod] = {}
        self.sets: dict[str, shapes.ReplicaSet] = {}
        self.deployments: dict[str, shapes.Deployment] = {}
        self._sizes: dict[str, Sizes] = {}
        self._pods_of: dict[str, set[str]] = {}
        self._sets_of: dict[str, set[str]] = {}
        self._disturbed: dict[str, float] = {}
        self._unseen: dict[str, float] = {}
        self._used: Counter[str] = Counter()
        self.checked: Counter[str] = Counter()
        for entry in world.engine.entries.values():
            self.things[entry.key] = known_thing(entry)

    def see(self, event: Event) -> None:
        """Judge one write."""
        entry = event.entry
        key = entry.key
        if entry.revision != self._revision + 1:
            self._fail("revisions", f"{entry.revision} came after {self._revision}")
        self._revision = entry.revision
        deleted = event.type == "DELETED"
        thing: Any
        if key.startswith(PODS):
            self._pod(key, thing := shapes.pod(entry.data), deleted)
        elif key.startswith(SETS):
            self._set(thing := shapes.replica_set(entry.data), deleted)
        elif key.startswith(DEPLOYMENTS):
            self._deployment(thing := shapes.deployment(entry.data), deleted)
        else:
            thing = shapes.thing(entry.data)
        self._anything(key, thing, event.type)

    def unseen(self, uid: str) -> None:
        """Note that the creator of a pod did not hear that it exists."""
        self._unseen[uid] = self._world.clock.monotonic()

    def unsure(self, name: str) -> None:
        """Note that who deleted a pod did not hear that it is deleted, and still reports it."""
        for pod in self.pods.values():
            owner = self.sets.get(pod.metadata.controller)
            if owner is not None and pod.metadata.name == name:
                self._disturb(owner.metadata.controller)

    def _fail(self, rule: str, text: str) -> None:
        self._world.violate(f"{rule}: {text}")

    # --- any object --------------------------------------------------------------------------

    def _anything(self, key: str, new: Any, type_: str) -> None:
        old = self.things.get(key)
        meta = new.metadata
        if (old is None) != (type_ == "ADDED"):
            self._fail("history", f"{key} was {type_}, and {'not ' * (old is None)}there before")
        if type_ == "DELETED":
            self._gone.add(meta.uid)
            self.things.pop(key, None)
            # The last finalizer leaves with the object, whose last state still has it.
            if len(meta.finalizers) > 1:
                self._fail("finalizers", f"{key} went with {meta.finalizers}")
            return
        self.things[key] = new
        if meta.uid in self._gone:
            self._fail("resurrection", f"{key} is back with the uid {meta.uid}")
        if new.status.observedGeneration > meta.generation and meta.generation:
            self._fail("generation", f"{key} was observed before it was written")
        if old is None:
            return
        before = old.metadata
        if meta.uid != before.uid or meta.creationTimestamp != before.creationTimestamp:
            self._fail("identity", f"{key} became another object by an update")
        if meta.generation < before.generation:
            self._fail("lost update", f"the generation of {key} went back")
        if new.status.observedGeneration < old.status.observedGeneration:
            self._fail("lost update", f"the observed generation of {key} went back")
        if before.deletionTimestamp and not meta.deletionTimestamp:
            self._fail("deletion", f"{key} is no longer being deleted")

    # --- pods --------------------------------------------------------------------------------

    def _pod(self, key: str, new: shapes.Pod, deleted: bool) -> None:
        uid = new.metadata.uid
        old = self.pods.get(uid)
        if old is not None and old.spec.nodeName and new.spec.nodeName != old.spec.nodeName:
            self._fail("bound twice", f"{key}: {old.spec.nodeName}, then {new.spec.nodeName}")
        if old is not None and old.terminal and new.status.phase != old.status.phase:
            self._fail("phase", f"{key} was {old.status.phase} and is {new.status.phase}")
        self._account(key, old, None if deleted else new)
        if deleted:
            self.pods.pop(uid, None)
        else:
            self.pods[uid] = new
        owner = new.metadata.controller
        if old is not None and old.metadata.controller != owner:
            self._pods_of.get(old.metadata.controller, set()).discard(uid)
            self._disturb(old.metadata.controller)
            self._disturb(owner)
        if not owner:
            return
        pods = self._pods_of.setdefault(owner, set())
        pods.discard(uid) if deleted else pods.add(uid)
        if old is None and not deleted:
            self._not_too_many(key, owner)
        elif old is not None and old.active and (deleted or not new.active):
            self._left(key, owner, old)
        elif old is not None and old.ready and not new.ready:
            self._disturb(owner)

    def _account(self, key: str, old: shapes.Pod | None, new: shapes.Pod | None) -> None:
        """No node is promised more than it has."""
        had = _held(old)
        has = _held(new)
        if had == has:
            return
        if had[0]:
            self._used[had[0]] -= had[1]
        if has[0]:
            self._used[has[0]] += has[1]
            room = self._world.room.get(has[0])
            if room is not None and self._used[has[0]] > room:
                self._fail("overcommitted", f"{has[0]} by {key}: {self._used[has[0]]}m of {room}m")

    def _active(self, owner: str) -> int:
        return sum(self.pods[uid].active for uid in self._pods_of.get(owner, ()))

    def _not_too_many(self, key: str, owner: str) -> None:
        sizes = self._sizes.get(owner)
        if sizes is None:
            return
        now = self._world.clock.monotonic()
        unseen = sum(
            now - self._unseen[uid] < UNSEEN
            for uid in self._pods_of.get(owner, ())
            if uid in self._unseen and self.pods[uid].active
        )
        self.checked["surge of pods"] += 1
        if self._active(owner) - unseen > sizes.high:
            self._fail("too many pods", f"{key} is one more than {sizes.high}")
        replica_set = self.sets.get(owner)
        deployment = self.deployments.get(replica_set.metadata.controller) if replica_set else None
        if deployment is not None and deployment.spec.strategy.type == "Recreate":
            self._after_the_old(key, owner, deployment)

    def _after_the_old(self, key: str, owner: str, deployment: shapes.Deployment) -> None:
        for sibling in self._sets_of.get(deployment.metadata.uid, ()):
            if sibling != owner and sibling in self.sets and self._active(sibling):
                self._fail("recreate", f"{key} was made while old pods run")

    def _left(self, key: str, owner: str, old: shapes.Pod) -> None:
        """A pod was taken from its ReplicaSet: by whom is known from who asked."""
        world = self._world
        sizes = self._sizes.get(owner)
        if world.writer != "replicaset-controller":
            self._disturb(owner)
            return
        if sizes is None or self._is_disturbed(owner):
            return
        replica_set = self.sets.get(owner)
        if replica_set is None or replica_set.metadata.deletionTimestamp:
            return
        self.checked["scaling down pods"] += 1
        if self._active(owner) < sizes.low:
            self._fail("too few pods", f"{key} was deleted, {sizes.low} were wanted")

    # --- sets of them ------------------------------------------------------------------------

    def _set(self, new: shapes.ReplicaSet, deleted: bool) -> None:
        uid, owner = new.metadata.uid, new.metadata.controller
        old = self.sets.get(uid)
        before = self._available(owner)
        if old is not None and old.metadata.controller != owner:
            self._sets_of.get(old.metadata.controller, set()).discard(uid)
            self._disturb(old.metadata.controller)
            self._disturb(owner)
        if deleted:
            self.sets.pop(uid, None)
            self._sizes.pop(uid, None)
            self._sets_of.get(owner, set()).discard(uid)
            return
        self.sets[uid] = new
        replicas = new.spec.replicas
        sizes = self._sizes.setdefault(uid, Sizes())
        sizes.note(new.metadata.generation, replicas, replicas, new.status.observedGeneration)
        if not owner:
            return
        self._sets_of.setdefault(owner, set()).add(uid)
        if self._world.writer != "deployment-controller":
            return
        was = old.spec.replicas if old is not None else 0
        if replicas > was:
            self._not_above(new, owner)
        elif replicas < was:
            self._not_below(new, owner, before)

    def _not_above(self, new: shapes.ReplicaSet, owner: str) -> None:
        sizes = self._sizes.get(owner)
        if sizes is None:
            return
        total = sum(self.sets[uid].spec.replicas for uid in self._sets_of[owner])
        self.checked["surge of sets"] += 1
        if total > sizes.high:
            self._fail("surge", f"{new.metadata.name}: {total} in all, {sizes.high} may be")

    def _not_below(self, new: shapes.ReplicaSet, owner: str, before: int) -> None:
        sizes = self._sizes.get(owner)
        if sizes is None or self._is_disturbed(owner):
            return
        left = self._available(owner)
        self.checked["availability"] += 1
        if left < min(before, sizes.low):
            text = f"{new.metadata.name}: {before} available, then {left}; {sizes.low} must be"
            self._fail("unavailable", text)

    def _available(self, deployment: str) -> int:
        """Count the ready pods that their ReplicaSets will keep."""
        count = 0
        for uid in self._sets_of.get(deployment, ()):
            ready = sum(
                (pod := self.pods[one]).active and pod.ready for one in self._pods_of.get(uid, ())
            )
            count += min(ready, self.sets[uid].spec.replicas)
        return count

    def _deployment(self, new: shapes.Deployment, deleted: bool) -> None:
        uid = new.metadata.uid
        if deleted:
            self.deployments.pop(uid, None)
            self._sizes.pop(uid, None)
            return
        self.deployments[uid] = new
        sizes = self._sizes.setdefault(uid, Sizes())
        sizes.note(new.metadata.generation, *bounds(new), new.status.observedGeneration)

    # --- misfortune --------------------------------------------------------------------------

    def _disturb(self, owner: str) -> None:
        if not owner:
            return
        now = self._world.clock.monotonic()
        self._disturbed[owner] = now
        if owner in self.sets and (above := self.sets[owner].metadata.controller):
            self._disturbed[above] = now

    def _is_disturbed(self, owner: str) -> bool:
        at = self._disturbed.get(owner)
        return at is not None and self._world.clock.monotonic() - at < QUIET


def _held(pod: shapes.Pod | None) -> tuple[str, int]:
    """Return where a pod takes room, and how many thousandths of a processor."""
    if pod is None or pod.terminal or not pod.spec.nodeName:
        return "", 0
    asked = (c.resources.requests.get("cpu", "0") for c in pod.spec.containers)
    return pod.spec.nodeName, sum(int(one.rstrip("m")) for one in asked)
