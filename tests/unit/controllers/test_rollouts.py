"""Deployments and ReplicaSets together, against the real API server."""

from __future__ import annotations

from tests.unit.controllers.cluster import cluster, deployment

from kybern.api.apps.v1 import (
    Deployment,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    RollingUpdateDeployment,
)
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Pod
from kybern.client.transport import Unreachable
from kybern.lib.clock import run_virtual

BOTH = ("deployment", "replicaset")


async def get(it, name="web"):
    return await it.client.get(Deployment, name, "default")


async def set_image(it, image):
    containers = [{"name": "main", "image": image}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    await it.client.patch(Deployment, "web", "default", patch, type="strategic")


async def condition(it, kind):
    found = (await get(it)).status.conditions or []
    return next(((c.status, c.reason, c.message) for c in found if c.type == kind), None)


def test_a_deployment_becomes_pods():
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=3))
            await it.settle()
            web = await get(it)
            assert web.metadata.annotations["deployment.kubernetes.io/revision"] == "1"
            status = web.status
            assert (status.replicas, status.readyReplicas, status.availableReplicas) == (3, 3, 3)
            assert (status.updatedReplicas, status.unavailableReplicas) == (3, None)
            assert status.observedGeneration == 1
            sets = (await it.client.list(ReplicaSet, "default"))[0]
            assert len(sets) == 1
            name = sets[0].metadata.name
            assert sets[0].metadata.labels["app"] == "web"
            assert name == f"web-{sets[0].metadata.labels['pod-template-hash']}"
            assert await condition(it, "Available") == (
                "True", "MinimumReplicasAvailable", "Deployment has minimum availability.",
            )  # fmt: skip
            assert await condition(it, "Progressing") == (
                "True",
                "NewReplicaSetAvailable",
                f'ReplicaSet "{name}" has successfully progressed.',
            )
            assert len(await it.pods()) == 3
            events = await it.events()
            assert ("ScalingReplicaSet", f"Scaled up replica set {name} from 0 to 3") in events
            assert sum(reason == "SuccessfulCreate" for reason, _ in events) == 3
            await it.quiet()

    run_virtual(main())


def test_a_new_template_rolls_out_and_back():
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=4))
            await it.settle()
            patch = {
                "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "web:2"}]}}}
            }
            await it.client.patch(Deployment, "web", "default", patch, type="strategic")
            await it.settle(60)
            assert {p.spec.containers[0].image for p in await it.pods()} == {"web:2"}
            assert len(await it.pods()) == 4
            assert (await get(it)).metadata.annotations["deployment.kubernetes.io/revision"] == "2"
            await set_image(it, "web:1")
            await it.settle(60)
            assert {p.spec.containers[0].image for p in await it.pods()} == {"web:1"}
            sets = (await it.client.list(ReplicaSet, "default"))[0]
            assert len(sets) == 2
            revisions = {s.metadata.annotations["deployment.kubernetes.io/revision"] for s in sets}
            assert revisions == {"2", "3"}
            current = next(s for s in sets if s.spec.replicas)
            assert current.metadata.annotations["deployment.kubernetes.io/revision-history"] == "1"
            await it.quiet()

    run_virtual(main())


def test_a_bad_image_stalls_and_is_reported():
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=4, progressDeadlineSeconds=60))
            await it.settle()
            patch = {
                "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "bad"}]}}}
            }
            await it.client.patch(Deployment, "web", "default", patch, type="strategic")
            await it.settle(30)
            images = sorted(p.spec.containers[0].image for p in await it.pods())
            assert images == ["bad", "bad", "web:1", "web:1", "web:1"]
            assert (await condition(it, "Progressing"))[1] == "ReplicaSetUpdated"
            await it.settle(60)
            told = await condition(it, "Progressing")
            assert told[:2] == ("False", "ProgressDeadlineExceeded")
            assert told[2].endswith("has timed out progressing.")
            await it.quiet()

    run_virtual(main())


def test_scaling_up_and_down():
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=3))
            await it.settle()
            for size in (10, 1, 0):
                await it.client.patch(Deployment, "web", "default", {"spec": {"replicas": size}})
                await it.settle()
                assert len(await it.pods()) == size
                assert ((await get(it)).status.replicas or 0) == size
            events = await it.events()
            name = (await it.client.list(ReplicaSet, "default"))[0][0].metadata.name
            assert ("ScalingReplicaSet", f"Scaled up replica set {name} from 3 to 10") in events
            assert ("ScalingReplicaSet", f"Scaled down replica set {name} from 10 to 1") in events
            await it.quiet()

    run_virtual(main())


def test_a_deletion_without_an_answer_costs_no_other_pod(monkeypatch):
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=3))
            await it.settle()
            controller = it.host.running["replicaset-controller"]
            delete, lost = controller._client.delete, []

            async def unanswered(*args, **more):
                await delete(*args, **more)
                if not lost:
                    lost.append(args[1])
                    raise Unreachable("the answer was lost")

            monkeypatch.setattr(controller._client, "delete", unanswered)
            it.writes.clear()
            await it.client.patch(Deployment, "web", "default", {"spec": {"replicas": 1}})
            await it.settle()
            assert lost
            assert len({path for method, path in it.writes if method == "DELETE"}) == 2
            assert len(await it.pods()) == 1
            assert controller._unsure == {}

    run_virtual(main())


def test_recreate_stops_the_old_before_it_starts_the_new():
    async def main():
        async with cluster(*BOTH) as it:
            strategy = DeploymentStrategy(type="Recreate")
            await it.client.create(deployment(replicas=3, strategy=strategy))
            await it.settle()
            seen = []
            watching = it.informers.of(Pod)
            watching.on(add=lambda p: seen.append(("+", p.spec.containers[0].image)))
            seen.clear()
            watching.on(delete=lambda p: seen.append(("-", p.spec.containers[0].image)))
            patch = {
                "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "web:2"}]}}}
            }
            await it.client.patch(Deployment, "web", "default", patch, type="strategic")
            await it.settle()
            assert seen == [("-", "web:1")] * 3 + [("+", "web:2")] * 3
            await it.quiet()

    run_virtual(main())


def test_a_paused_deployment_scales_but_does_not_roll():
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=2))
            await it.settle()
            patch = {
                "spec": {
                    "paused": True,
                    "replicas": 4,
                    "template": {"spec": {"containers": [{"name": "main", "image": "web:2"}]}},
                }
            }
            await it.client.patch(Deployment, "web", "default", patch, type="strategic")
            await it.settle()
            assert [p.spec.containers[0].image for p in await it.pods()] == ["web:1"] * 4
            assert (await condition(it, "Progressing"))[:2] == ("Unknown", "DeploymentPaused")
            await it.client.patch(Deployment, "web", "default", {"spec": {"paused": False}})
            await it.settle(60)
            assert [p.spec.containers[0].image for p in await it.pods()] == ["web:2"] * 4
            assert (await condition(it, "Progressing"))[1] == "NewReplicaSetAvailable"
            await it.quiet()

    run_virtual(main())


def test_deleted_pods_are_replaced_and_old_revisions_cleaned_up():
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=2, revisionHistoryLimit=1))
            await it.settle()
            victim = (await it.pods())[0].metadata.name
            await it.client.delete(Pod, victim, "default")
            await it.settle()
            names = {p.metadata.name for p in await it.pods()}
            assert len(names) == 2
            assert victim not in names
            for number in range(2, 6):
                await set_image(it, f"web:{number}")
                await it.settle(60)
            sets = (await it.client.list(ReplicaSet, "default"))[0]
            revisions = {s.metadata.annotations["deployment.kubernetes.io/revision"] for s in sets}
            assert revisions == {"4", "5"}
            await it.quiet()

    run_virtual(main())


def test_min_ready_seconds_slow_a_rollout_down():
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=2, minReadySeconds=20))
            await it.settle(10)
            status = (await get(it)).status
            assert (status.readyReplicas, status.availableReplicas) == (2, None)
            await it.settle(30)
            assert (await get(it)).status.availableReplicas == 2
            await it.quiet()

    run_virtual(main())


def test_orphans_are_adopted_and_strays_released():
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=2))
            await it.settle()
            pod = (await it.pods())[0]
            patch = {"metadata": {"labels": {"app": "other"}}}
            await it.client.patch(Pod, pod.metadata.name, "default", patch)
            await it.settle()
            stray = await it.client.get(Pod, pod.metadata.name, "default")
            assert not stray.metadata.ownerReferences
            assert len(await it.pods()) == 3
            patch = {"metadata": {"labels": {"app": "web"}}}
            await it.client.patch(Pod, pod.metadata.name, "default", patch)
            await it.settle()
            assert len(await it.pods()) == 2
            assert all(p.metadata.ownerReferences for p in await it.pods())
            await it.quiet()

    run_virtual(main())


def test_a_rollout_keeps_its_promises_at_every_moment():
    async def main():
        async with cluster(*BOTH) as it:
            rolling = RollingUpdateDeployment(maxSurge=2, maxUnavailable=1)
            strategy = DeploymentStrategy(type="RollingUpdate", rollingUpdate=rolling)
            await it.client.create(deployment(replicas=6, strategy=strategy))
            await it.settle()
            pods = it.informers.of(Pod)
            seen: list[tuple[int, int]] = []

            def count(_):
                active = [p for p in pods.list() if ask.is_active(p)]
                seen.append((len(active), sum(ask.is_ready(p) for p in active)))

            pods.on_change(count)
            await set_image(it, "web:2")
            await it.settle(60)
            assert {p.spec.containers[0].image for p in await it.pods()} == {"web:2"}
            assert max(total for total, _ in seen) <= 8
            assert min(ready for _, ready in seen) >= 5

    run_virtual(main())


def test_a_rollout_survives_the_death_of_the_controllers():
    async def main():
        async with cluster(*BOTH) as it:
            await it.client.create(deployment(replicas=6))
            await it.settle()
            await set_image(it, "web:2")
            for _ in range(8):
                await it.settle(0.4)
                await it.restart_controllers()
            await it.settle(60)
            assert [p.spec.containers[0].image for p in await it.pods()] == ["web:2"] * 6
            assert (await condition(it, "Progressing"))[1] == "NewReplicaSetAvailable"
            await it.quiet()

    run_virtual(main())


def test_many_pods_that_become_ready_one_by_one_are_not_counted_each_time():
    async def main():
        async with cluster("replicaset", nodes=False) as it:
            web = deployment(replicas=600)
            spec = ReplicaSetSpec(
                replicas=600, selector=web.spec.selector, template=web.spec.template
            )
            await it.client.create(ReplicaSet(metadata=web.metadata, spec=spec))
            await it.settle()
            it.writes.clear()
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            for pod in await it.pods():
                name = pod.metadata.name
                body = {"status": status}
                await it.client.patch(
                    Pod, name, "default", body, type="strategic", subresource="status"
                )
                await it.settle(0.001)
            await it.settle(1)
            found = await it.client.get(ReplicaSet, "web", "default")
            assert (found.status.replicas, found.status.readyReplicas) == (600, 600)
            assert 0 < len(it.writes) < 100
            await it.quiet()

    run_virtual(main())
