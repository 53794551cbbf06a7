"""The garbage collector against the real API server."""

from __future__ import annotations

import pytest
from tests.unit.controllers.cluster import cluster, deployment

from kybern.api import errors
from kybern.api.apps.v1 import Deployment, ReplicaSet
from kybern.api.core.v1 import ConfigMap, Pod
from kybern.api.meta.v1 import ObjectMeta, OwnerReference
from kybern.lib.clock import run_virtual

ALL = ("deployment", "replicaset", "garbagecollector")


def config_map(name, *owners, block=None, finalizers=None):
    references = [
        OwnerReference(
            apiVersion="v1",
            kind="ConfigMap",
            name=owner.metadata.name,
            uid=owner.metadata.uid,
            blockOwnerDeletion=block,
        )
        for owner in owners
    ]
    metadata = ObjectMeta(
        name=name, namespace="default", ownerReferences=references or None, finalizers=finalizers
    )
    return ConfigMap(metadata=metadata)


async def names(it, what=ConfigMap):
    return {obj.metadata.name for obj in (await it.client.list(what, "default"))[0]}


async def delete(it, name, policy, what=ConfigMap):
    await it.client.delete(what, name, "default", propagation=policy)


def test_deleting_a_deployment_takes_everything_with_it():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(deployment(replicas=3))
            await it.settle()
            await delete(it, "web", None, Deployment)
            await it.settle()
            assert await names(it, ReplicaSet) == set()
            assert await names(it, Pod) == set()
            await it.quiet()

    run_virtual(main())


def test_orphans_stay():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(deployment(replicas=2))
            await it.settle()
            await delete(it, "web", "Orphan", Deployment)
            await it.settle()
            assert await names(it, Deployment) == set()
            sets = (await it.client.list(ReplicaSet, "default"))[0]
            assert len(sets) == 1
            assert not sets[0].metadata.ownerReferences
            assert len(await names(it, Pod)) == 2
            await it.quiet()

    run_virtual(main())


def test_foreground_deletes_the_owner_last():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(deployment(replicas=2))
            await it.settle()
            gone = []
            for what in (Deployment, ReplicaSet, Pod):
                it.informers.of(what).on(delete=lambda o: gone.append(o.kind))
            await delete(it, "web", "Foreground", Deployment)
            await it.settle()
            assert gone == ["Pod", "Pod", "ReplicaSet", "Deployment"]
            await it.quiet()

    run_virtual(main())


def test_one_owner_is_enough():
    async def main():
        async with cluster(*ALL) as it:
            a = await it.client.create(config_map("a"))
            b = await it.client.create(config_map("b"))
            await it.client.create(config_map("child", a, b))
            await it.settle(5)
            await delete(it, "a", "Background")
            await it.settle(5)
            child = await it.client.get(ConfigMap, "child", "default")
            assert [ref.name for ref in child.metadata.ownerReferences] == ["b"]
            await delete(it, "b", "Background")
            await it.settle(5)
            assert await names(it) == set()
            await it.quiet()

    run_virtual(main())


def test_an_owner_that_never_existed():
    async def main():
        async with cluster(*ALL) as it:
            ghost = config_map("ghost")
            ghost.metadata.uid = "00000000-0000-0000-0000-000000000000"
            await it.client.create(config_map("child", ghost))
            await it.settle(5)
            assert await names(it) == set()

    run_virtual(main())


def test_an_owner_of_the_same_name_is_not_the_same_owner():
    async def main():
        async with cluster(*ALL) as it:
            old = await it.client.create(config_map("a"))
            await delete(it, "a", "Background")
            await it.client.create(config_map("a"))
            await it.client.create(config_map("child", old))
            await it.settle(5)
            assert await names(it) == {"a"}

    run_virtual(main())


def test_two_owners_of_which_one_waits():
    async def main():
        async with cluster(*ALL) as it:
            a = await it.client.create(config_map("a"))
            b = await it.client.create(config_map("b"))
            await it.client.create(config_map("child", a, b, block=True))
            await it.settle(5)
            await delete(it, "a", "Foreground")
            await it.settle(5)
            assert await names(it) == {"b", "child"}
            child = await it.client.get(ConfigMap, "child", "default")
            assert [ref.name for ref in child.metadata.ownerReferences] == ["b"]
            await it.quiet()

    run_virtual(main())


def test_circles_are_broken():
    async def main():
        async with cluster(*ALL) as it:
            made = [await it.client.create(config_map(name)) for name in "abc"]
            for one, owner in zip(made, [made[2], made[0], made[1]], strict=True):
                reference = {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "name": owner.metadata.name,
                    "uid": owner.metadata.uid,
                    "blockOwnerDeletion": True,
                }
                body = {"metadata": {"ownerReferences": [reference]}}
                await it.client.patch(ConfigMap, one.metadata.name, "default", body)
            await it.settle(5)
            await delete(it, "a", "Foreground")
            await it.settle()
            assert await names(it) == set()

    run_virtual(main())


def test_a_dependent_with_a_finalizer_holds_its_owner_up():
    async def main():
        async with cluster(*ALL) as it:
            a = await it.client.create(config_map("a"))
            await it.client.create(config_map("c", a, block=True, finalizers=["example.com/hold"]))
            await it.settle(5)
            await delete(it, "a", "Foreground")
            await it.settle()
            assert await names(it) == {"a", "c"}
            await it.client.patch(ConfigMap, "c", "default", {"metadata": {"finalizers": None}})
            await it.settle()
            assert await names(it) == set()
            with pytest.raises(errors.NotFound):
                await it.client.get(ConfigMap, "a", "default")

    run_virtual(main())


def test_foreground_does_not_wait_for_those_that_do_not_block():
    async def main():
        async with cluster(*ALL) as it:
            a = await it.client.create(config_map("a"))
            await it.client.create(config_map("c", a, finalizers=["example.com/hold"]))
            await it.settle(5)
            await delete(it, "a", "Foreground")
            await it.settle()
            assert await names(it) == {"c"}

    run_virtual(main())
