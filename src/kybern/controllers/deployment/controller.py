"""The Deployment controller: carries plans out.

In:   Deployments, their ReplicaSets, and pods (only to know when the last one is gone).
Out:  ReplicaSets created, resized and deleted; Deployment status; events.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors, selectors
from kybern.api.apps.v1 import Deployment, DeploymentCondition, ReplicaSet
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Pod
from kybern.client.metadata import Partial
from kybern.controllers.deployment import progress
from kybern.controllers.deployment.plan import Plan, Resize, plan
from kybern.controllers.deployment.revisions import REVISION, same_template
from kybern.controllers.deployment.sizes import is_rolling
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.dependents import Dependents
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.ownership import (
    BY_CONTROLLER,
    INDEXERS,
    claim,
    controller_of,
    is_controlled_by,
)
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(10.0)  # how long to wait for the caches before looking again regardless


class DeploymentController:
    """Keeps the ReplicaSets of Deployments."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._deployments = ctx.informers.of(Deployment)
        self._replica_sets = ctx.informers.of(ReplicaSet, indexers=INDEXERS)
        self._pods = ctx.informers.of(Pod, indexers=INDEXERS)
        self._expected_sets: Expectations[Key] = Expectations(self._replica_sets)
        self._expected_status: Expectations[Key] = Expectations(self._deployments)
        self._loop: Loop[Key] = Loop(
            "deployment",
            self.reconcile,
            after=(self._deployments, self._replica_sets, self._pods),
            workers=ctx.config.workers,
        )
        self._deployments.on_change(lambda deployment: self._loop.add(key_of(deployment)))
        self._owned: Dependents[Deployment] = Dependents(
            self._deployments, self._loop.add, _selector
        )
        self._owned.follow(self._replica_sets)
        self._pods.on(delete=self._pod_gone)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Take one step towards the spec; what it brings about calls for the next."""
        deployment = self._deployments.get(*key)
        if deployment is None:
            self._expected_sets.forget(key)
            self._expected_status.forget(key)
            return DONE
        if not self._expected_status.satisfied(key) or not self._expected_sets.satisfied(key):
            return CAUGHT_UP
        selector = _selector(deployment)
        if selector.everything:
            await self._refuse_to_select_all(deployment)
            return DONE
        sets, written = await claim(self._client, deployment, selector, self._replica_sets)
        for replica_set in written:
            self._expected_sets.wrote(key, replica_set)
        steps = plan(deployment, sets, self._with_pods(deployment, sets), self._clock.now())
        await self._act(key, deployment, steps)
        await self._report(key, deployment, steps)
        return After(steps.check_after) if steps.check_after is not None else DONE

    def _with_pods(self, deployment: Deployment, sets: list[ReplicaSet]) -> set[str]:
        if is_rolling(deployment):
            return set()
        return {
            uid
            for replica_set in sets
            if (uid := replica_set.metadata.uid)
            and any(not ask.is_terminal(p) for p in self._pods.by_index(BY_CONTROLLER, uid))
        }

    # --- acting ------------------------------------------------------------------------------

    async def _act(self, key: Key, deployment: Deployment, steps: Plan) -> None:
        if steps.create is not None:
            await self._create(key, deployment, steps.create)
        for resize in steps.resize:
            await self._resize(key, deployment, resize)
        for replica_set in steps.delete:
            await self._delete(key, replica_set)

    async def _create(self, key: Key, deployment: Deployment, new: ReplicaSet) -> None:
        try:
            created = await self._client.create(new)
        except errors.AlreadyExists:
            await self._resolve_collision(key, deployment, new)
            return
        except errors.ApiError as error:
            await self._report_failure(deployment, new, error)
            raise
        self._expected_sets.wrote(key, created)
        if new.spec.replicas:
            name, size = created.metadata.name, new.spec.replicas
            message = f"Scaled up replica set {name} from 0 to {size}"
            self._recorder.event(deployment, "Normal", "ScalingReplicaSet", message)

    async def _resolve_collision(self, key: Key, deployment: Deployment, new: ReplicaSet) -> None:
        """A ReplicaSet of that name exists: ours from a moment ago, or a hash collision."""
        name, namespace = new.metadata.name or "", new.metadata.namespace or ""
        existing = await self._client.get(ReplicaSet, name, namespace)
        same = same_template(existing.spec.template, deployment.spec.template)
        if is_controlled_by(existing, deployment) and same:
            self._expected_sets.wrote(key, existing)
            return
        mine = codec.clone(deployment)
        mine.status.collisionCount = (mine.status.collisionCount or 0) + 1
        self._expected_status.wrote(key, await self._client.update_status(mine, into=Partial))
        raise errors.Conflict(f'the name of replica set "{name}" is taken')

    async def _report_failure(
        self, deployment: Deployment, new: ReplicaSet, error: errors.ApiError
    ) -> None:
        if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes):
            return
        message = f'Failed to create new replica set "{new.metadata.name}": {error.message}'
        self._recorder.event(deployment, "Warning", progress.NOT_CREATED, message)
        if not progress.has_deadline(deployment):
            return
        conditions = progress.conditions_of(deployment)
        stamp = rfc3339(self._clock.now())
        progress.put(
            conditions, progress.PROGRESSING, "False", progress.NOT_CREATED, message, stamp
        )
        await self._write_conditions(deployment, list(conditions.values()))

    async def _write_conditions(
        self, deployment: Deployment, conditions: list[DeploymentCondition]
    ) -> None:
        if not codec.equal(deployment.status.conditions, conditions):
            mine = codec.clone(deployment)
            mine.status.conditions = conditions
            await self._client.update_status(mine, into=Partial)

    async def _resize(self, key: Key, deployment: Deployment, resize: Resize) -> None:
        metadata = resize.target.metadata
        # The version makes sure that the decision was made on what is really there.
        patch: dict[str, Any] = {"metadata": {"resourceVersion": metadata.resourceVersion}}
        if resize.annotations:
            patch["metadata"]["annotations"] = resize.annotations
        spec = {"replicas": resize.replicas, "minReadySeconds": resize.min_ready_seconds}
        if changes := {name: value for name, value in spec.items() if value is not None}:
            patch["spec"] = changes
        name, namespace = metadata.name or "", metadata.namespace or ""
        patched = await self._client.patch(ReplicaSet, name, namespace, patch)
        self._expected_sets.wrote(key, patched)
        if resize.message:
            self._recorder.event(deployment, "Normal", "ScalingReplicaSet", resize.message)

    async def _delete(self, key: Key, replica_set: ReplicaSet) -> None:
        metadata = replica_set.metadata
        try:
            await self._client.delete(
                ReplicaSet, metadata.name or "", metadata.namespace or "", uid=metadata.uid
            )
        except errors.NotFound:
            return
        self._expected_sets.deleted(key, replica_set)

    async def _report(self, key: Key, deployment: Deployment, steps: Plan) -> None:
        if steps.revision is None and codec.equal(deployment.status, steps.status):
            return
        mine = codec.clone(deployment)
        mine.status = steps.status
        if steps.revision is not None:
            # Upstream writes this annotation with the status too; its policy allows no more.
            mine.metadata.annotations = {
                **(mine.metadata.annotations or {}),
                REVISION: steps.revision,
            }
        self._expected_status.wrote(key, await self._client.update_status(mine, into=Partial))

    async def _refuse_to_select_all(self, deployment: Deployment) -> None:
        message = "This deployment is selecting all pods. A non-empty selector is required."
        self._recorder.event(deployment, "Warning", "SelectingAll", message)
        generation = deployment.metadata.generation or 0
        if (deployment.status.observedGeneration or 0) < generation:
            mine = codec.clone(deployment)
            mine.status.observedGeneration = generation
            await self._client.update_status(mine, into=Partial)

    # --- from events to keys -----------------------------------------------------------------

    def _pod_gone(self, pod: Pod) -> None:
        """Recreate waits for the last old pod."""
        reference = controller_of(pod)
        if reference is None or reference.kind != "ReplicaSet":
            return
        replica_set = self._replica_sets.get(pod.metadata.namespace or "", reference.name)
        owner = self._owned.owner(replica_set) if replica_set is not None else None
        if owner is not None and not is_rolling(owner):
            self._loop.add(key_of(owner))


def _selector(deployment: Deployment) -> selectors.Selector:
    return selectors.from_struct(deployment.spec.selector)
