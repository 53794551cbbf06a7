"""Namespaces from their beginning to their end, against the real API server."""

from __future__ import annotations

import pytest
from tests.unit.controllers.cluster import cluster, deployment

from kybern.api import errors
from kybern.api.apps.v1 import Deployment
from kybern.api.core.v1 import ConfigMap, Namespace, Pod, Secret, ServiceAccount
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import run_virtual

ALL = ("*", "-nodelifecycle")
ROOT_CA = "kube-root-ca.crt"


async def shop(it):
    await it.namespace("shop")
    await it.settle(2)


def conditions(namespace):
    return {c.type: (c.status, c.message) for c in namespace.status.conditions or ()}


def test_every_namespace_gets_an_account_and_the_authority():
    async def main():
        async with cluster(*ALL) as it:
            await shop(it)
            for name in ("default", "kube-system", "shop"):
                await it.client.get(ServiceAccount, "default", name)
                published = await it.client.get(ConfigMap, ROOT_CA, name)
                assert published.data == {"ca.crt": "PEM"}
            await it.client.delete(ServiceAccount, "default", "shop")
            await it.client.delete(ConfigMap, ROOT_CA, "shop")
            await it.settle(2)
            await it.client.get(ServiceAccount, "default", "shop")
            await it.client.patch(
                ConfigMap, ROOT_CA, "shop", {"data": {"ca.crt": "evil", "x": "y"}}
            )
            await it.settle(2)
            assert (await it.client.get(ConfigMap, ROOT_CA, "shop")).data == {"ca.crt": "PEM"}
            await it.quiet()

    run_virtual(main())


def test_deleting_a_namespace_deletes_what_is_in_it():
    async def main():
        async with cluster(*ALL) as it:
            await shop(it)
            one = deployment(replicas=3)
            one.metadata.namespace = "shop"
            await it.client.create(one)
            await it.client.create(Secret(metadata=ObjectMeta(name="s", namespace="shop")))
            await it.settle()
            assert len(await it.pods("shop")) == 3
            await it.client.delete(Namespace, "shop")
            namespace = await it.client.get(Namespace, "shop")
            assert namespace.status.phase == "Terminating"
            await it.settle(10)
            with pytest.raises(errors.NotFound):
                await it.client.get(Namespace, "shop")
            for what in (Deployment, Pod, Secret, ServiceAccount, ConfigMap):
                assert (await it.client.list(what, "shop"))[0] == []
            await shop(it)  # the name can be used again
            await it.client.get(ServiceAccount, "default", "shop")
            await it.quiet()

    run_virtual(main())


def test_pods_go_before_everything_else():
    async def main():
        async with cluster(*ALL) as it:
            await shop(it)
            await it.client.create(ConfigMap(metadata=ObjectMeta(name="needed", namespace="shop")))
            from kybern.api.core.v1 import Container, PodSpec

            metadata = ObjectMeta(name="p", namespace="shop", finalizers=["example.com/hold"])
            spec = PodSpec(containers=[Container(name="c", image="x")])
            await it.client.create(Pod(metadata=metadata, spec=spec))
            await it.settle(5)
            await it.client.delete(Namespace, "shop")
            await it.settle(60)
            namespace = await it.client.get(Namespace, "shop")
            found = conditions(namespace)
            assert found["NamespaceContentRemaining"] == (
                "True", "Some resources are remaining: pods. has 1 resource instances",
            )  # fmt: skip
            assert found["NamespaceFinalizersRemaining"] == (
                "True",
                "Some content in the namespace has finalizers remaining: "
                "example.com/hold in 1 resource instances",
            )
            assert found["NamespaceDeletionContentFailure"][0] == "False"
            assert len(found) == 5
            await it.client.get(ConfigMap, "needed", "shop")
            patch = {"metadata": {"finalizers": None}}
            await it.client.patch(Pod, "p", "shop", patch)
            await it.settle(20)
            with pytest.raises(errors.NotFound):
                await it.client.get(Namespace, "shop")

    run_virtual(main())


def test_a_finalizer_on_the_namespace_itself():
    async def main():
        async with cluster(*ALL) as it:
            await shop(it)
            patch = {"metadata": {"finalizers": ["example.com/hold"]}}
            await it.client.patch(Namespace, "shop", "", patch)
            await it.client.delete(Namespace, "shop")
            await it.settle(30)
            namespace = await it.client.get(Namespace, "shop")
            assert not namespace.spec.finalizers
            patch = {"metadata": {"finalizers": None}}
            await it.client.patch(Namespace, "shop", "", patch)
            with pytest.raises(errors.NotFound):
                await it.client.get(Namespace, "shop")

    run_virtual(main())


def test_nothing_is_written_while_nothing_happens():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(deployment(replicas=2))
            await it.settle(60)
            await it.quiet()

    run_virtual(main())
