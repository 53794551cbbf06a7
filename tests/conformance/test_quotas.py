"""ResourceQuotas: what is used is counted, what is too much is refused, what goes is given back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.conformance.marks import conforms
from tests.conformance.wire import MERGE, STRATEGIC, Refused, Resource, Tree
from tests.conformance.workloads import deployment, pod
from tests.conformance.world import World, refused, world

if TYPE_CHECKING:
    from collections.abc import Callable

GPU = "example.com/dongle"
HARD = {
    "pods": "5", "services": "10", "services.nodeports": "1", "services.loadbalancers": "1",
    "replicationcontrollers": "10", "resourcequotas": "1", "configmaps": "10", "secrets": "10",
    "persistentvolumeclaims": "10", "requests.storage": "10Gi", "cpu": "1", "memory": "500Mi",
    "requests.ephemeral-storage": "50Gi", "count/replicasets.apps": "5", f"requests.{GPU}": "3",
    "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "10",
}  # fmt: skip
SMALL = {"cpu": "500m", "memory": "200Mi"}


class Quotas:
    """Quotas in a namespace of their own."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.namespace = namespace
        self.quotas = w.resource("v1", "resourcequotas", namespace)
        self.pods = w.resource("v1", "pods", namespace)

    async def make(self, name: str, hard: dict[str, str], **spec: object) -> Tree:
        """Create a quota and wait until it was counted for the first time."""
        await self.quotas.create({"metadata": {"name": name}, "spec": {"hard": hard, **spec}})

        async def counted() -> Tree | None:
            status = (await self.quotas.get(name)).get("status", {})
            return status if status.get("hard") == hard and status.get("used") else None

        found: Tree = await self.w.wait(counted)
        return found["used"]

    async def used(self, name: str) -> Tree:
        found: Tree = (await self.quotas.get(name))["status"]["used"]
        return found

    async def shows(self, name: str, **wanted: str) -> None:
        """Wait until a quota shows these amounts."""
        amounts = {key.replace("__", "."): value for key, value in wanted.items()}

        async def as_wanted() -> bool:
            used = await self.used(name)
            return {key: used.get(key) for key in amounts} == amounts

        await self.w.wait(as_wanted)


def needing(name: str, requests: Tree, limits: Tree | None = None, **spec: object) -> Tree:
    """A pod that asks for something."""
    made = pod(name, **spec)
    made["spec"]["containers"][0]["resources"] = {"requests": requests, "limits": limits or {}}
    return made


async def quotas(w: World) -> Quotas:
    return Quotas(w, await w.namespace())


@conforms(
    "[sig-api-machinery] ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated. [Conformance]",
)
@world()
async def test_a_new_quota_is_counted(w: World) -> None:
    q = await quotas(w)
    used = await q.make("all", HARD)
    expected = dict.fromkeys(HARD, "0") | {"resourcequotas": "1", "configmaps": "1"}
    assert used == expected


async def _life(q: Quotas, resource: Resource, body: Tree, name: str) -> None:
    before = int((await q.used("all"))[name])
    await resource.create({"metadata": {"name": "one"}, **body})
    assert (await q.used("all"))[name] == str(before + 1)  # charged before the answer
    await resource.delete("one")
    await q.shows("all", **{name.replace(".", "__"): str(before)})


@conforms(
    "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a configMap. [Conformance]",
    "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a secret. [Conformance]",
    "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replication controller. [Conformance]",
    "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replica set. [Conformance]",
)
@world()
async def test_objects_are_counted_from_creation_to_deletion(w: World) -> None:
    q = await quotas(w)
    await q.make("all", HARD)
    template = deployment("one", 0)["spec"]["template"]
    labels = template["metadata"]["labels"]
    for api_version, plural, body, name in (
        ("v1", "configmaps", {}, "configmaps"),
        ("v1", "secrets", {}, "secrets"),
        ("v1", "replicationcontrollers", {"spec": {"replicas": 0, "selector": labels,
         "template": template}}, "replicationcontrollers"),
        ("apps/v1", "replicasets", {"spec": deployment("one", 0)["spec"]}, "count/replicasets.apps"),
    ):  # fmt: skip
        await _life(q, w.resource(api_version, plural, q.namespace), body, name)


@conforms(
    "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a service. [Conformance]",
)
@world()
async def test_services_and_their_node_ports(w: World) -> None:
    q = await quotas(w)
    await q.make("all", HARD)
    services = w.resource("v1", "services", q.namespace)

    def service(name: str, kind: str) -> Tree:
        return {"metadata": {"name": name}, "spec": {"type": kind, "ports": [{"port": 80}]}}

    await services.create(service("inside", "ClusterIP"))
    await services.create(service("outside", "NodePort"))
    used = await q.used("all")
    assert (used["services"], used["services.nodeports"]) == ("2", "1")
    with refused(403) as error:
        await services.create(service("balanced", "LoadBalancer"))
    assert error[0].message == (
        'services "balanced" is forbidden: exceeded quota: all, requested: services.nodeports=1, '
        "used: services.nodeports=1, limited: services.nodeports=1"
    )
    with refused(403):
        await services.patch("inside", {"spec": {"type": "NodePort"}}, MERGE)
    await services.patch("outside", {"spec": {"type": "ClusterIP"}}, MERGE)
    await q.shows("all", services__nodeports="0")
    for name in ("inside", "outside"):
        await services.delete(name)
    await q.shows("all", services="0")


@conforms(
    "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a pod. [Conformance]",
)
@world()
async def test_pods_and_what_they_ask_for(w: World) -> None:
    q = await quotas(w)
    await q.make("all", HARD)
    wants = {**SMALL, "ephemeral-storage": "30Gi", GPU: "2"}
    await q.pods.create(needing("first", wants, {GPU: "2"}))
    used = await q.used("all")
    assert {name: used[name] for name in ("pods", "cpu", "memory", f"requests.{GPU}")} == {
        "pods": "1", "cpu": "500m", "memory": "200Mi", f"requests.{GPU}": "2",
    }  # fmt: skip
    assert used["requests.ephemeral-storage"] == "30Gi"
    for name, more in (("cpu", {"cpu": "600m"}), (f"requests.{GPU}", {GPU: "2"})):
        with refused(403) as error:
            limits = {key: value for key, value in more.items() if key == GPU}
            await q.pods.create(needing("second", {**SMALL, **more}, limits))
        assert f"exceeded quota: all, requested: {name}=" in error[0].message
    with refused(403) as error:
        await q.pods.create(pod("silent"))
    assert error[0].message == (
        'pods "silent" is forbidden: failed quota: all: must specify cpu for: c; memory for: c'
    )
    with refused(422):
        container = {"name": "c", "image": "pause", "resources": {"requests": {"cpu": "100m"}}}
        await q.pods.patch("first", {"spec": {"containers": [container]}}, MERGE)
    assert (await q.used("all")) == used
    await q.pods.delete("first")
    await q.shows("all", pods="0", cpu="0", memory="0")


async def _scopes(
    w: World, scopes: tuple[str, str], inside: Callable[[], Tree], outside: Callable[[], Tree]
) -> None:
    q = await quotas(w)
    for name, scope in zip(("in", "out"), scopes, strict=True):
        await q.make(name, {"pods": "5"}, scopes=[scope])
    for make, counting, other in ((inside, "in", "out"), (outside, "out", "in")):
        await q.pods.create(make())
        assert (await q.used(counting))["pods"] == "1"
        assert (await q.used(other))["pods"] == "0"
        await q.pods.delete("p")
        await q.shows(counting, pods="0")


@conforms(
    "[sig-api-machinery] ResourceQuota should verify ResourceQuota with best effort scope. [Conformance]",
)
@world()
async def test_pods_that_ask_for_nothing_count_apart(w: World) -> None:
    scopes = ("BestEffort", "NotBestEffort")
    await _scopes(w, scopes, lambda: pod("p"), lambda: needing("p", SMALL, SMALL))


@conforms(
    "[sig-api-machinery] ResourceQuota should verify ResourceQuota with terminating scopes. [Conformance]",
)
@world()
async def test_pods_with_a_deadline_count_apart(w: World) -> None:
    def limited() -> Tree:
        return needing("p", SMALL, SMALL, activeDeadlineSeconds=3600)

    scopes = ("Terminating", "NotTerminating")
    await _scopes(w, scopes, limited, lambda: needing("p", SMALL, SMALL))


@conforms(
    "[sig-api-machinery] ResourceQuota should apply changes to a resourcequota status [Conformance]",
)
@world()
async def test_the_status_follows_the_spec(w: World) -> None:
    q = await quotas(w)
    await q.make("q", {"cpu": "500m", "memory": "500Mi"})

    async def reports(cpu: str, memory: str) -> None:
        async def as_wanted() -> bool:
            found = await q.quotas.get("q", subresource="status")
            return (
                found["status"]["hard"] == {"cpu": cpu, "memory": memory} == found["spec"]["hard"]
            )

        await w.wait(as_wanted)

    strange = {"status": {"hard": {"cpu": "1", "memory": "1Gi"}}}
    found = await q.quotas.patch("q", strange, MERGE, subresource="status")
    assert found["status"]["hard"] == strange["status"]["hard"]
    assert found["spec"]["hard"] == {"cpu": "500m", "memory": "500Mi"}
    await reports("500m", "500Mi")
    await q.quotas.patch("q", {"spec": {"hard": {"cpu": "2", "memory": "2Gi"}}}, MERGE)
    await reports("2", "2Gi")


@world()
async def test_a_finished_pod_gives_back_what_it_used(w: World) -> None:
    q = await quotas(w)
    await q.make("all", HARD | {"count/pods": "5"})
    await q.pods.create(needing("p", SMALL, SMALL))
    await q.pods.patch("p", {"status": {"phase": "Succeeded"}}, MERGE, subresource="status")
    await q.shows("all", pods="0", cpu="0")
    assert (await q.used("all"))["count/pods"] == "1"


@world()
async def test_many_at_once_cannot_exceed_a_quota(w: World) -> None:
    q = await quotas(w)
    await q.make("all", {"configmaps": "11"})
    maps = w.resource("v1", "configmaps", q.namespace)
    made, turned_away = [], []

    async def make(number: int) -> None:
        try:
            made.append(await maps.create({"metadata": {"name": f"m{number}"}}))
        except Refused as error:
            turned_away.append(error.code)

    async with asyncio.TaskGroup() as group:
        for number in range(25):
            group.create_task(make(number))
    assert len(made) == 10  # kube-root-ca.crt was there
    assert turned_away == [403] * 15
    assert (await q.used("all"))["configmaps"] == "11"


@world()
async def test_a_dry_run_is_judged_and_not_charged(w: World) -> None:
    q = await quotas(w)
    await q.make("all", {"secrets": "1"})
    secrets = w.resource("v1", "secrets", q.namespace)
    path = f"/api/v1/namespaces/{q.namespace}/secrets"
    await w.call("POST", path, {"metadata": {"name": "s"}}, query="dryRun=All")
    assert (await q.used("all"))["secrets"] == "0"
    await secrets.create({"metadata": {"name": "s"}})
    with refused(403):
        await secrets.create({"metadata": {"name": "t"}}, dryRun="All")


@world()
async def test_a_resize_is_charged_and_given_back(w: World) -> None:
    """More is charged at once, and too much refused; less is given back when it is in force."""
    q = Quotas(w, await w.namespace())
    await q.make("quota", {"requests.cpu": "1"})
    small = {"containers": [{"name": "c", "image": "pause", "resources": {
        "requests": {"cpu": "300m"}}}]}  # fmt: skip
    await q.pods.create({"metadata": {"name": "p"}, "spec": small})
    await q.shows("quota", requests__cpu="300m")

    async def resize(cpu: str) -> Tree:
        size = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
        body = {"spec": {"containers": [size]}}
        found: Tree = await q.pods.patch("p", body, STRATEGIC, subresource="resize")
        return found

    async def reports(cpu: str) -> None:
        status = {"name": "c", "image": "pause", "imageID": "", "ready": True, "restartCount": 0,
                  "allocatedResources": {"cpu": cpu},
                  "resources": {"requests": {"cpu": cpu}}}  # fmt: skip
        body = {"status": {"phase": "Running", "containerStatuses": [status]}}
        await q.pods.patch("p", body, MERGE, subresource="status")

    await q.pods.patch("p", {"metadata": {"labels": {"a": "b"}}})
    await resize("800m")
    await q.shows("quota", requests__cpu="800m")
    with refused(403, "Forbidden", "exceeded quota: quota, requested: requests.cpu=300m"):
        await resize("1100m")
    await reports("800m")
    await resize("500m")
    await w.settle(5)
    await q.shows("quota", requests__cpu="800m")
    await reports("500m")
    await q.shows("quota", requests__cpu="500m")
