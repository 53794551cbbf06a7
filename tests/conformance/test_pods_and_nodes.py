"""Pods and Nodes, as far as the API server alone decides about them."""

from __future__ import annotations

from tests.conformance.marks import conforms
from tests.conformance.wire import JSON_PATCH, STRATEGIC
from tests.conformance.workloads import is_running, pod
from tests.conformance.world import World, refused, world


@conforms(
    "[sig-node] Pods Extended Pods Set QOS Class should be set on Pods with matching resource"
    " requests and limits for memory and cpu [Conformance]"
)
@world()
async def test_the_quality_of_service(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    both = {"cpu": "100m", "memory": "100Mi"}
    for name, resources, quality in (
        ("guaranteed", {"requests": both, "limits": both}, "Guaranteed"),
        ("burstable", {"requests": both}, "Burstable"),
        ("best-effort", {}, "BestEffort"),
    ):
        container = {"name": "c", "image": "pause", "resources": resources}
        made = await pods.create(pod(name, containers=[container]))
        assert made["status"]["qosClass"] == quality
        assert (await pods.get(name))["status"]["qosClass"] == quality


@conforms(
    "[sig-node] Sysctls [LinuxOnly] [NodeConformance] should reject invalid sysctls [Conformance]"
)
@world()
async def test_sysctls_that_are_none(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    names = ("foo-", "kernel.shmmax", "safe-and-unsafe", "bar..")
    sysctls = [{"name": name, "value": "100000000"} for name in names]
    with refused(422, "Invalid") as answers:
        await pods.create(pod("sysctl", securityContext={"sysctls": sysctls}))
    message = answers[0].message
    assert 'Invalid value: "foo-"' in message
    assert 'Invalid value: "bar.."' in message
    assert "safe-and-unsafe" not in message
    assert "kernel.shmmax" not in message
    assert len(answers[0].details["causes"]) == 2


@conforms(
    "[sig-node] Pods Extended (pod generation) Pod Generation custom-set generation on new pods and"
    " graceful delete [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_a_generation_is_not_the_clients_to_choose(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    body = pod("p")
    body["metadata"]["generation"] = 100
    body["metadata"]["finalizers"] = ["example.com/held"]
    assert (await pods.create(body))["metadata"]["generation"] == 1

    await w.wait(lambda: is_running(pods, "p"))
    assert (await pods.get("p"))["metadata"]["generation"] == 1
    deleted = await pods.delete("p")
    assert deleted["metadata"]["generation"] == 2
    await pods.patch("p", {"metadata": {"finalizers": None}})
    await w.wait(lambda: pods.missing("p"))


@world(nodes=1, scheduler=True)
async def test_the_generation_counts_changes_of_what_is_wanted(w: World) -> None:
    """What upstream's test of generations demands but `observedGeneration`: that is the kubelet's."""
    pods = w.resource("v1", "pods", await w.namespace())
    tree = await pods.create(pod("p"))
    assert tree["metadata"]["generation"] == 1

    await w.wait(lambda: is_running(pods, "p"))
    toleration = {"key": "a", "operator": "Exists", "effect": "NoSchedule"}
    tolerations = tree["spec"]["tolerations"]
    for change, expected in (
        ({"spec": {"tolerations": [*tolerations, toleration]}}, 2),
        ({"metadata": {"labels": {"new": "label"}}}, 2),
        ({"spec": {"containers": [{"name": "c", "image": "nginx"}]}}, 3),
        ({"spec": {"activeDeadlineSeconds": 5000}}, 4),
        ({"metadata": {"annotations": {"new": "annotation"}}}, 4),
    ):
        found = await pods.patch("p", change, STRATEGIC)
        assert found["metadata"]["generation"] == expected, change


@conforms("[sig-node] Pods should patch a pod status [Conformance]")
@world(nodes=1, scheduler=True)
async def test_the_status_of_a_pod_is_patched(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    made = await pods.create(pod("p"))
    await w.wait(lambda: is_running(pods, "p"))
    before = await pods.get("p", subresource="status")
    condition = {"type": "StatusPatched", "status": "True", "reason": "e2e"}
    change = {"metadata": {"annotations": {"a": "b"}}, "status": {"conditions": [condition]}}
    patched = await pods.patch("p", change, STRATEGIC, subresource="status")
    assert patched["metadata"]["annotations"]["a"] == "b"
    types = {c["type"] for c in patched["status"]["conditions"]}
    assert types == {"StatusPatched", *(c["type"] for c in before["status"]["conditions"])}
    assert patched["spec"] == {**made["spec"], "nodeName": "node-0"}


@conforms("[sig-node] Pods should delete a collection of pods [Conformance]")
@world(nodes=1, scheduler=True)
async def test_pods_go_together(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    for number in range(3):
        body = pod(f"test-pod-{number}", labels={"type": "Testing"})
        body["spec"]["terminationGracePeriodSeconds"] = 1
        await pods.create(body)
    await pods.create(pod("another"))
    assert len(await pods.items("type=Testing")) == 3
    await pods.delete_collection("type=Testing", {"gracePeriodSeconds": 0})

    async def gone() -> bool:
        return not await pods.items("type=Testing")

    await w.wait(gone)
    assert await pods.names() == ["another"]


@conforms("[sig-node] Pods should run through the lifecycle of Pods and PodStatus [Conformance]")
@world(nodes=1, scheduler=True)
async def test_pods_live(w: World) -> None:
    namespace = await w.namespace()
    pods = w.resource("v1", "pods", namespace)
    static = "test-pod-static=true"
    body = pod("pod-test", labels={"test-pod-static": "true"})
    body["spec"]["terminationGracePeriodSeconds"] = 1
    async with await pods.watch(static) as watch:
        made = await pods.create(body)
        assert await watch.expect("ADDED") == [made]

        def ready(kind: str, tree: dict) -> bool:
            found = {c["type"]: c["status"] for c in tree["status"].get("conditions", ())}
            return kind == "MODIFIED" and found.get("Ready") == "True"

        _, tree = await watch.until(ready)
        assert tree["spec"]["containers"][0]["image"] == "pause"
        change = {
            "metadata": {"labels": {"test-pod": "patched"}},
            "spec": {"terminationGracePeriodSeconds": 1,
                     "containers": [{"name": "c", "image": "pause:2"}]},
        }  # fmt: skip
        patched = await pods.patch("pod-test", change, STRATEGIC)
        assert patched["metadata"]["labels"]["test-pod"] == "patched"
        assert patched["spec"]["containers"][0]["image"] == "pause:2"
        await watch.until(lambda _, tree: tree["metadata"]["labels"].get("test-pod") == "patched")
        (found,) = await pods.items(static, everywhere=True)
        assert found["metadata"]["namespace"] == namespace

        found = await pods.get("pod-test", subresource="status")
        conditions = [
            {**c, "status": "False"} if c["type"] in ("Ready", "ContainersReady") else c
            for c in found["status"]["conditions"]
        ]
        found["status"]["conditions"] = conditions
        updated = await pods.update(found, subresource="status")
        assert {c["type"]: c["status"] for c in updated["status"]["conditions"]}["Ready"] == "False"
        assert updated["status"]["phase"] == "Running"
        await pods.delete_collection(static)
        await watch.until(lambda kind, _: kind == "DELETED")


@world()
async def test_what_may_change_about_a_pod(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    await pods.create(pod("p"))
    with refused(422, "Invalid", "pod updates may not change fields other than"):
        await pods.patch("p", {"spec": {"hostname": "other"}}, STRATEGIC)
    with refused(422, "Invalid", "spec.activeDeadlineSeconds"):
        await pods.patch("p", {"spec": {"activeDeadlineSeconds": -1}}, STRATEGIC)
    await pods.patch("p", {"spec": {"activeDeadlineSeconds": 10}}, STRATEGIC)
    with refused(422, "Invalid", "spec.activeDeadlineSeconds"):
        await pods.patch("p", {"spec": {"activeDeadlineSeconds": 20}}, STRATEGIC)


@conforms("[sig-node] Node Lifecycle should run through the lifecycle of a node [Conformance]")
@world()
async def test_nodes_live(w: World) -> None:
    nodes = w.resource("v1", "nodes")
    body = {
        "metadata": {"name": "e2e-fake-node"},
        "status": {
            "capacity": {"cpu": "1000", "memory": "8Gi", "pods": "110"},
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    made = await nodes.create(body)
    assert (await nodes.get("e2e-fake-node"))["metadata"]["uid"] == made["metadata"]["uid"]
    change = {"metadata": {"labels": {"e2e-fake-node": "patched"}}}
    patched = await nodes.patch("e2e-fake-node", change, STRATEGIC)
    assert patched["metadata"]["labels"]["e2e-fake-node"] == "patched"
    assert await nodes.names("e2e-fake-node=patched") == ["e2e-fake-node"]
    found = await nodes.get("e2e-fake-node")
    found["metadata"]["labels"]["e2e-fake-node"] = "updated"
    found = await nodes.update(found)
    assert found["metadata"]["labels"]["e2e-fake-node"] == "updated"
    assert await nodes.names(fieldSelector="spec.unschedulable=false") == ["e2e-fake-node"]
    await nodes.patch(
        "e2e-fake-node", [{"op": "add", "path": "/spec/unschedulable", "value": True}], JSON_PATCH
    )
    assert await nodes.names(fieldSelector="spec.unschedulable=false") == []
    await nodes.delete("e2e-fake-node")
    assert await nodes.missing("e2e-fake-node")
