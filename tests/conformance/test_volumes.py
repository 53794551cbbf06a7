"""Claims and volumes: bound to each other, kept, released."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.marks import conforms
from tests.conformance.wire import MERGE
from tests.conformance.workloads import pod
from tests.conformance.world import World, world

if TYPE_CHECKING:
    from tests.conformance.wire import Tree

LABELS = {"e2e-pv-pool": "one"}


def volume(name: str, size: str = "2Gi", storage_class: str = "", **spec: Any) -> Tree:
    return {
        "metadata": {"name": name, "labels": LABELS},
        "spec": {
            "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": f"/tmp/{name}"}, "storageClassName": storage_class,
            "persistentVolumeReclaimPolicy": "Retain", **spec,
        },
    }  # fmt: skip


def claim(name: str, size: str = "1Gi", storage_class: str = "", **spec: Any) -> Tree:
    return {
        "metadata": {"name": name, "labels": LABELS},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}},
            "storageClassName": storage_class, **spec,
        },
    }  # fmt: skip


class Storage:
    """Claims in a namespace of their own, and volumes."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.namespace = namespace
        self.volumes = w.resource("v1", "persistentvolumes")
        self.claims = w.resource("v1", "persistentvolumeclaims", namespace)
        self.classes = w.resource("storage.k8s.io/v1", "storageclasses")
        self.events = w.resource("v1", "events", namespace)

    async def phase(self, name: str, wanted: str, *, of_volume: bool = False) -> Tree:
        """Wait for the phase of a claim or volume; return the object."""
        resource = self.volumes if of_volume else self.claims

        async def reached() -> Tree | None:
            if await resource.missing(name):
                return None
            found = await resource.get(name)
            return found if found["status"].get("phase") == wanted else None

        found: Tree = await self.w.wait(reached)
        return found

    async def told(self, reason: str) -> str:
        """Wait for an event; return its message."""

        async def seen() -> str:
            found = [e["message"] for e in await self.events.items() if e["reason"] == reason]
            return found[0] if found else ""

        text: str = await self.w.wait(seen)
        return text


async def storage(w: World) -> Storage:
    return Storage(w, await w.namespace())


@conforms(
    "[sig-storage] PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC [Conformance]",
)
@world()
async def test_the_life_of_a_volume_and_its_claim(w: World) -> None:
    s = await storage(w)
    for turn in ("one", "two"):
        await s.volumes.create(volume(turn))
        await s.claims.create(claim(turn))
        assert await s.volumes.names("e2e-pv-pool=one") == [turn]
        assert await s.claims.names() == [turn]
        bound = await s.phase(turn, "Bound")
        kept = await s.phase(turn, "Bound", of_volume=True)
        assert bound["spec"]["volumeName"] == turn
        assert bound["status"]["capacity"] == {"storage": "2Gi"}
        assert kept["spec"]["claimRef"]["uid"] == bound["metadata"]["uid"]
        for resource in (s.volumes, s.claims):
            patched = await resource.patch(turn, {"metadata": {"labels": {"x": "patched"}}}, MERGE)
            assert patched["metadata"]["labels"]["x"] == "patched"
            patched["metadata"]["labels"]["x"] = "updated"
            assert (await resource.update(patched))["metadata"]["labels"]["x"] == "updated"
        if turn == "one":
            await s.claims.delete(turn)
            await s.volumes.delete(turn)
        else:
            await s.claims.delete_collection("x=updated")
            await s.volumes.delete_collection("x=updated")
        await w.wait(lambda name=turn: s.claims.missing(name))
        await w.wait(lambda name=turn: s.volumes.missing(name))


@conforms(
    "[sig-storage] PersistentVolumes CSI Conformance should apply changes to a pv/pvc status [Conformance]",
)
@world()
async def test_the_status_of_both_can_be_changed(w: World) -> None:
    s = await storage(w)
    await s.volumes.create(volume("v", "1Gi", "other"))
    await s.claims.create(claim("c"))
    await s.phase("c", "Pending")
    await s.phase("v", "Available", of_volume=True)
    mark = {"type": "StatusPatched", "status": "True", "reason": "E2E", "message": "patched"}
    for said in ("patched", "updated"):
        body = {"status": {"conditions": [{**mark, "message": said}]}}
        if said == "patched":
            found = await s.claims.patch("c", body, MERGE, subresource="status")
        else:
            found = await s.claims.get("c", subresource="status")
            found["status"].update(body["status"])
            found = await s.claims.update(found, subresource="status")
        assert found["status"]["conditions"][0]["message"] == said
        status = {"message": said, "reason": "E2E"}
        found = await s.volumes.patch("v", {"status": status}, MERGE, subresource="status")
        assert (found["status"]["message"], found["status"]["reason"]) == (said, "E2E")
        assert found["status"]["phase"] == "Available"


@world()
async def test_the_smallest_that_will_do(w: World) -> None:
    s = await storage(w)
    for name, size in (("large", "9Gi"), ("middle", "3Gi"), ("small", "1Gi")):
        await s.volumes.create(volume(name, size))
    await s.volumes.create(volume("shared", "2Gi", accessModes=["ReadWriteMany"]))
    await s.volumes.create(volume("raw", "2Gi", volumeMode="Block"))
    await s.claims.create(claim("c", "2Gi"))
    assert (await s.phase("c", "Bound"))["spec"]["volumeName"] == "middle"
    await s.claims.create(claim("d", "10Gi"))
    assert (await s.told("FailedBinding")).startswith("no persistent volumes available")
    await s.volumes.create(volume("huge", "20Gi"))
    assert (await s.phase("d", "Bound"))["spec"]["volumeName"] == "huge"


@world()
async def test_many_claims_never_share_a_volume(w: World) -> None:
    s = await storage(w)
    for number in range(12):
        await s.volumes.create(volume(f"v{number}"))
        await s.claims.create(claim(f"c{number}"))
    found = [await s.phase(f"c{number}", "Bound") for number in range(12)]
    assert len({each["spec"]["volumeName"] for each in found}) == 12
    for each in found:
        kept = await s.volumes.get(each["spec"]["volumeName"])
        assert kept["spec"]["claimRef"]["uid"] == each["metadata"]["uid"]


@world()
async def test_who_names_the_other_gets_it(w: World) -> None:
    s = await storage(w)
    reference = {"namespace": s.namespace, "name": "wanted"}
    await s.volumes.create(volume("reserved", claimRef=reference))
    await s.volumes.create(volume("free", "1Gi"))
    await s.claims.create(claim("first", "2Gi"))
    await s.claims.create(claim("wanted"))
    await s.claims.create(claim("chooser", volumeName="free"))
    assert (await s.phase("wanted", "Bound"))["spec"]["volumeName"] == "reserved"
    assert (await s.phase("chooser", "Bound"))["spec"]["volumeName"] == "free"
    await s.phase("first", "Pending")
    await s.claims.create(claim("late", volumeName="reserved"))
    assert await s.told("FailedBinding")
    await s.phase("late", "Pending")


@world()
async def test_without_its_claim_a_volume_is_released_and_kept(w: World) -> None:
    s = await storage(w)
    await s.volumes.create(volume("v"))
    await s.claims.create(claim("c"))
    await s.phase("v", "Bound", of_volume=True)
    await s.claims.delete("c")
    await s.phase("v", "Released", of_volume=True)
    await s.claims.create(claim("c"))  # of the same name, but another one
    await s.phase("c", "Pending")
    await s.volumes.patch("v", {"spec": {"claimRef": None}}, MERGE)
    await s.phase("c", "Bound")


@world()
async def test_a_claim_whose_volume_is_gone_is_lost(w: World) -> None:
    s = await storage(w)
    await s.volumes.create(volume("v"))
    await s.claims.create(claim("c"))
    await s.phase("v", "Bound", of_volume=True)
    await s.volumes.delete("v")
    await s.volumes.patch("v", {"metadata": {"finalizers": None}}, MERGE)
    await s.phase("c", "Lost")
    assert await s.told("ClaimLost") == (
        "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
    )


@world()
async def test_a_provisioner_is_told(w: World) -> None:
    s = await storage(w)
    await s.classes.create({"metadata": {"name": "fast"}, "provisioner": "example.com/fast"})
    await s.claims.create(claim("c", storage_class="fast"))
    assert "external provisioner 'example.com/fast'" in await s.told("ExternalProvisioning")
    annotations = (await s.claims.get("c"))["metadata"]["annotations"]
    assert annotations["volume.kubernetes.io/storage-provisioner"] == "example.com/fast"
    found = await s.claims.get("c")
    reference = {key: found["metadata"][key] for key in ("namespace", "name", "uid")}
    made = volume("made", storage_class="fast", claimRef=reference)
    made["metadata"]["annotations"] = {"pv.kubernetes.io/provisioned-by": "example.com/fast"}
    await s.volumes.create(made)
    assert (await s.phase("c", "Bound"))["spec"]["volumeName"] == "made"


@world()
async def test_a_claim_that_waits_for_its_first_consumer(w: World) -> None:
    s = await storage(w)
    waiting = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}  # fmt: skip
    await s.classes.create({"metadata": {"name": "local"}, **waiting})
    await s.volumes.create(volume("v", storage_class="local"))
    await s.claims.create(claim("c", storage_class="local"))
    await s.phase("c", "Pending")
    assert await s.told("WaitForFirstConsumer")
    reference = {"kind": "PersistentVolumeClaim", "namespace": s.namespace, "name": "c"}
    await s.volumes.patch("v", {"spec": {"claimRef": reference}}, MERGE)  # as the scheduler does
    await s.phase("c", "Bound")


@world(nodes=1, scheduler=True)
async def test_pods_bring_claims_along(w: World) -> None:
    s = await storage(w)
    await s.volumes.create(volume("v"))
    template = {"spec": claim("")["spec"], "metadata": {"labels": {"a": "b"}}}
    body = pod("p", volumes=[{"name": "data", "ephemeral": {"volumeClaimTemplate": template}}])
    await w.resource("v1", "pods", s.namespace).create(body)
    found = await s.phase("p-data", "Bound")
    assert found["metadata"]["labels"] == {"a": "b"}
    assert found["metadata"]["ownerReferences"][0]["kind"] == "Pod"
    await w.resource("v1", "pods", s.namespace).delete("p", {"gracePeriodSeconds": 0})
    await w.wait(lambda: s.claims.missing("p-data"))


@world(nodes=3, scheduler=True)
async def test_a_pod_and_its_claim_wait_for_each_other(w: World) -> None:
    s = await storage(w)
    waiting = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}  # fmt: skip
    await s.classes.create({"metadata": {"name": "local"}, **waiting})
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    await s.volumes.create(
        volume("v", storage_class="local", nodeAffinity=affinity, hostPath=None, local={"path": "/x"})
    )  # fmt: skip
    pods = w.resource("v1", "pods", s.namespace)
    mount = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}
    await pods.create(pod("p", volumes=[mount]))
    assert 'persistentvolumeclaim "c" not found' in await s.told("FailedScheduling")
    await s.claims.create(claim("c", storage_class="local"))
    assert (await s.phase("c", "Bound"))["spec"]["volumeName"] == "v"

    async def placed() -> str:
        found: str = (await pods.get("p"))["spec"].get("nodeName", "")
        return found

    assert await w.wait(placed) == "node-1"
    mount["persistentVolumeClaim"]["claimName"] = "d"
    await s.claims.create(claim("d", storage_class="local"))
    await pods.create(pod("q", volumes=[mount]))

    async def nowhere() -> bool:
        text = "3 node(s) didn't find available persistent volumes to bind"
        return any(text in event["message"] for event in await s.events.items())

    await w.wait(nowhere)


@world(nodes=2, scheduler=True)
async def test_a_provisioner_is_told_the_node(w: World) -> None:
    s = await storage(w)
    await s.classes.create(
        {
            "metadata": {"name": "late"}, "provisioner": "example.com/late",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )  # fmt: skip
    await s.claims.create(claim("c", storage_class="late"))
    pods = w.resource("v1", "pods", s.namespace)
    mount = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}
    await pods.create(pod("p", volumes=[mount]))

    async def selected() -> str:
        annotations = (await s.claims.get("c"))["metadata"].get("annotations", {})
        if "volume.kubernetes.io/storage-provisioner" not in annotations:
            return ""
        found: str = annotations.get("volume.kubernetes.io/selected-node", "")
        return found

    node = await w.wait(selected)
    assert "nodeName" not in (await pods.get("p"))["spec"]
    found = await s.claims.get("c")
    reference = {key: found["metadata"][key] for key in ("namespace", "name", "uid")}
    await s.volumes.create(volume("made", storage_class="late", claimRef=reference))

    async def placed() -> bool:
        return (await pods.get("p"))["spec"].get("nodeName") == node

    await w.wait(placed)
