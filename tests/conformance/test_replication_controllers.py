"""ReplicationControllers, on nodes whose kubelets are played."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.marks import conforms
from tests.conformance.test_workloads import conditions, scaled
from tests.conformance.wire import MERGE, STRATEGIC, Tree
from tests.conformance.workloads import is_running, pod, template
from tests.conformance.world import World, world

if TYPE_CHECKING:
    from collections.abc import Callable


def controller(name: str, replicas: int = 1) -> Tree:
    labels = {"name": name}
    spec = {"replicas": replicas, "selector": labels, "template": template(labels)}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


class Controllers:
    """The handles a test needs, in a namespace of its own."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.controllers = w.resource("v1", "replicationcontrollers", namespace)
        self.pods = w.resource("v1", "pods", namespace)
        self.quotas = w.resource("v1", "resourcequotas", namespace)

    async def when(self, name: str, fine: Callable[[Tree], bool]) -> Tree:
        async def look() -> Tree | None:
            found = await self.controllers.get(name)
            return found if fine(found) else None

        found: Tree = await self.w.wait(look, 300)
        return found

    async def ready(self, name: str, count: int) -> Tree:
        return await self.when(name, lambda tree: tree["status"].get("readyReplicas", 0) == count)

    async def owners(self, name: str) -> list[str]:
        metadata = (await self.pods.get(name))["metadata"]
        return [one["uid"] for one in metadata.get("ownerReferences", []) if one["controller"]]


async def some(w: World) -> Controllers:
    return Controllers(w, await w.namespace())


@conforms("[sig-apps] ReplicationController should adopt matching pods on creation [Conformance]")
@world(nodes=2, scheduler=True)
async def test_adopt(w: World) -> None:
    c = await some(w)
    await c.pods.create(pod("pod-adoption"))
    await w.wait(lambda: is_running(c.pods, "pod-adoption"))
    made = await c.controllers.create(controller("pod-adoption"))
    await c.ready("pod-adoption", 1)
    assert await c.pods.names() == ["pod-adoption"]
    assert await c.owners("pod-adoption") == [made["metadata"]["uid"]]


@conforms("[sig-apps] ReplicationController should release no longer matching pods [Conformance]")
@world(nodes=2, scheduler=True)
async def test_release(w: World) -> None:
    c = await some(w)
    await c.controllers.create(controller("pod-release"))
    await c.ready("pod-release", 1)
    (name,) = await c.pods.names()
    await c.pods.patch(name, {"metadata": {"labels": {"name": "not-matching-name"}}})

    async def released() -> bool:
        return not await c.owners(name)

    await w.wait(released)
    await w.settle(5)
    await c.ready("pod-release", 1)
    assert len(await c.pods.names()) == 2


@conforms(
    "[sig-apps] ReplicationController should surface a failure condition on a common issue like"
    " exceeded quota [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_a_quota_is_told(w: World) -> None:
    c = await some(w)
    hard = {"hard": {"pods": "2"}}
    await c.quotas.create({"metadata": {"name": "condition-test"}, "spec": hard})
    # what is used is another controller's business
    await c.quotas.patch(
        "condition-test", {"status": {**hard, "used": {"pods": "0"}}}, MERGE, subresource="status"
    )
    await c.controllers.create(controller("condition-test", 3))
    found = await c.when(
        "condition-test",
        lambda t: t["status"].get("conditions") and t["status"].get("readyReplicas") == 2,
    )
    assert conditions(found) == {"ReplicaFailure": "True"}
    (failure,) = found["status"]["conditions"]
    assert failure["reason"] == "FailedCreate"
    assert "exceeded quota: condition-test" in failure["message"]
    await c.controllers.patch("condition-test", {"spec": {"replicas": 2}}, MERGE)
    await c.when("condition-test", lambda tree: not tree["status"].get("conditions"))


@conforms(
    "[sig-apps] ReplicationController should test the lifecycle of a ReplicationController"
    " [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_controllers_live(w: World) -> None:
    c = await some(w)
    static = {"test-rc-static": "true"}
    tree = controller("rc-test")
    tree["metadata"]["labels"] = static
    async with await c.controllers.watch("test-rc-static=true") as watch:
        await c.controllers.create(tree)
        assert (await watch.next())[0] == "ADDED"
        await watch.until(lambda _, t: t["status"].get("readyReplicas") == 1)
        label = {"metadata": {"labels": {"test-rc": "patched"}}}
        patched = await c.controllers.patch("rc-test", label, STRATEGIC)
        assert patched["metadata"]["labels"] == {**static, "test-rc": "patched"}
        await watch.until(lambda _, t: "test-rc" in t["metadata"]["labels"])

        status = {"status": {"readyReplicas": 0, "availableReplicas": 0}}
        patched = await c.controllers.patch("rc-test", status, MERGE, subresource="status")
        assert patched["status"].get("readyReplicas", 0) == 0
        found = await c.controllers.get("rc-test", subresource="status")
        assert found["metadata"]["name"] == "rc-test"
        await watch.until(lambda _, t: t["status"].get("readyReplicas", 0) == 1)

        scale = {"spec": {"replicas": 2}}
        patched = await c.controllers.patch("rc-test", scale, MERGE, subresource="scale")
        assert patched["spec"]["replicas"] == 2
        await watch.until(lambda _, t: t["status"].get("readyReplicas") == 2)
        (found,) = await c.controllers.items("test-rc-static=true", everywhere=True)
        found["metadata"].setdefault("annotations", {})["test-rc"] = "updated"
        await c.controllers.update(found)
        await watch.until(lambda _, t: "test-rc" in t["metadata"].get("annotations", {}))
        await c.controllers.delete_collection("test-rc-static=true")
        await watch.until(lambda kind, _: kind == "DELETED")


@conforms(
    "[sig-apps] ReplicationController should get and update a ReplicationController scale"
    " [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_the_scale_of_a_controller(w: World) -> None:
    c = await some(w)
    await c.controllers.create(controller("e2e-rc"))
    await c.ready("e2e-rc", 1)
    await scaled(c.controllers, "e2e-rc", 1)
    await c.ready("e2e-rc", 4)
