"""StatefulSets against the real API server."""

from __future__ import annotations

import asyncio

from tests.unit.controllers.cluster import cluster, deployment

from kybern.api.apps.v1 import ControllerRevision, StatefulSet, StatefulSetSpec
from kybern.api.core.v1 import PersistentVolumeClaim, PersistentVolumeClaimSpec, Pod
from kybern.api.core.v1 import VolumeResourceRequirements as Resources
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import run_virtual

ALL = ("statefulset", "garbagecollector", "pvc-protection")


def stateful_set(replicas=3, **spec):
    like = deployment("db", replicas)
    return StatefulSet(
        metadata=like.metadata,
        spec=StatefulSetSpec(
            replicas=replicas,
            serviceName="dbs",
            selector=like.spec.selector,
            template=like.spec.template,
            **spec,
        ),
    )


def data():
    resources = Resources(requests={"storage": "1Gi"})
    spec = PersistentVolumeClaimSpec(accessModes=["ReadWriteOnce"], resources=resources)
    return [PersistentVolumeClaim(metadata=ObjectMeta(name="data"), spec=spec)]


async def patch(it, spec):
    await it.client.patch(StatefulSet, "db", "default", {"spec": spec})


async def claims(it):
    found = (await it.client.list(PersistentVolumeClaim, "default"))[0]
    return {one.metadata.name: one for one in found}


async def names(it):
    return sorted(pod.metadata.name for pod in await it.pods())


def test_pods_come_one_by_one_and_say_so():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(stateful_set(volumeClaimTemplates=data()))
            await it.settle()
            assert await names(it) == ["db-0", "db-1", "db-2"]
            assert sorted(await claims(it)) == ["data-db-0", "data-db-1", "data-db-2"]
            events = await it.events()
            told = "create Pod db-1 in StatefulSet db successful"
            assert ("SuccessfulCreate", told) in events
            told = "create Claim data-db-1 Pod db-1 in StatefulSet db success"
            assert ("SuccessfulCreate", told) in events
            found = (await it.client.get(StatefulSet, "db", "default")).status
            assert (found.replicas, found.readyReplicas, found.availableReplicas) == (3, 3, 3)
            assert (found.currentReplicas, found.updatedReplicas) == (3, 3)
            await it.quiet()

    run_virtual(main())


def test_claims_outlive_their_pods_or_go_with_them():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(stateful_set(volumeClaimTemplates=data()))
            await it.settle()
            await patch(it, {"replicas": 2})
            await it.settle()
            assert sorted(await claims(it)) == ["data-db-0", "data-db-1", "data-db-2"]
            keep = {"whenScaled": "Delete", "whenDeleted": "Delete"}
            await patch(it, {"persistentVolumeClaimRetentionPolicy": keep})
            await it.settle()
            assert (await claims(it))["data-db-0"].metadata.ownerReferences[0].controller
            await patch(it, {"replicas": 1})
            await it.settle()
            assert sorted(await claims(it)) == ["data-db-0", "data-db-2"]  # 2 had left before
            await it.quiet()
            await it.client.delete(StatefulSet, "db", "default")
            await it.settle(60)
            assert sorted(await claims(it)) == ["data-db-2"]
            assert await it.pods() == []

    run_virtual(main())


def test_old_revisions_go():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(stateful_set(1, revisionHistoryLimit=1))
            for number in range(2, 6):
                await it.settle()
                await patch(it, {"template": {"metadata": {"annotations": {"n": str(number)}}}})
            await it.settle()
            revisions = (await it.client.list(ControllerRevision, "default"))[0]
            assert sorted(one.revision for one in revisions) == [4, 5]
            await it.quiet()

    run_virtual(main())


def test_a_taken_name_is_a_collision():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(stateful_set(1))
            await it.settle()
            (mine,) = (await it.client.list(ControllerRevision, "default"))[0]
            await it.client.delete(StatefulSet, "db", "default")
            await it.settle(60)
            squatter = ControllerRevision(
                metadata=ObjectMeta(name=mine.metadata.name, namespace="default"),
                data={"not": "ours"},
                revision=1,
            )
            await it.client.create(squatter)
            await it.client.create(stateful_set(1))
            await it.settle(60)
            found = (await it.client.get(StatefulSet, "db", "default")).status
            assert found.collisionCount == 1
            assert found.currentRevision != mine.metadata.name
            assert found.readyReplicas == 1

    run_virtual(main())


def test_a_pod_in_the_way_is_told_and_waited_for():
    async def main():
        async with cluster(*ALL) as it:
            squatter = Pod(
                metadata=ObjectMeta(name="db-0", namespace="default"),
                spec=deployment().spec.template.spec,
            )
            await it.client.create(squatter)
            await it.client.create(stateful_set(1))
            await it.settle()
            found = (await it.client.get(StatefulSet, "db", "default")).status
            assert (found.replicas, found.observedGeneration) == (0, 1)
            await it.client.delete(Pod, "db-0", "default")
            await asyncio.sleep(300)
            assert (await it.client.get(StatefulSet, "db", "default")).status.readyReplicas == 1

    run_virtual(main())


def test_controllers_that_restart_in_the_middle_go_on():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(stateful_set(4, minReadySeconds=5))
            await it.settle(8)
            await it.restart_controllers()
            await it.settle(60)
            assert await names(it) == ["db-0", "db-1", "db-2", "db-3"]
            await patch(it, {"template": {"spec": {"terminationGracePeriodSeconds": 7}}})
            await it.settle(10)
            await it.restart_controllers()
            await it.settle(90)
            assert {p.spec.terminationGracePeriodSeconds for p in await it.pods()} == {7}

    run_virtual(main())
