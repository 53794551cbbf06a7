"""The garbage collector: what goes with its owner, and what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.marks import conforms
from tests.conformance.workloads import deployment, owners, template
from tests.conformance.world import World, world

if TYPE_CHECKING:
    from tests.conformance.wire import Resource, Tree

POD = {"containers": [{"name": "c", "image": "pause"}]}


async def with_pods(w: World) -> tuple[Resource, Resource, Resource]:
    """Create a Deployment and wait for its ReplicaSet and pods."""
    namespace = await w.namespace()
    deployments = w.resource("apps/v1", "deployments", namespace)
    sets = w.resource("apps/v1", "replicasets", namespace)
    pods = w.resource("v1", "pods", namespace)
    await deployments.create(deployment("simpletest.deployment", replicas=2))

    async def there() -> bool:
        return len(await sets.items()) == 1 and len(await pods.items()) == 2

    await w.wait(there)
    return deployments, sets, pods


@conforms(
    "[sig-api-machinery] Garbage collector should delete RS created by deployment when not"
    " orphaning [Conformance]"
)
@world()
async def test_in_the_background(w: World) -> None:
    deployments, sets, pods = await with_pods(w)
    await deployments.delete("simpletest.deployment", {"propagationPolicy": "Background"})
    assert await deployments.missing("simpletest.deployment")

    async def gone() -> bool:
        return not await sets.items() and not await pods.items()

    await w.wait(gone)


@conforms(
    "[sig-api-machinery] Garbage collector should orphan RS created by deployment when"
    " deleteOptions.PropagationPolicy is Orphan [Conformance]"
)
@world()
async def test_orphans_stay(w: World) -> None:
    deployments, sets, pods = await with_pods(w)
    await deployments.delete("simpletest.deployment", {"propagationPolicy": "Orphan"})
    await w.wait(lambda: deployments.missing("simpletest.deployment"))
    await w.settle(30)
    (kept,) = await sets.items()
    assert "ownerReferences" not in kept["metadata"]
    assert "deletionTimestamp" not in kept["metadata"]
    found = await pods.items()
    assert len(found) == 2
    for pod in found:
        (owner,) = pod["metadata"]["ownerReferences"]
        assert owner["uid"] == kept["metadata"]["uid"]


@world()
async def test_in_the_foreground(w: World) -> None:
    """What upstream asks of replication controllers, of a ReplicaSet."""
    deployments, sets, pods = await with_pods(w)
    for pod in await pods.names():
        await pods.patch(pod, {"metadata": {"finalizers": ["example.com/held"]}})
    await deployments.delete("simpletest.deployment", {"propagationPolicy": "Foreground"})
    await w.settle(30)
    found = await deployments.get("simpletest.deployment")
    assert found["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert found["metadata"]["deletionTimestamp"]
    (kept,) = await sets.items()
    assert kept["metadata"]["finalizers"] == ["foregroundDeletion"]
    for pod in await pods.items():
        assert pod["metadata"]["deletionTimestamp"]
        await pods.patch(pod["metadata"]["name"], {"metadata": {"finalizers": None}})
    await w.wait(lambda: deployments.missing("simpletest.deployment"))
    assert await sets.items() == []


@world()
async def test_two_owners_of_which_one_goes(w: World) -> None:
    """What upstream asks of replication controllers, of ConfigMaps."""
    maps = w.resource("v1", "configmaps", await w.namespace())
    going = await maps.create({"metadata": {"name": "going"}})
    staying = await maps.create({"metadata": {"name": "staying"}})
    both = owners(going, staying)
    await maps.create({"metadata": {"name": "both", "ownerReferences": both}})
    await maps.create({"metadata": {"name": "only", "ownerReferences": owners(going)}})
    await maps.delete("going", {"propagationPolicy": "Foreground"})
    await w.wait(lambda: maps.missing("going"))
    assert await maps.missing("only")
    kept = await maps.get("both")
    assert "deletionTimestamp" not in kept["metadata"]
    assert [o["name"] for o in kept["metadata"]["ownerReferences"]] == ["staying"]


@conforms(
    "[sig-api-machinery] Garbage collector should not be blocked by dependency circle [Conformance]"
)
@world()
async def test_a_circle(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    made: dict[str, Tree] = {}
    for name in ("pod1", "pod2", "pod3"):
        made[name] = await pods.create({"metadata": {"name": name}, "spec": POD})
    for name, owner in (("pod1", "pod3"), ("pod2", "pod1"), ("pod3", "pod2")):
        change = {"metadata": {"ownerReferences": owners(made[owner])}}
        patched = await pods.patch(name, change)
        assert patched["metadata"]["ownerReferences"][0]["name"] == owner
    await pods.delete("pod1", {"propagationPolicy": "Foreground"})

    async def gone() -> bool:
        return not await pods.items()

    await w.wait(gone)


async def controllers(w: World, *counts: int) -> tuple[Resource, Resource, list[Tree]]:
    """Create ReplicationControllers of so many pods each, and wait for these."""
    namespace = await w.namespace()
    owners_, pods = (w.resource("v1", kind, namespace) for kind in (
        "replicationcontrollers", "pods"))  # fmt: skip
    made = []
    for index, count in enumerate(counts):
        labels = {"name": f"simpletest-rc-{index}"}
        spec = {"replicas": count, "selector": labels, "template": template(labels)}
        made.append(await owners_.create({"metadata": {"name": labels["name"]}, "spec": spec}))

    async def there() -> bool:
        return len(await pods.items()) == sum(counts)

    await w.wait(there)
    return owners_, pods, made


@conforms(
    "[sig-api-machinery] Garbage collector should delete pods created by rc when not orphaning"
    " [Conformance]"
)
@world()
async def test_pods_of_a_replication_controller_go_with_it(w: World) -> None:
    rcs, pods, [rc] = await controllers(w, 10)
    options = {"propagationPolicy": "Background", "preconditions": {"uid": rc["metadata"]["uid"]}}
    await rcs.delete("simpletest-rc-0", options)
    assert await rcs.missing("simpletest-rc-0")

    async def gone() -> bool:
        return not await pods.items()

    await w.wait(gone)


@conforms(
    "[sig-api-machinery] Garbage collector should orphan pods created by rc if delete options say"
    " so [Serial] [Conformance]"
)
@world()
async def test_pods_of_a_replication_controller_stay_as_orphans(w: World) -> None:
    rcs, pods, [rc] = await controllers(w, 100)
    options = {"propagationPolicy": "Orphan", "preconditions": {"uid": rc["metadata"]["uid"]}}
    await rcs.delete("simpletest-rc-0", options)
    await w.wait(lambda: rcs.missing("simpletest-rc-0"))
    await w.settle(30)
    found = await pods.items()
    assert len(found) == 100
    for pod in found:
        assert "ownerReferences" not in pod["metadata"]
        assert "deletionTimestamp" not in pod["metadata"]


@conforms(
    "[sig-api-machinery] Garbage collector should keep the rc around until all its pods are deleted"
    " if the deleteOptions says so [Serial] [Conformance]"
)
@world()
async def test_a_replication_controller_waits_for_its_pods(w: World) -> None:
    rcs, pods, _ = await controllers(w, 20)
    for name in await pods.names():
        await pods.patch(name, {"metadata": {"finalizers": ["example.com/held"]}})
    await rcs.delete("simpletest-rc-0", {"propagationPolicy": "Foreground"})
    await w.settle(30)
    kept = await rcs.get("simpletest-rc-0")
    assert kept["metadata"]["deletionTimestamp"]
    assert kept["metadata"]["finalizers"] == ["foregroundDeletion"]
    for pod in await pods.items():
        assert pod["metadata"]["deletionTimestamp"]
        assert not await rcs.missing("simpletest-rc-0")
        await pods.patch(pod["metadata"]["name"], {"metadata": {"finalizers": None}})
    await w.wait(lambda: rcs.missing("simpletest-rc-0"))
    assert await pods.items() == []


@conforms(
    "[sig-api-machinery] Garbage collector should not delete dependents that have both valid owner"
    " and owner that's waiting for dependents to be deleted [Serial] [Conformance]"
)
@world()
async def test_pods_with_another_replication_controller_stay(w: World) -> None:
    rcs, pods, [_, stays] = await controllers(w, 10, 0)
    shared = (await pods.names())[:5]
    for name in shared:
        found = (await pods.get(name))["metadata"]["ownerReferences"]
        change = {"metadata": {"ownerReferences": found + owners(stays)}}
        await pods.patch(name, change)
    await rcs.delete("simpletest-rc-0", {"propagationPolicy": "Foreground"})
    await w.wait(lambda: rcs.missing("simpletest-rc-0"))
    await w.settle(30)
    assert sorted(await pods.names()) == sorted(shared)
    for pod in await pods.items():
        (owner,) = pod["metadata"]["ownerReferences"]
        assert owner["name"] == "simpletest-rc-1"
        assert "deletionTimestamp" not in pod["metadata"]
