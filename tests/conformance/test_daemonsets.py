"""DaemonSets and their history, on nodes whose kubelets are played."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.marks import conforms
from tests.conformance.test_workloads import conditions
from tests.conformance.wire import MERGE, STRATEGIC, Tree
from tests.conformance.workloads import template
from tests.conformance.world import World, world

if TYPE_CHECKING:
    from collections.abc import Callable

HASH = "controller-revision-hash"
LABELS = {"daemonset-name": "daemon-set"}
COLOR = "daemonset-color"


def daemon_set(image: str = "httpd:1", **spec: Any) -> Tree:
    selector = {"matchLabels": LABELS}
    return {
        "metadata": {"name": "daemon-set", "labels": LABELS},
        "spec": {"selector": selector, "template": template(LABELS, image), **spec},
    }


class Daemons:
    """The handles a test needs, in a namespace of its own."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.sets = w.resource("apps/v1", "daemonsets", namespace)
        self.pods = w.resource("v1", "pods", namespace)
        self.nodes = w.resource("v1", "nodes")
        self.revisions = w.resource("apps/v1", "controllerrevisions", namespace)

    async def when(self, fine: Callable[[Tree], bool]) -> Tree:
        """Wait until the controller has seen the spec and the status is fine."""

        async def look() -> Tree | None:
            found = await self.sets.get("daemon-set")
            seen = found["status"].get("observedGeneration") == found["metadata"]["generation"]
            return found if seen and fine(found["status"]) else None

        found: Tree = await self.w.wait(look, 300)
        return found

    async def done(self, count: int) -> Tree:
        return await self.when(
            lambda s: (
                s["desiredNumberScheduled"] == s["numberReady"] == count
                and s.get("updatedNumberScheduled", 0) == count
            )
        )

    async def on(self) -> dict[str, str]:
        """Return which image runs on which node."""
        return {
            pod["spec"]["nodeName"]: pod["spec"]["containers"][0]["image"]
            for pod in await self.pods.items()
        }

    async def set_image(self, image: str) -> None:
        spec = {"containers": [{"name": "c", "image": image}]}
        await self.sets.patch("daemon-set", {"spec": {"template": {"spec": spec}}}, STRATEGIC)

    async def paint(self, node: str, color: str) -> None:
        await self.nodes.patch(node, {"metadata": {"labels": {COLOR: color}}})


async def daemons(w: World) -> Daemons:
    return Daemons(w, await w.namespace())


@conforms("[sig-apps] Daemon set [Serial] should run and stop simple daemon [Conformance]")
@world(nodes=3, scheduler=True)
async def test_a_pod_on_every_node(w: World) -> None:
    d = await daemons(w)
    await d.sets.create(daemon_set())
    await d.done(3)
    assert (await d.on()).keys() == {"node-0", "node-1", "node-2"}
    one = (await d.pods.names())[0]
    await d.pods.delete(one)
    await w.settle(5)
    await d.done(3)
    assert one not in await d.pods.names()


@conforms("[sig-apps] Daemon set [Serial] should run and stop complex daemon [Conformance]")
@world(nodes=3, scheduler=True)
async def test_pods_on_chosen_nodes(w: World) -> None:
    d = await daemons(w)
    tree = daemon_set()
    tree["spec"]["template"]["spec"]["nodeSelector"] = {COLOR: "blue"}
    await d.sets.create(tree)
    await w.settle(10)
    assert await d.pods.names() == []
    await d.paint("node-1", "blue")
    await d.done(1)
    assert (await d.on()).keys() == {"node-1"}
    await d.paint("node-1", "green")
    await d.done(0)

    async def gone() -> bool:
        return not await d.pods.names()

    await w.wait(gone)
    selector = {"template": {"spec": {"nodeSelector": {COLOR: "green"}}}}
    change = {"spec": {**selector, "updateStrategy": {"type": "RollingUpdate"}}}
    await d.sets.patch("daemon-set", change, MERGE)
    await d.done(1)
    assert (await d.on()).keys() == {"node-1"}


@conforms("[sig-apps] Daemon set [Serial] should retry creating failed daemon pods [Conformance]")
@world(nodes=2, scheduler=True)
async def test_failed_pods_are_made_again(w: World) -> None:
    d = await daemons(w)
    await d.sets.create(daemon_set())
    await d.done(2)
    one = (await d.pods.names())[0]
    await d.pods.patch(one, {"status": {"phase": "Failed"}}, MERGE, subresource="status")
    await w.wait(lambda: d.pods.missing(one))
    await d.done(2)


@conforms(
    "[sig-apps] Daemon set [Serial] should update pod when spec was updated and update strategy is"
    " RollingUpdate [Conformance]"
)
@world(nodes=3, scheduler=True)
async def test_a_new_template_rolls_out(w: World) -> None:
    d = await daemons(w)
    await d.sets.create(daemon_set(updateStrategy={"type": "RollingUpdate"}))
    found = await d.done(3)
    key = "deprecated.daemonset.template.generation"
    assert found["metadata"]["annotations"][key] == "1"
    (first,) = await d.revisions.items()
    assert first["revision"] == 1
    before = {pod["metadata"]["labels"][HASH] for pod in await d.pods.items()}
    assert before == {first["metadata"]["labels"][HASH]}
    await d.set_image("httpd:2")
    found = await d.done(3)
    assert found["metadata"]["annotations"][key] == "2"
    assert set((await d.on()).values()) == {"httpd:2"}
    (second,) = [r for r in await d.revisions.items() if r["revision"] == 2]
    after = {pod["metadata"]["labels"][HASH] for pod in await d.pods.items()}
    assert after == {second["metadata"]["labels"][HASH]}


@conforms(
    "[sig-apps] Daemon set [Serial] should rollback without unnecessary restarts [Conformance]"
)
@world(nodes=3, scheduler=True)
async def test_roll_back_restarts_nothing_that_was_well(w: World) -> None:
    d = await daemons(w)
    await d.sets.create(daemon_set(updateStrategy={"type": "RollingUpdate"}))
    await d.done(3)
    await d.set_image("bad")
    await w.settle(60)
    images = sorted((await d.on()).values())
    assert images == ["bad", "httpd:1", "httpd:1"]
    well = {
        pod["metadata"]["uid"]
        for pod in await d.pods.items()
        if pod["spec"]["containers"][0]["image"] == "httpd:1"
    }
    await d.set_image("httpd:1")
    await d.done(3)
    assert set((await d.on()).values()) == {"httpd:1"}
    assert well < {pod["metadata"]["uid"] for pod in await d.pods.items()}


@conforms(
    "[sig-apps] Daemon set [Serial] should list and delete a collection of DaemonSets [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_daemon_sets_go_together(w: World) -> None:
    d = await daemons(w)
    await d.sets.create(daemon_set())
    await d.done(2)
    assert await d.sets.names("daemonset-name=daemon-set") == ["daemon-set"]
    await d.sets.delete_collection("daemonset-name=daemon-set")
    assert await d.sets.items("daemonset-name=daemon-set") == []

    async def gone() -> bool:
        return not await d.pods.items() and not await d.revisions.items()

    await w.wait(gone)


@conforms(
    "[sig-apps] Daemon set [Serial] should verify changes to a daemon set status [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_the_status_of_a_daemon_set(w: World) -> None:
    d = await daemons(w)
    await d.sets.create(daemon_set())
    await d.done(2)
    found = await d.sets.get("daemon-set", subresource="status")
    assert found["status"]["desiredNumberScheduled"] == 2
    async with await d.sets.watch(since=found["metadata"]["resourceVersion"]) as watch:
        condition = {
            "type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e",
        }  # fmt: skip
        found["status"].setdefault("conditions", []).append(condition)
        updated = await d.sets.update(found, subresource="status")
        assert conditions(updated)["StatusUpdate"] == "True"
        await watch.until(lambda _, tree: "StatusUpdate" in conditions(tree))
        change = {"status": {"conditions": [{"type": "StatusPatched", "status": "True"}]}}
        patched = await d.sets.patch("daemon-set", change, MERGE, subresource="status")
        assert conditions(patched).keys() == {"StatusPatched"}
        await watch.until(lambda _, tree: "StatusPatched" in conditions(tree))


@conforms(
    "[sig-apps] ControllerRevision [Serial] should manage the lifecycle of a ControllerRevision"
    " [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_revisions_live(w: World) -> None:
    d = await daemons(w)
    await d.sets.create(daemon_set())
    owner = await d.done(2)
    (first,) = await d.revisions.items("daemonset-name=daemon-set")
    name = first["metadata"]["name"]
    change = {"metadata": {"labels": {"daemon-set": "patched"}}}
    patched = await d.revisions.patch(name, change, STRATEGIC)
    assert patched["metadata"]["labels"]["daemon-set"] == "patched"

    made = await d.revisions.create({
        "metadata": {
            "name": "daemon-set-e2e", "labels": {**LABELS, HASH: "e2e"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "daemon-set",
                "uid": owner["metadata"]["uid"], "controller": True,
            }],
        },
        "data": first["data"], "revision": first["revision"] + 1,
    })  # fmt: skip
    names = await d.revisions.names("daemonset-name=daemon-set", everywhere=True)
    assert sorted(names) == sorted([name, "daemon-set-e2e"])
    await d.revisions.delete(name)
    await w.settle(5)
    assert await d.revisions.names("daemonset-name=daemon-set") == ["daemon-set-e2e"]

    made = await d.revisions.get("daemon-set-e2e")
    made["metadata"]["labels"]["daemon-set-e2e"] = "updated"
    updated = await d.revisions.update(made)
    assert updated["metadata"]["labels"]["daemon-set-e2e"] == "updated"
    grace = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}}
    await d.sets.patch("daemon-set", grace, STRATEGIC)
    await d.done(2)
    assert len(await d.revisions.names("daemonset-name=daemon-set")) == 2
    await d.revisions.delete_collection("daemon-set-e2e=updated")
    await w.settle(5)
    (last,) = await d.revisions.items("daemonset-name=daemon-set")
    assert last["revision"] == 3
