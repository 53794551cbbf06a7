"""Deployments and ReplicaSets, on nodes whose kubelets are played."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.marks import conforms
from tests.conformance.wire import MERGE, STRATEGIC, Resource, Tree
from tests.conformance.workloads import conditions, deployment, is_running, pod
from tests.conformance.world import World, world

if TYPE_CHECKING:
    from collections.abc import Iterable

REVISION = "deployment.kubernetes.io/revision"
HIGH = 3546343826724305832


class Apps:
    """The handles a test needs, in a namespace of its own."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.deployments = w.resource("apps/v1", "deployments", namespace)
        self.sets = w.resource("apps/v1", "replicasets", namespace)
        self.pods = w.resource("v1", "pods", namespace)

    async def done(self, name: str) -> Tree:
        """Wait until a Deployment is rolled out; return it."""

        async def complete() -> Tree | None:
            found = await self.deployments.get(name)
            status, wanted = found["status"], found["spec"]["replicas"]
            counts = [
                status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas")
            ]
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            return found if seen and counts == [wanted] * 3 else None

        found: Tree = await self.w.wait(complete, 300)
        return found

    async def ready(self, name: str, count: int) -> Tree:
        """Wait until a ReplicaSet has so many ready pods; return it."""

        async def enough() -> Tree | None:
            found = await self.sets.get(name)
            return found if found["status"].get("readyReplicas", 0) == count else None

        found: Tree = await self.w.wait(enough)
        return found

    async def set_of(self, image: str) -> Tree:
        """Return the ReplicaSet that runs an image."""
        (found,) = [s for s in await self.sets.items() if image in images([s["spec"]["template"]])]
        return found

    async def roll(self, name: str, image: str) -> None:
        """Change the image of a Deployment."""
        spec = {"containers": [{"name": "c", "image": image}]}
        await self.deployments.patch(name, {"spec": {"template": {"spec": spec}}}, STRATEGIC)


def images(trees: Iterable[Tree]) -> set[str]:
    return {c["image"] for tree in trees for c in tree["spec"]["containers"]}


async def apps(w: World) -> Apps:
    return Apps(w, await w.namespace())


def labelled(tree: Tree, name: str) -> Tree:
    """Let a Deployment or ReplicaSet select pods by another label than its own name."""
    labels = {"name": name}
    tree["metadata"]["labels"] = labels
    tree["spec"]["selector"] = {"matchLabels": labels}
    tree["spec"]["template"]["metadata"]["labels"] = labels
    return tree


@conforms(
    "[sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones"
    " [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_rolling_update(w: World) -> None:
    a = await apps(w)
    old = labelled(deployment("test-rolling-update-controller", image="old"), "sample-pod")
    old["metadata"]["annotations"] = {REVISION: str(HIGH)}
    await a.sets.create(old)
    await a.ready("test-rolling-update-controller", 1)
    await a.deployments.create(
        labelled(deployment("test-rolling-update-deployment", image="new"), "sample-pod")
    )
    found = await a.done("test-rolling-update-deployment")
    assert found["metadata"]["annotations"][REVISION] == str(HIGH + 1)
    adopted, new = await a.set_of("old"), await a.set_of("new")
    assert adopted["spec"]["replicas"] == 0
    assert adopted["metadata"]["name"] == "test-rolling-update-controller"
    for tree in (adopted, new):
        (owner,) = tree["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (found["metadata"]["uid"], True)
    assert new["metadata"]["annotations"][REVISION] == str(HIGH + 1)
    await w.settle()
    assert images(await a.pods.items()) == {"new"}


@conforms(
    "[sig-apps] Deployment RecreateDeployment should delete old pods and create new ones"
    " [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_recreate(w: World) -> None:
    a = await apps(w)
    body = deployment("test-recreate-deployment", image="old", strategy={"type": "Recreate"})
    await a.deployments.create(body)
    found = await a.done("test-recreate-deployment")
    assert found["metadata"]["annotations"][REVISION] == "1"
    async with await a.pods.watch(since=(await a.pods.list())["metadata"]["resourceVersion"]) as on:
        await a.roll("test-recreate-deployment", "new")
        found = await a.done("test-recreate-deployment")
        assert found["metadata"]["annotations"][REVISION] == "2"
        order = []
        while ("ADDED", "new") not in order:
            kind, tree = await on.next()
            order.append((kind, tree["spec"]["containers"][0]["image"]))
    # not one new pod before the last old one is gone
    assert order.index(("DELETED", "old")) < order.index(("ADDED", "new"))


@conforms("[sig-apps] Deployment deployment should delete old replica sets [Conformance]")
@world(nodes=2, scheduler=True)
async def test_no_history(w: World) -> None:
    a = await apps(w)
    await a.sets.create(labelled(deployment("test-cleanup-controller", image="old"), "cleanup-pod"))
    await a.ready("test-cleanup-controller", 1)
    body = deployment("test-cleanup-deployment", image="new", revisionHistoryLimit=0)
    await a.deployments.create(labelled(body, "cleanup-pod"))
    await a.done("test-cleanup-deployment")
    await w.wait(lambda: a.sets.missing("test-cleanup-controller"))
    assert len(await a.sets.items()) == 1


@conforms("[sig-apps] Deployment deployment should support rollover [Conformance]")
@world(nodes=2, scheduler=True)
async def test_rollover(w: World) -> None:
    a = await apps(w)
    await a.sets.create(
        labelled(deployment("test-rollover-controller", image="old"), "rollover-pod")
    )
    await a.ready("test-rollover-controller", 1)
    body = deployment(
        "test-rollover-deployment", image="bad:1", minReadySeconds=10,
        strategy={"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}, "type": "RollingUpdate"},
    )  # fmt: skip
    await a.deployments.create(labelled(body, "rollover-pod"))
    await w.settle(30)
    assert (await a.set_of("bad:1"))["spec"]["replicas"] == 1  # the rollout is stuck
    assert (await a.set_of("old"))["spec"]["replicas"] == 1
    await a.roll("test-rollover-deployment", "new")
    found = await a.done("test-rollover-deployment")
    new = await a.set_of("new")
    assert new["spec"]["replicas"] == 1
    assert found["metadata"]["annotations"][REVISION] == new["metadata"]["annotations"][REVISION]
    for image in ("old", "bad:1"):
        assert (await a.set_of(image))["spec"]["replicas"] == 0


async def scaled(resource: Resource, name: str, start: int) -> None:
    """Get, update and patch the scale of something."""
    scale = await resource.get(name, subresource="scale")
    assert (scale["apiVersion"], scale["kind"]) == ("autoscaling/v1", "Scale")
    assert scale["spec"] == {"replicas": start}
    assert scale["status"]["replicas"] == start
    assert scale["status"]["selector"] == f"name={name}"
    del scale["metadata"]["resourceVersion"]  # whatever is there now
    scale["spec"]["replicas"] = start + 1
    updated = await resource.update(scale, subresource="scale")
    assert updated["spec"]["replicas"] == start + 1
    assert (await resource.get(name))["spec"]["replicas"] == start + 1
    patched = await resource.patch(name, {"spec": {"replicas": 4}}, MERGE, subresource="scale")
    assert patched["spec"]["replicas"] == 4
    assert (await resource.get(name))["spec"]["replicas"] == 4


@conforms("[sig-apps] Deployment Deployment should have a working scale subresource [Conformance]")
@world(nodes=2, scheduler=True)
async def test_the_scale_of_a_deployment(w: World) -> None:
    a = await apps(w)
    await a.deployments.create(deployment("test-new-deployment"))
    await a.done("test-new-deployment")
    await scaled(a.deployments, "test-new-deployment", 1)
    await a.done("test-new-deployment")
    assert len(await a.pods.items()) == 4


@conforms("[sig-apps] Deployment deployment should support proportional scaling [Conformance]")
@world(nodes=2, scheduler=True)
async def test_proportional_scaling(w: World) -> None:
    a = await apps(w)
    rolling = {"maxSurge": 3, "maxUnavailable": 2}
    body = deployment("webserver-deployment", 10, "good", strategy={"rollingUpdate": rolling})
    await a.deployments.create(body)
    await a.done("webserver-deployment")
    await a.roll("webserver-deployment", "bad")
    await w.settle(30)

    async def sizes() -> tuple[int, int]:
        old, new = await a.set_of("good"), await a.set_of("bad")
        return old["spec"]["replicas"], new["spec"]["replicas"]

    assert await sizes() == (8, 5)
    assert (await a.set_of("good"))["status"]["availableReplicas"] == 8
    assert (await a.set_of("bad"))["status"].get("availableReplicas", 0) == 0
    change = {"spec": {"replicas": 30}}
    await a.deployments.patch("webserver-deployment", change, MERGE)
    await w.settle(30)
    assert await sizes() == (20, 13)


@conforms("[sig-apps] Deployment should run the lifecycle of a Deployment [Conformance]")
@world(nodes=2, scheduler=True)
async def test_deployments_live(w: World) -> None:
    a = await apps(w)
    static = {"test-deployment-static": "true"}
    body = deployment("test-deployment", 2)
    body["metadata"]["labels"] = static
    async with await a.deployments.watch("test-deployment-static=true") as watch:
        await a.deployments.create(body)
        kind, tree = await watch.next()
        assert (kind, tree["spec"]["replicas"]) == ("ADDED", 2)
        await watch.until(lambda _, tree: tree["status"].get("readyReplicas") == 2)
        patch = {
            "metadata": {"labels": {"test-deployment": "patched"}},
            "spec": {"replicas": 1,
                     "template": {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}},
        }  # fmt: skip
        patched = await a.deployments.patch("test-deployment", patch, STRATEGIC)
        assert patched["spec"]["replicas"] == 1
        await watch.until(
            lambda _, t: (
                t["metadata"]["labels"].get("test-deployment") == "patched"
                and t["status"].get("readyReplicas") == 1
                and t["status"].get("updatedReplicas") == 1
            )
        )
        (found,) = await a.deployments.items("test-deployment-static=true", everywhere=True)
        assert found["metadata"]["name"] == "test-deployment"

        found = await a.deployments.get("test-deployment", subresource="status")
        found["metadata"]["labels"]["test-deployment"] = "updated"
        updated = await a.deployments.update(found)
        assert updated["metadata"]["labels"]["test-deployment"] == "updated"
        change = {
            "metadata": {"annotations": {"patched": "status"}},
            "status": {"readyReplicas": 0, "availableReplicas": 0},
        }
        patched = await a.deployments.patch("test-deployment", change, MERGE, subresource="status")
        assert patched["status"].get("readyReplicas", 0) == 0
        assert patched["metadata"]["annotations"]["patched"] == "status"
        # the controller puts right what is not so
        await watch.until(lambda _, t: t["status"].get("readyReplicas", 0) == 1)
        await a.deployments.delete_collection("test-deployment-static=true")
        await watch.until(lambda kind, _: kind == "DELETED")


async def status_endpoints(resource: Resource, name: str, typed: Tree) -> None:
    """Get, patch and update the status of something that a controller looks after as well."""
    found = await resource.get(name, subresource="status")
    assert found["status"]["replicas"] == typed["spec"]["replicas"]
    async with await resource.watch(since=found["metadata"]["resourceVersion"]) as watch:
        condition = {
            "type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "from e2e test",
        }  # fmt: skip
        found["status"].setdefault("conditions", []).append(condition)
        updated = await resource.update(found, subresource="status")
        assert conditions(updated)["StatusUpdate"] == "True"
        await watch.until(lambda _, tree: "StatusUpdate" in conditions(tree))
        change = {"status": {"conditions": [{"type": "StatusPatched", "status": "True"}]}}
        patched = await resource.patch(name, change, MERGE, subresource="status")
        assert conditions(patched).keys() == {"StatusPatched"}
        await watch.until(lambda _, tree: "StatusPatched" in conditions(tree))


@conforms("[sig-apps] Deployment should validate Deployment Status endpoints [Conformance]")
@world(nodes=2, scheduler=True)
async def test_the_status_of_a_deployment(w: World) -> None:
    a = await apps(w)
    await a.deployments.create(deployment("test-deployment"))
    await status_endpoints(a.deployments, "test-deployment", await a.done("test-deployment"))


@conforms("[sig-apps] ReplicaSet should validate Replicaset Status endpoints [Conformance]")
@world(nodes=2, scheduler=True)
async def test_the_status_of_a_replica_set(w: World) -> None:
    a = await apps(w)
    await a.sets.create(deployment("test-rs"))
    await status_endpoints(a.sets, "test-rs", await a.ready("test-rs", 1))


@conforms(
    "[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching"
    " pods [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_adopt_and_release(w: World) -> None:
    a = await apps(w)
    name = "pod-adoption-release"
    await a.pods.create(pod(name))
    await w.wait(lambda: is_running(a.pods, name))
    made = await a.sets.create(deployment(name))

    async def adopted() -> bool:
        owners = (await a.pods.get(name))["metadata"].get("ownerReferences", [])
        return [o["uid"] for o in owners if o["controller"]] == [made["metadata"]["uid"]]

    await w.wait(adopted)
    assert await a.pods.names() == [name]
    await a.pods.patch(name, {"metadata": {"labels": {"name": "not-matching-name"}}})

    async def released() -> bool:
        return "ownerReferences" not in (await a.pods.get(name))["metadata"]

    await w.wait(released)
    await a.ready(name, 1)
    assert len(await a.pods.names()) == 2


@conforms("[sig-apps] ReplicaSet Replicaset should have a working scale subresource [Conformance]")
@world(nodes=2, scheduler=True)
async def test_the_scale_of_a_replica_set(w: World) -> None:
    a = await apps(w)
    await a.sets.create(deployment("test-rs"))
    await a.ready("test-rs", 1)
    await scaled(a.sets, "test-rs", 1)
    await a.ready("test-rs", 4)


@conforms("[sig-apps] ReplicaSet Replace and Patch tests [Conformance]")
@world(nodes=2, scheduler=True)
async def test_replica_sets_are_replaced_and_patched(w: World) -> None:
    a = await apps(w)
    await a.sets.create(deployment("test-rs"))
    found = await a.ready("test-rs", 1)
    found["spec"]["replicas"] = 2
    await a.sets.update(found)
    await a.ready("test-rs", 2)
    change = {
        "metadata": {"labels": {"test-rs": "patched"}},
        "spec": {"replicas": 3,
                 "template": {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}},
    }  # fmt: skip
    patched = await a.sets.patch("test-rs", change, STRATEGIC)
    assert patched["metadata"]["labels"]["test-rs"] == "patched"
    found = await a.ready("test-rs", 3)
    assert images([found["spec"]["template"]]) == {"nginx"}


@conforms("[sig-apps] ReplicaSet should list and delete a collection of ReplicaSets [Conformance]")
@world(nodes=2, scheduler=True)
async def test_replica_sets_go_together(w: World) -> None:
    a = await apps(w)
    await a.sets.create(deployment("test-rs", 3))
    await a.ready("test-rs", 3)
    assert await a.sets.names("name=test-rs") == ["test-rs"]
    await a.sets.delete_collection("name=test-rs")
    assert await a.sets.items("name=test-rs") == []

    async def gone() -> bool:
        return not await a.pods.items()

    await w.wait(gone)
