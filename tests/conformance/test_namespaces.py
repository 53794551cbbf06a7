"""Namespaces: what can be changed about them, and what goes with them."""

from __future__ import annotations

from tests.conformance.marks import conforms
from tests.conformance.wire import JSON, STRATEGIC
from tests.conformance.workloads import is_running
from tests.conformance.world import World, refused, world

FAKE = "e2e.example.com/fakeFinalizer"


def service(name: str) -> dict:
    return {
        "metadata": {"name": name},
        "spec": {"selector": {"foo": "bar"}, "ports": [{"port": 80, "targetPort": 80}]},
    }


@conforms(
    "[sig-api-machinery] Namespaces [Serial] should ensure that all services are removed when a"
    " namespace is deleted [Conformance]"
)
@world()
async def test_services_go_with_their_namespace(w: World) -> None:
    name = await w.namespace()
    namespaces = w.resource("v1", "namespaces")
    services = w.resource("v1", "services", name)
    made = await services.create(service("test-service"))
    deleted = await namespaces.delete(name)
    assert deleted["status"]["phase"] == "Terminating"
    assert deleted["metadata"]["deletionTimestamp"]
    await w.wait(lambda: namespaces.missing(name))
    await namespaces.create({"metadata": {"name": name}})
    assert await services.missing("test-service")
    # the address is free again
    again = service("another")
    again["spec"]["clusterIP"] = made["spec"]["clusterIP"]
    assert (await services.create(again))["spec"]["clusterIP"] == made["spec"]["clusterIP"]


@world()
async def test_nothing_is_created_in_a_namespace_that_goes(w: World) -> None:
    name = await w.namespace()
    namespaces = w.resource("v1", "namespaces")
    maps = w.resource("v1", "configmaps", name)
    held = {"metadata": {"name": "held", "finalizers": ["example.com/held"]}}
    await maps.create(held)
    await namespaces.delete(name)
    with refused(403, "Forbidden", "because it is being terminated") as answers:
        await maps.create({"metadata": {"name": "late"}})
    (cause,) = answers[0].details["causes"]
    assert cause["reason"] == "NamespaceTerminating"
    await w.settle()
    found = await namespaces.get(name)
    conditions = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert conditions["NamespaceFinalizersRemaining"] == "True"
    assert conditions["NamespaceContentRemaining"] == "True"
    await maps.patch("held", {"metadata": {"finalizers": None}})
    await w.wait(lambda: namespaces.missing(name))


@conforms(
    "[sig-api-machinery] OrderedNamespaceDeletion namespace deletion should delete pod first"
    " [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_pods_go_first(w: World) -> None:
    name = await w.namespace()
    namespaces = w.resource("v1", "namespaces")
    pods, maps = w.resource("v1", "pods", name), w.resource("v1", "configmaps", name)
    metadata = {"name": "p", "finalizers": ["e2e.example.com/finalizer"]}
    spec = {"containers": [{"name": "c", "image": "pause"}]}
    await pods.create({"metadata": metadata, "spec": spec})
    await maps.create({"metadata": {"name": "c"}})

    await w.wait(lambda: is_running(pods, "p"))
    await namespaces.delete(name)

    async def reported() -> bool:
        """Whether the controller has been at it, told by a condition that upstream looks for."""
        conditions = (await namespaces.get(name))["status"].get("conditions", [])
        return "NamespaceDeletionContentFailure" in {c["type"] for c in conditions}

    await w.wait(reported)
    await w.settle(60)
    assert "deletionTimestamp" in (await pods.get("p"))["metadata"]
    assert "deletionTimestamp" not in (await maps.get("c"))["metadata"]
    await pods.patch("p", {"metadata": {"finalizers": None}})
    await w.wait(lambda: namespaces.missing(name))


@conforms(
    "[sig-api-machinery] Namespaces [Serial] should ensure that all pods are removed when a"
    " namespace is deleted [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_pods_go_with_their_namespace(w: World) -> None:
    name = await w.namespace()
    namespaces, pods = w.resource("v1", "namespaces"), w.resource("v1", "pods", name)
    spec = {"containers": [{"name": "c", "image": "pause"}]}
    await pods.create({"metadata": {"name": "test-pod"}, "spec": spec})

    await w.wait(lambda: is_running(pods, "test-pod"))
    await namespaces.delete(name)
    await w.wait(lambda: namespaces.missing(name))
    await namespaces.create({"metadata": {"name": name}})
    assert await pods.names() == []


@conforms("[sig-api-machinery] Namespaces [Serial] should patch a Namespace [Conformance]")
@world()
async def test_namespaces_are_patched(w: World) -> None:
    name = await w.namespace()
    namespaces = w.resource("v1", "namespaces")
    await namespaces.patch(name, {"metadata": {"labels": {"testLabel": "testValue"}}}, STRATEGIC)
    labels = (await namespaces.get(name))["metadata"]["labels"]
    assert labels == {"testLabel": "testValue", "kubernetes.io/metadata.name": name}


@conforms(
    "[sig-api-machinery] Namespaces [Serial] should apply changes to a namespace status"
    " [Conformance]"
)
@world()
async def test_the_status_of_a_namespace(w: World) -> None:
    name = await w.namespace()
    namespaces = w.resource("v1", "namespaces", dynamic=True)
    found = await namespaces.get(name, subresource="status")
    assert found["status"] == {"phase": "Active"}
    condition = {"type": "StatusPatch", "status": "True", "reason": "E2E", "message": "patched"}
    change = {
        "metadata": {"annotations": {"e2e-patched-ns-status": name}},
        "status": {"conditions": [condition]},
    }
    patched = await namespaces.patch(name, change, subresource="status")
    assert patched["status"]["phase"] == "Active"
    assert patched["metadata"]["annotations"] == {"e2e-patched-ns-status": name}
    (got,) = patched["status"]["conditions"]
    assert got.items() >= condition.items()

    typed = w.resource("v1", "namespaces")
    update = {**condition, "type": "StatusUpdate", "message": "updated"}
    patched["status"]["conditions"].append(update)
    updated = await typed.update(patched, subresource="status")
    assert len(updated["status"]["conditions"]) == 2
    assert updated["status"]["conditions"][1].items() >= update.items()
    assert (await namespaces.get(name))["status"] == updated["status"]


@conforms(
    "[sig-api-machinery] Namespaces [Serial] should apply an update to a Namespace [Conformance]"
)
@world()
async def test_namespaces_are_updated(w: World) -> None:
    name = await w.namespace()
    namespaces = w.resource("v1", "namespaces")
    found = await namespaces.get(name)
    found["metadata"]["labels"][name] = "updated"
    updated = await namespaces.update(found)
    assert updated["metadata"]["labels"][name] == "updated"
    assert (await namespaces.get(name))["metadata"]["labels"][name] == "updated"


@conforms(
    "[sig-api-machinery] Namespaces [Serial] should apply a finalizer to a Namespace [Conformance]"
)
@world()
async def test_finalizers_of_namespaces(w: World) -> None:
    namespaces = w.resource("v1", "namespaces")
    made = await namespaces.create({"metadata": {"generateName": "e2e-ns-"}})
    name = made["metadata"]["name"]
    assert made["spec"]["finalizers"] == ["kubernetes"]
    made["spec"]["finalizers"].append(FAKE)
    # not by a plain update, only through the subresource
    made = await namespaces.update(made)
    assert made["spec"]["finalizers"] == ["kubernetes"]
    made["spec"]["finalizers"].append(FAKE)
    updated = await namespaces.update(made, subresource="finalize")
    assert updated["spec"]["finalizers"] == ["kubernetes", FAKE]
    assert (await namespaces.get(name))["spec"]["finalizers"] == ["kubernetes", FAKE]
    updated["spec"]["finalizers"].remove(FAKE)
    final = await namespaces.update(updated, subresource="finalize")
    assert final["spec"]["finalizers"] == ["kubernetes"]
    await namespaces.delete(name)
    await w.wait(lambda: namespaces.missing(name))


@world()
async def test_namespaces_have_no_collection_to_delete(w: World) -> None:
    with refused(405, "MethodNotAllowed"):
        await w.call("DELETE", "/api/v1/namespaces", accept=JSON)
    for name in ("default", "kube-system", "kube-public"):
        with refused(403, "Forbidden", "this namespace may not be deleted"):
            await w.resource("v1", "namespaces").delete(name)
