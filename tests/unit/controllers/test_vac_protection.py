"""Classes of attributes go when nobody uses them, and not before."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.cluster import Cluster, cluster

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.api.storage.v1 import VolumeAttributesClass
from kybern.lib.clock import run_virtual

CLASS = {"metadata": {"name": "gold"}, "driverName": "a.b", "parameters": {"iops": "9"}}
CLAIM: Any = {
    "metadata": {"name": "c", "namespace": "default"},
    "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "none", "volumeAttributesClassName": "gold",
    },
}  # fmt: skip
VOLUME: Any = {
    "metadata": {"name": "v"},
    "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "csi": {"driver": "a.b", "volumeHandle": "h"}, "volumeAttributesClassName": "gold",
    },
}  # fmt: skip


async def classes(it: Cluster) -> list[str]:
    return [each.metadata.name or "" for each in (await it.client.list(VolumeAttributesClass))[0]]


@pytest.mark.parametrize("user", [None, CLAIM, VOLUME])
def test_a_class_stays_while_it_is_used(user: Any) -> None:
    async def main() -> None:
        async with cluster("vac-protection", "pvc-protection", "pv-protection") as it:
            await it.namespace()
            made = await it.client.create(codec.from_tree(CLASS, VolumeAttributesClass))
            assert made.metadata.finalizers == ["kubernetes.io/vac-protection"]
            type_: Any = PersistentVolumeClaim if user is CLAIM else PersistentVolume
            if user is not None:
                await it.client.create(codec.from_tree(user, type_))
            await it.settle(1)
            await it.client.delete(VolumeAttributesClass, "gold")
            await it.settle(1)
            assert await classes(it) == (["gold"] if user is not None else [])
            if user is not None:
                meta = user["metadata"]
                await it.client.delete(type_, meta["name"], meta.get("namespace", ""))
                await it.settle(1)
                assert await classes(it) == []

    run_virtual(main())
