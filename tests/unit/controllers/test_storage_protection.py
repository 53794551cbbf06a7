"""Claims and volumes go when nobody uses them, and not before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.controllers.cluster import Cluster, cluster

from kybern.api import codec
from kybern.api.core.v1 import Namespace, PersistentVolume, PersistentVolumeClaim, Pod
from kybern.api.errors import NotFound
from kybern.lib.clock import run_virtual

CLAIM = {
    "metadata": {"name": "c", "namespace": "default"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "none",
    },
}
VOLUME = {
    "metadata": {"name": "v"},
    "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/x"},
    },
}  # fmt: skip


def play(story: Any) -> None:
    async def main() -> None:
        async with cluster(
            "namespace",
            "persistentvolumeclaim-protection-controller",
            "persistentvolume-protection-controller",
        ) as it:
            await it.namespace()
            await it.settle(1)
            await story(it)

    run_virtual(main())


def test_a_claim_nobody_uses_goes_at_once() -> None:
    async def story(it: Cluster) -> None:
        made = await it.client.create(codec.from_tree(CLAIM, PersistentVolumeClaim))
        assert made.metadata.finalizers == ["kubernetes.io/pvc-protection"]
        await it.client.delete(PersistentVolumeClaim, "c", "default")
        await it.settle(1)
        assert (await it.client.list(PersistentVolumeClaim, "default"))[0] == []

    play(story)


def test_a_claim_stays_while_a_pod_on_a_node_uses_it() -> None:
    async def story(it: Cluster) -> None:
        await it.client.create(codec.from_tree(CLAIM, PersistentVolumeClaim))
        volume = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
        pod = {
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": [volume]},
        }
        await it.client.create(codec.from_tree(pod, Pod))
        await it.settle(5)
        await it.client.delete(PersistentVolumeClaim, "c", "default")
        await it.settle(5)
        kept = await it.client.get(PersistentVolumeClaim, "c", "default")
        assert kept.metadata.deletionTimestamp is not None
        await it.client.delete(Pod, "p", "default", grace=0)
        await it.settle(1)
        assert (await it.client.list(PersistentVolumeClaim, "default"))[0] == []

    play(story)


def test_a_volume_stays_while_it_is_bound() -> None:
    async def story(it: Cluster) -> None:
        await it.client.create(codec.from_tree(VOLUME, PersistentVolume))
        bound: Any = {"status": {"phase": "Bound"}}
        await it.client.patch(PersistentVolume, "v", "", bound, subresource="status")
        await it.client.delete(PersistentVolume, "v")
        await it.settle(5)
        kept = await it.client.get(PersistentVolume, "v")
        assert kept.metadata.deletionTimestamp is not None
        bound = {"status": {"phase": "Released"}}
        await it.client.patch(PersistentVolume, "v", "", bound, subresource="status")
        await it.settle(1)
        assert (await it.client.list(PersistentVolume))[0] == []

    play(story)


def test_a_finalizer_that_was_taken_away_comes_back() -> None:
    async def story(it: Cluster) -> None:
        await it.client.create(codec.from_tree(CLAIM, PersistentVolumeClaim))
        await it.client.create(codec.from_tree(VOLUME, PersistentVolume))
        for kind, name, namespace in (
            (PersistentVolumeClaim, "c", "default"), (PersistentVolume, "v", ""),
        ):  # fmt: skip
            await it.client.patch(kind, name, namespace, {"metadata": {"finalizers": None}})
            await asyncio.sleep(1)
            assert (await it.client.get(kind, name, namespace)).metadata.finalizers

    play(story)


def test_a_namespace_with_a_claim_goes_within_a_second() -> None:
    async def story(it: Cluster) -> None:
        await it.namespace("shop")
        tree = {**CLAIM, "metadata": {"name": "c", "namespace": "shop"}}
        await it.client.create(codec.from_tree(tree, PersistentVolumeClaim))
        await it.client.delete(Namespace, "shop")
        await it.settle(1)
        with pytest.raises(NotFound):
            await it.client.get(Namespace, "shop")

    play(story)
