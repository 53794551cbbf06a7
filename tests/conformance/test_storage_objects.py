"""The objects CSI drivers work with, and storage classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.marks import conforms
from tests.conformance.operations import operations
from tests.conformance.wire import MERGE, STRATEGIC
from tests.conformance.world import World, refused, world

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GROUP = "storage.k8s.io/v1"


@conforms(
    "[sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver [Conformance]"
)
@world()
async def test_csi_drivers(w: World) -> None:
    drivers = w.resource(GROUP, "csidrivers")
    body = {"spec": {"volumeLifecycleModes": ["Ephemeral"], "attachRequired": False}}
    await operations(w, drivers, body)
    made = await drivers.create({"metadata": {"name": "one"}, **body})
    assert made["spec"]["fsGroupPolicy"] == "ReadWriteOnceWithFSType"
    assert made["spec"]["storageCapacity"] is False
    patched = await drivers.patch("one", {"metadata": {"labels": {"one": "patched"}}}, STRATEGIC)
    assert patched["metadata"]["labels"] == {"one": "patched"}


@conforms("[sig-storage] CSIInlineVolumes should support CSIVolumeSource in Pod API [Conformance]")
@world()
async def test_inline_csi_volumes(w: World) -> None:
    drivers = w.resource(GROUP, "csidrivers")
    lifecycle = {"spec": {"volumeLifecycleModes": ["Ephemeral"]}}
    await drivers.create({"metadata": {"name": "inline.example.com"}, **lifecycle})
    pods = w.resource("v1", "pods", await w.namespace())
    source = {"driver": "inline.example.com", "volumeAttributes": {"foo": "bar"}}
    body = {
        "metadata": {"name": "with-csi", "labels": {"test": "inline"}},
        "spec": {
            "containers": [
                {
                    "name": "c", "image": "pause",
                    "volumeMounts": [{"name": "v", "mountPath": "/tmp/in"}],
                }
            ],
            "volumes": [{"name": "v", "csi": source}],
        },
    }  # fmt: skip
    made = await pods.create(body)
    assert {"name": "v", "csi": source} in made["spec"]["volumes"]
    assert (await pods.get("with-csi"))["spec"] == made["spec"]
    assert await pods.names("test=inline") == ["with-csi"]
    patched = await pods.patch("with-csi", {"metadata": {"annotations": {"a": "b"}}}, STRATEGIC)
    assert patched["metadata"]["annotations"]["a"] == "b"
    assert patched["spec"] == made["spec"]
    await pods.delete("with-csi", {"gracePeriodSeconds": 0})
    assert await pods.missing("with-csi")


@conforms(
    "[sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode"
    " [Conformance]"
)
@world()
async def test_csi_nodes(w: World) -> None:
    nodes = w.resource(GROUP, "csinodes")
    await operations(w, nodes, {"spec": {"drivers": []}})
    driver = {"name": "e2e.example.com", "nodeID": "node", "topologyKeys": ["zone"]}
    made = await nodes.create({"metadata": {"name": "one"}, "spec": {"drivers": [driver]}})
    assert made["spec"]["drivers"] == [driver]
    changed = {"spec": {"drivers": [{**driver, "nodeID": "another"}]}}
    with refused(422, "Invalid", "spec.drivers"):
        await nodes.patch("one", changed)


@conforms(
    "[sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations"
    " [Conformance]"
)
@world()
async def test_csi_storage_capacities(w: World) -> None:
    capacities = w.resource(GROUP, "csistoragecapacities", await w.namespace())
    body = {"storageClassName": "a-class", "capacity": "1024Mi", "nodeTopology": {}}
    await operations(w, capacities, body)
    made = await capacities.create({"metadata": {"name": "one"}, **body})
    assert made["capacity"] == "1Gi"
    with refused(422, "Invalid", "storageClassName: Invalid value"):
        await capacities.patch("one", {"storageClassName": "another"})


@conforms(
    "[sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a"
    " StorageClass [Conformance]"
)
@world()
async def test_storage_classes(w: World) -> None:
    classes = w.resource(GROUP, "storageclasses")
    body = {"provisioner": "e2e-fake-provisioner", "parameters": {"a": "b"}}
    await operations(w, classes, body)
    made = await classes.create({"metadata": {"name": "one"}, **body})
    assert made["reclaimPolicy"] == "Delete"
    assert made["volumeBindingMode"] == "Immediate"
    await classes.delete("one")
    again = await classes.create({"metadata": {"name": "one"}, **body})
    assert again["metadata"]["uid"] != made["metadata"]["uid"]
    with refused(422, "Invalid", "updates to provisioner are forbidden."):
        await classes.patch("one", {"provisioner": "another"})


@conforms(
    "[sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the"
    " lifecycle of a VolumeAttributesClass [Conformance]"
)
@world()
async def test_volume_attributes_classes(w: World) -> None:
    classes = w.resource(GROUP, "volumeattributesclasses")

    def gone(name: str) -> Callable[[], Awaitable[bool]]:
        return lambda: classes.missing(name)  # once its finalizer has been taken off

    body = {"driverName": "e2e-fake-csi-driver", "parameters": {"foo": "bar"}}
    named = {"metadata": {"name": "one", "labels": {"test": "one"}}, **body}
    made = await classes.create(named)
    assert made["metadata"]["finalizers"] == ["kubernetes.io/vac-protection"]
    read = await classes.get("one")
    assert {key: read[key] for key in body} == body
    patched = await classes.patch("one", {"metadata": {"labels": {"one": "patched"}}}, MERGE)
    assert patched["metadata"]["labels"]["one"] == "patched"
    assert await classes.names("one=patched") == ["one"]
    await classes.delete("one")
    await w.wait(gone("one"))
    again = await classes.create(named)
    assert again["metadata"]["uid"] != made["metadata"]["uid"]
    again["metadata"]["labels"]["one"] = "updated"
    assert (await classes.update(again))["metadata"]["labels"]["one"] == "updated"
    with refused(422, "Invalid", "updates to parameters are forbidden."):
        await classes.patch("one", {"parameters": {"foo": "baz"}})
    await classes.delete_collection("one=updated")
    await w.wait(gone("one"))


def attachment(name: str, uid: str = "") -> dict:
    return {
        "metadata": {"name": name, "labels": {"test": name}, "uid": uid},
        "spec": {
            "attacher": "e2e-test.storage.k8s.io", "nodeName": "e2e-node",
            "source": {"persistentVolumeName": "pv-name"},
        },
    }  # fmt: skip


@conforms(
    "[sig-storage] VolumeAttachment Conformance should run through the lifecycle of a"
    " VolumeAttachment [Conformance]"
)
@world()
async def test_volume_attachments(w: World) -> None:
    attachments = w.resource(GROUP, "volumeattachments")
    await operations(w, attachments, {"spec": attachment("")["spec"]}, subresources=("status",))
    one = await attachments.create(attachment("one", "chosen-by-the-client"))
    assert one["metadata"]["uid"] != "chosen-by-the-client"
    assert (await attachments.get("one"))["metadata"]["name"] == "one"
    assert one["status"] == {"attached": False}
    patched = await attachments.patch("one", {"metadata": {"labels": {"one": "patched"}}}, MERGE)
    assert patched["metadata"]["labels"] == {"test": "one", "one": "patched"}
    assert await attachments.names("one=patched") == ["one"]
    await attachments.delete("one")
    assert await attachments.missing("one")
    for name in ("two", "three"):
        made = await attachments.create(attachment(name))
        made["metadata"]["labels"]["all"] = "updated"
        assert (await attachments.update(made))["metadata"]["labels"]["all"] == "updated"
    await attachments.delete_collection("all=updated")
    assert await attachments.items("all=updated") == []
    await attachments.create(attachment("four"))
    with refused(422, "Invalid", "spec"):
        await attachments.patch("four", {"spec": {"nodeName": "another"}})


@conforms(
    "[sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status"
    " [Conformance]"
)
@world()
async def test_status_of_volume_attachments(w: World) -> None:
    attachments = w.resource(GROUP, "volumeattachments")
    await attachments.create(attachment("one"))
    await attachments.patch("one", {"metadata": {"labels": {"one": "patched"}}}, MERGE)
    assert (await attachments.get("one", subresource="status"))["status"]["attached"] is False
    patched = await attachments.patch(
        "one", {"status": {"attached": True}}, MERGE, subresource="status"
    )
    assert patched["status"]["attached"] is True
    assert patched["metadata"]["labels"]["one"] == "patched"
    patched["status"]["attached"] = False
    updated = await attachments.update(patched, subresource="status")
    assert updated["status"]["attached"] is False
    assert (await attachments.get("one"))["status"] == {"attached": False}
    await attachments.delete("one")
    assert await attachments.missing("one")
