"""StatefulSets, on nodes whose kubelets are played."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.marks import conforms
from tests.conformance.test_workloads import scaled, status_endpoints
from tests.conformance.wire import MERGE, STRATEGIC, Tree
from tests.conformance.workloads import deployment
from tests.conformance.world import World, world

if TYPE_CHECKING:
    from collections.abc import Callable

REVISION = "controller-revision-hash"
LABELS = {"foo": "bar", "baz": "blah"}


def stateful_set(name: str = "ss2", replicas: int = 3, **spec: Any) -> Tree:
    tree = deployment(name, replicas, "httpd:1", serviceName="test", **spec)
    tree["metadata"]["labels"] = LABELS
    tree["spec"]["selector"] = {"matchLabels": LABELS}
    tree["spec"]["template"]["metadata"]["labels"] = LABELS
    return tree


class Sets:
    """The handles a test needs, in a namespace of its own."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.sets = w.resource("apps/v1", "statefulsets", namespace)
        self.pods = w.resource("v1", "pods", namespace)
        self.revisions = w.resource("apps/v1", "controllerrevisions", namespace)

    async def when(self, fine: Callable[[Tree], bool], name: str = "ss2") -> Tree:
        """Wait until the controller has seen the spec and the status is fine."""

        async def look() -> Tree | None:
            found = await self.sets.get(name)
            seen = found["status"].get("observedGeneration") == found["metadata"]["generation"]
            return found if seen and fine(found["status"]) else None

        found: Tree = await self.w.wait(look, 300)
        return found

    async def ready(self, count: int, name: str = "ss2") -> Tree:
        return await self.when(
            lambda s: s["replicas"] == count and s.get("readyReplicas", 0) == count, name
        )

    async def images(self) -> dict[str, str]:
        return {
            pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"]
            for pod in await self.pods.items()
        }

    async def set_image(self, image: str) -> None:
        spec = {"containers": [{"name": "c", "image": image}]}
        await self.sets.patch("ss2", {"spec": {"template": {"spec": spec}}}, STRATEGIC)

    async def set_ready(self, name: str, status: str) -> None:
        """Let a pod pass or fail its readiness probe."""
        change = {"status": {"conditions": [{"type": "Ready", "status": status}]}}
        await self.pods.patch(name, change, STRATEGIC, subresource="status")

    async def order(self, watch: Any, count: int) -> list[tuple[str, str]]:
        """Return the next pods that come and go."""
        seen: list[tuple[str, str]] = []
        while len(seen) < count:
            kind, tree = await watch.next(300)
            if kind != "MODIFIED":
                seen.append((kind, tree["metadata"]["name"]))
        return seen

    async def watch(self) -> Any:
        return await self.pods.watch(since=(await self.pods.list())["metadata"]["resourceVersion"])


async def sets(w: World) -> Sets:
    namespace = await w.namespace()
    port = {"port": 80, "name": "http"}
    spec = {"clusterIP": "None", "selector": LABELS, "ports": [port]}
    await w.resource("v1", "services", namespace).create(
        {"metadata": {"name": "test", "labels": LABELS}, "spec": spec}
    )
    return Sets(w, namespace)


@conforms(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform"
    " rolling updates and roll backs of template modifications [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_roll_and_roll_back(w: World) -> None:
    s = await sets(w)
    await s.sets.create(stateful_set())
    found = await s.ready(3)
    first = found["status"]["currentRevision"]
    assert first == found["status"]["updateRevision"]
    for pod in await s.pods.items():
        assert pod["metadata"]["labels"][REVISION] == first
        assert pod["spec"]["hostname"] == pod["metadata"]["name"]
        assert pod["spec"]["subdomain"] == "test"
    for image, revision in (("httpd:2", None), ("httpd:1", first)):
        async with await s.watch() as watch:
            await s.set_image(image)
            began = await s.when(lambda st: st["updateRevision"] != st["currentRevision"])
            assert revision in (None, began["status"]["updateRevision"])
            assert await s.order(watch, 6) == [
                (kind, f"ss2-{n}") for n in (2, 1, 0) for kind in ("DELETED", "ADDED")
            ]
        found = await s.when(
            lambda st: (
                st["updateRevision"] == st["currentRevision"] and st.get("readyReplicas") == 3
            )
        )
        assert set((await s.images()).values()) == {image}
        current = found["status"]["currentRevision"]
        pods = await s.pods.items()
        assert {pod["metadata"]["labels"][REVISION] for pod in pods} == {current}
    assert current == first
    revisions = {r["metadata"]["name"]: r["revision"] for r in await s.revisions.items()}
    assert sorted(revisions.values()) == [2, 3]
    assert revisions[first] == 3


@conforms(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform"
    " canary updates and phased rolling updates of template modifications [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_canaries_and_phases(w: World) -> None:
    s = await sets(w)

    async def partition(at: int) -> None:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": at}}
        await s.sets.patch("ss2", {"spec": {"updateStrategy": strategy}}, MERGE)

    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 3}}
    await s.sets.create(stateful_set(updateStrategy=strategy))
    await s.ready(3)
    await s.set_image("httpd:2")
    found = await s.when(lambda st: st["updateRevision"] != st["currentRevision"])
    old, new = found["status"]["currentRevision"], found["status"]["updateRevision"]
    await w.settle(60)
    assert set((await s.images()).values()) == {"httpd:1"}  # the partition is beyond them all

    async def are(*images: str) -> None:
        async def look() -> bool:
            expected = {f"ss2-{n}": image for n, image in enumerate(images)}
            return await s.images() == expected

        await w.wait(look, 120)
        await s.ready(3)
        for pod in await s.pods.items():
            newer = pod["spec"]["containers"][0]["image"] == "httpd:2"
            assert pod["metadata"]["labels"][REVISION] == (new if newer else old)

    await partition(2)
    await are("httpd:1", "httpd:1", "httpd:2")
    for name in ("ss2-0", "ss2-2"):  # whoever is lost comes back as it was
        await s.pods.delete(name)
    await w.settle(5)
    await are("httpd:1", "httpd:1", "httpd:2")
    assert (await s.sets.get("ss2"))["status"]["currentRevision"] == old
    for at, images in ((1, "122"), (0, "222")):
        await partition(at)
        await are(*(f"httpd:{n}" for n in images))
    await s.when(lambda st: st["currentRevision"] == new and st["updatedReplicas"] == 3)


@conforms(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Scaling should"
    " happen in predictable order and halt if any stateful pod is unhealthy [Slow] [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_scaling_in_order(w: World) -> None:
    s = await sets(w)
    async with await s.watch() as watch:
        await s.sets.create(stateful_set("ss", 1))
        await s.ready(1, "ss")
        await s.set_ready("ss-0", "False")
        await s.when(lambda st: st.get("readyReplicas", 0) == 0, "ss")
        await s.sets.patch("ss", {"spec": {"replicas": 3}}, MERGE)
        await w.settle(30)
        assert await s.pods.names() == ["ss-0"]  # nothing more while one is not well
        await s.set_ready("ss-0", "True")
        await s.ready(3, "ss")
        assert await s.order(watch, 3) == [("ADDED", f"ss-{n}") for n in range(3)]
        for number in range(3):
            await s.set_ready(f"ss-{number}", "False")
        await s.when(lambda st: st.get("readyReplicas", 0) == 0, "ss")
        await s.sets.patch("ss", {"spec": {"replicas": 0}}, MERGE)
        await w.settle(30)
        assert len(await s.pods.names()) == 3
        for number in range(3):
            await s.set_ready(f"ss-{number}", "True")
        await s.ready(0, "ss")
        assert await s.order(watch, 3) == [("DELETED", f"ss-{n}") for n in (2, 1, 0)]


@conforms(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Burst scaling"
    " should run to completion even with unhealthy pods [Slow] [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_scaling_at_once(w: World) -> None:
    s = await sets(w)
    await s.sets.create(stateful_set("ss", 1, podManagementPolicy="Parallel"))
    await s.ready(1, "ss")
    await s.set_ready("ss-0", "False")
    await s.when(lambda st: st.get("readyReplicas", 0) == 0, "ss")
    await s.sets.patch("ss", {"spec": {"replicas": 3}}, MERGE)
    await s.when(lambda st: st["replicas"] == 3 and st.get("readyReplicas") == 2, "ss")
    await s.set_ready("ss-0", "True")
    await s.ready(3, "ss")
    for name in await s.pods.names():
        await s.set_ready(name, "False")
    await s.sets.patch("ss", {"spec": {"replicas": 0}}, MERGE)
    await s.ready(0, "ss")
    assert await s.pods.names() == []


@conforms(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Should recreate"
    " evicted statefulset [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_the_evicted_come_back(w: World) -> None:
    s = await sets(w)
    await s.sets.create(stateful_set("ss", 1))
    await s.ready(1, "ss")
    uid = (await s.pods.get("ss-0"))["metadata"]["uid"]
    async with await s.watch() as watch:
        failed = {"status": {"phase": "Failed", "reason": "Evicted"}}
        await s.pods.patch("ss-0", failed, MERGE, subresource="status")
        assert await s.order(watch, 2) == [("DELETED", "ss-0"), ("ADDED", "ss-0")]
    await s.ready(1, "ss")
    assert (await s.pods.get("ss-0"))["metadata"]["uid"] != uid


@conforms(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should have a"
    " working scale subresource [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_the_scale_of_a_stateful_set(w: World) -> None:
    s = await sets(w)
    tree = deployment("ss", serviceName="test")
    await s.sets.create(tree)
    await s.ready(1, "ss")
    await scaled(s.sets, "ss", 1)
    await s.ready(4, "ss")


@conforms(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should list, patch"
    " and delete a collection of StatefulSets [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_stateful_sets_go_together(w: World) -> None:
    s = await sets(w)
    tree = stateful_set("test-ss", 1)
    tree["metadata"]["labels"] = {"test-ss": "test"}
    await s.sets.create(tree)
    await s.ready(1, "test-ss")
    change = {
        "metadata": {"labels": {"test-ss": "patched"}},
        "spec": {"replicas": 2,
                 "template": {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}},
    }  # fmt: skip
    patched = await s.sets.patch("test-ss", change, STRATEGIC)
    assert patched["metadata"]["labels"] == {"test-ss": "patched"}
    await s.when(lambda st: st.get("updatedReplicas") == 2 == st.get("readyReplicas"), "test-ss")
    assert await s.images() == {"test-ss-0": "nginx", "test-ss-1": "nginx"}
    assert await s.sets.names("test-ss=patched", everywhere=True) == ["test-ss"]
    await s.sets.delete_collection("test-ss=patched")
    assert await s.sets.items("test-ss=patched") == []

    async def gone() -> bool:
        return not await s.pods.items() and not await s.revisions.items()

    await w.wait(gone)


@conforms(
    "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should validate"
    " Statefulset Status endpoints [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_the_status_of_a_stateful_set(w: World) -> None:
    s = await sets(w)
    await s.sets.create(stateful_set("ss", 1))
    await status_endpoints(s.sets, "ss", await s.ready(1, "ss"))
