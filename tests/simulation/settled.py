"""What must hold when nothing has gone wrong for a while: what was asked for is there.

And nothing else: no child without its owner, nothing half deleted, no mirror that differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulation import shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.workload import Users, Wanted
    from tests.simulation.world import World


class Settled:
    """Looks at a world that should be at rest."""

    def __init__(self, world: World, users: Users, known: int) -> None:
        """Look at everything up to the revision `known`; what is newer may not be seen yet."""
        self._world = world
        self._known = known
        self._users = users
        self._entries = world.engine.entries
        self._things = world.invariants.things

    def problems(self) -> Iterator[str]:
        """Yield what is wrong."""
        for wanted in self._users.deployments:
            if wanted.exists:
                yield from self._deployment(wanted)
        yield from self._objects()
        yield from self._pods()
        yield from self._mirrors()
        yield from self._count()

    # --- what was asked for ------------------------------------------------------------------

    def _deployment(self, wanted: Wanted) -> Iterator[str]:
        where = f"{wanted.namespace}/{wanted.name}"
        entry = self._entries.get(f"/registry/deployments/{where}")
        if entry is None:
            yield f"liveness: deployment {where} is not there"
            return
        found = shapes.deployment(entry.data)
        image = found.spec.template["spec"]["containers"][0]["image"]
        asked = (wanted.replicas, wanted.image, wanted.paused)
        has = (found.spec.replicas, image, found.spec.paused)
        if has != asked:
            yield f"lost update: {where} was asked to be {asked} and is {has}"
        if found.status.observedGeneration != found.metadata.generation:
            yield f"liveness: deployment {where} was not looked at since it changed"
        status = found.status
        counts = (
            status.replicas, status.updatedReplicas, status.availableReplicas,
            status.readyReplicas, status.unavailableReplicas,
        )  # fmt: skip
        if counts != (*[wanted.replicas] * 4, 0):
            yield f"liveness: deployment {where} wants {wanted.replicas} and has {counts}"
        ready = {p.status.podIP for p in self._pods_of(found.metadata.uid) if p.ready}
        if len(ready) != wanted.replicas:
            yield f"liveness: deployment {where} has {len(ready)} ready pods"
        if wanted.service:
            yield from self._endpoints(where, wanted, ready)

    def _endpoints(self, where: str, wanted: Wanted, ready: set[str]) -> Iterator[str]:
        if f"/registry/services/specs/{where}" not in self._entries:
            yield f"liveness: service {where} is not there"
            return
        sliced: set[str] = set()
        for tree in self._trees(f"/registry/endpointslices/{wanted.namespace}/"):
            labels = tree["metadata"].get("labels", {})
            if labels.get("kubernetes.io/service-name") == wanted.name:
                for endpoint in tree.get("endpoints") or ():
                    if endpoint["conditions"].get("ready"):
                        sliced.update(endpoint["addresses"])
        listed: set[str] = set()
        for tree in self._trees(f"/registry/services/endpoints/{where}"):
            for subset in tree.get("subsets") or ():
                listed.update(one["ip"] for one in subset.get("addresses") or ())
        if sliced != ready:
            yield f"liveness: slices of {where} name {sorted(sliced)}, ready are {sorted(ready)}"
        if listed != ready:
            yield f"liveness: endpoints of {where} name {sorted(listed)}, ready: {sorted(ready)}"

    def _pods_of(self, deployment: str) -> list[shapes.Pod]:
        sets = {
            uid
            for uid, one in self._world.invariants.sets.items()
            if one.metadata.controller == deployment
        }
        pods = self._world.invariants.pods.values()
        return [pod for pod in pods if pod.metadata.controller in sets]

    # --- what else there is ------------------------------------------------------------------

    def _objects(self) -> Iterator[str]:
        uids = {thing.metadata.uid for thing in self._things.values()}
        for key, thing in self._things.items():
            meta = thing.metadata
            if meta.deletionTimestamp:
                yield f"garbage: {key} is still being deleted, finalizers {meta.finalizers}"
            owners = [owner.uid for owner in meta.ownerReferences]
            if owners and not uids.intersection(owners):
                yield f"garbage: {key} has outlived its owners"
            if meta.namespace and f"/registry/namespaces/{meta.namespace}" not in self._entries:
                yield f"garbage: {key} has outlived its namespace"

    def _pods(self) -> Iterator[str]:
        for pod in self._world.invariants.pods.values():
            where = f"{pod.metadata.namespace}/{pod.metadata.name}"
            if not pod.spec.nodeName:
                yield f"liveness: pod {where} is not bound"
            elif f"/registry/minions/{pod.spec.nodeName}" not in self._entries:
                yield f"garbage: pod {where} is on {pod.spec.nodeName}, which is gone"
            elif not pod.ready and not pod.terminal:
                yield f"liveness: pod {where} is not ready"

    def _mirrors(self) -> Iterator[str]:
        """Every informer of every component must show what the store has."""
        by_resource: dict[str, dict[tuple[str, str], int]] = {}
        for component in self._world.components:
            if component.mirrors is None:
                continue
            for informer in component.mirrors.running():
                kind = informer.kind
                resource = self._world.server.services.resources.find(
                    kind.group, kind.version, kind.plural
                )
                prefix = resource.prefix
                if prefix not in by_resource:
                    by_resource[prefix] = {
                        (thing.metadata.namespace, thing.metadata.name): self._entries[key].revision
                        for key, thing in self._things.items()
                        if key.startswith(prefix)
                    }
                shown = {
                    (o.metadata.namespace or "", o.metadata.name or ""): int(
                        o.metadata.resourceVersion or 0
                    )
                    for o in informer.list()
                }
                there = by_resource[prefix]

                def new(key: tuple[str, str], there: Any = there) -> bool:
                    return there.get(key, 0) > self._known

                wrong = {k: v for k, v in shown.items() if there.get(k) != v and not new(k)}
                missing = [k for k in there if k not in shown and not new(k)]
                if not informer.is_whole:
                    missing = []
                if wrong or missing:
                    yield (
                        f"mirror: {component.name} shows {kind.plural} {wrong} and lacks {missing}"
                    )

    def _count(self) -> Iterator[str]:
        entry = self._entries.get("/registry/configmaps/default/count")
        if entry is None:
            return
        number = int(msgspec.json.decode(entry.data).get("data", {}).get("n", "0"))
        users = self._users
        if not users.counted <= number <= users.counted + users.perhaps:
            yield f"lost update: counted to {number}, {users.counted} were answered"

    def _trees(self, prefix: str) -> list[Any]:
        return [
            msgspec.json.decode(e.data) for k, e in self._entries.items() if k.startswith(prefix)
        ]
