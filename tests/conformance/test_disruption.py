"""PodDisruptionBudgets: kept up to date, and in the way of evictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.marks import conforms
from tests.conformance.operations import operations
from tests.conformance.wire import MERGE
from tests.conformance.workloads import deployment, is_running, pod
from tests.conformance.world import World, refused, world

if TYPE_CHECKING:
    from tests.conformance.wire import Tree

LABELS = {"foo": "bar"}


def budget(name: str = "foo", **spec: Any) -> Tree:
    spec.setdefault("selector", {"matchLabels": LABELS})
    return {"metadata": {"name": name, "labels": LABELS}, "spec": spec}


class Budgets:
    """Budgets and pods in a namespace of their own."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.namespace = namespace
        self.budgets = w.resource("policy/v1", "poddisruptionbudgets", namespace)
        self.pods = w.resource("v1", "pods", namespace)

    async def run(self, count: int) -> None:
        """Start pods and wait until they run."""
        for number in range(count):
            await self.pods.create(pod(f"p{number}", labels=LABELS))
        for number in range(count):
            await self.w.wait(lambda name=f"p{number}": is_running(self.pods, name))

    async def status(self, name: str = "foo", **wanted: Any) -> Tree:
        """Wait until the status says this; return it."""

        async def as_wanted() -> Tree | None:
            found = await self.budgets.get(name)
            status = found["status"]
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            same = {key: status.get(key, 0) for key in wanted} == wanted
            return status if seen and same else None

        found: Tree = await self.w.wait(as_wanted)
        return found

    async def evict(self, name: str) -> None:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/eviction"
        await self.w.call("POST", path, body, content_type="application/json")


async def made(w: World) -> Budgets:
    return Budgets(w, await w.namespace())


@conforms(
    "[sig-apps] DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets [Conformance]",
    "[sig-apps] DisruptionController should create a PodDisruptionBudget [Conformance]",
    "[sig-apps] DisruptionController should update/patch PodDisruptionBudget status [Conformance]",
)
@world(controllers=False)
async def test_the_api_of_budgets(w: World) -> None:
    namespace = "default"
    budgets = w.resource("policy/v1", "poddisruptionbudgets", namespace)
    counted = {"currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 1}
    await operations(
        w, budgets, {"spec": {"minAvailable": "1%", "selector": {"matchLabels": LABELS}}},
        subresources=("status",), status=(counted, {**counted, "disruptionsAllowed": 1}),
    )  # fmt: skip


@conforms(
    "[sig-apps] DisruptionController should observe PodDisruptionBudget status updated [Conformance]",
)
@world(nodes=2, scheduler=True)
async def test_the_status_says_how_many_may_go(w: World) -> None:
    b = await made(w)
    await b.budgets.create(budget(minAvailable=1))
    await b.status(disruptionsAllowed=0, expectedPods=0)
    await b.run(3)
    status = await b.status(disruptionsAllowed=2, currentHealthy=3, desiredHealthy=1)
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == (
        "DisruptionAllowed", "True", "SufficientPods",
    )  # fmt: skip
    await b.budgets.patch("foo", {"spec": {"minAvailable": 3}}, MERGE)
    status = await b.status(disruptionsAllowed=0)
    assert status["conditions"][0]["reason"] == "InsufficientPods"


@conforms(
    "[sig-apps] DisruptionController should block an eviction until the PDB is updated to allow it [Conformance]",
)
@world(nodes=2, scheduler=True)
async def test_a_budget_stands_in_the_way_of_an_eviction(w: World) -> None:
    b = await made(w)
    await b.budgets.create(budget(minAvailable=3))
    await b.run(3)
    await b.status(currentHealthy=3, disruptionsAllowed=0)
    with refused(429, "TooManyRequests") as error:
        await b.evict("p0")
    assert error[0].message == ("Cannot evict pod as it would violate the pod's disruption budget.")
    assert error[0].details["causes"] == [
        {
            "reason": "DisruptionBudget",
            "message": "The disruption budget foo needs 3 healthy pods and has 3 currently",
        }
    ]
    await b.budgets.patch("foo", {"spec": {"minAvailable": 2}}, MERGE)
    await b.status(disruptionsAllowed=1)
    await b.evict("p0")
    with refused(429):  # at once: nobody had to count again
        await b.evict("p1")
    await b.status(currentHealthy=2, disruptionsAllowed=0)


@world(nodes=2, scheduler=True)
async def test_percentages_are_of_what_the_controllers_want(w: World) -> None:
    b = await made(w)
    deployments = w.resource("apps/v1", "deployments", b.namespace)
    await deployments.create(deployment("d", 10))
    await b.budgets.create(budget(maxUnavailable="25%", selector={"matchLabels": {"name": "d"}}))
    await b.status(expectedPods=10, desiredHealthy=7, currentHealthy=10, disruptionsAllowed=3)
    await deployments.patch("d", {"spec": {"replicas": 4}}, MERGE)
    await b.status(expectedPods=4, desiredHealthy=3, currentHealthy=4, disruptionsAllowed=1)


@world(nodes=1, scheduler=True)
async def test_pods_of_nobody_cannot_be_counted_in_percent(w: World) -> None:
    b = await made(w)
    await b.run(1)
    await b.budgets.create(budget(maxUnavailable=1))
    await b.status(expectedPods=0, disruptionsAllowed=0, currentHealthy=1)
    events = w.resource("v1", "events", b.namespace)

    async def told() -> bool:
        return any(event["reason"] == "UnmanagedPods" for event in await events.items())

    await w.wait(told)


@world(nodes=1, scheduler=True)
async def test_an_eviction_that_never_came_is_forgotten(w: World) -> None:
    b = await made(w)
    await b.run(2)
    await b.budgets.create(budget(minAvailable=1))
    await b.status(disruptionsAllowed=1)
    now = (await b.pods.get("p0"))["metadata"]["creationTimestamp"]
    await b.budgets.patch(
        "foo", {"status": {"disruptedPods": {"p0": now}, "disruptionsAllowed": 0}}, MERGE,
        subresource="status",
    )  # fmt: skip
    await w.settle(60)
    await b.status(currentHealthy=1, disruptionsAllowed=0)
    await w.settle(70)
    status = await b.status(currentHealthy=2, disruptionsAllowed=1)
    assert "disruptedPods" not in status


@world(nodes=1, scheduler=True)
async def test_a_pod_that_stays_is_no_longer_marked(w: World) -> None:
    b = await made(w)
    await b.run(1)
    mark = {
        "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
        "lastTransitionTime": (await b.pods.get("p0"))["metadata"]["creationTimestamp"],
    }  # fmt: skip
    found = await b.pods.get("p0")
    conditions = [*found["status"]["conditions"], mark]
    await b.pods.patch("p0", {"status": {"conditions": conditions}}, MERGE, subresource="status")
    await w.settle(150)
    marks = {c["type"]: c["status"] for c in (await b.pods.get("p0"))["status"]["conditions"]}
    assert marks["DisruptionTarget"] == "False"
