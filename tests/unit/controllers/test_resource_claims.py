"""Device claims: made for pods, reserved, freed and removed."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.controllers.cluster import Cluster, cluster

from kybern.api import codec
from kybern.api.core.v1 import Pod
from kybern.api.resource.v1 import ResourceClaim, ResourceClaimTemplate
from kybern.controllers.resourceclaim import plan
from kybern.lib.clock import run_virtual

SPEC: Any = {"devices": {"requests": [{"name": "r", "exactly": {
    "deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}}]}}  # fmt: skip
TEMPLATE: Any = {
    "metadata": {"name": "t", "namespace": "default"},
    "spec": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": SPEC},
}
ALLOCATION: Any = {"devices": {"results": [
    {"request": "r", "driver": "a.b", "pool": "p", "device": "d"}]}}  # fmt: skip


def pod(name: str = "p", node: str = "", **claim: str) -> Pod:
    spec = {
        "containers": [{"name": "c", "image": "i"}],
        "resourceClaims": [{"name": "devices", **claim}],
        "nodeName": node or None,
        # Nobody binds it: the cluster's nodes leave pods of other schedulers alone.
        "schedulerName": "nobody",
    }
    return codec.from_tree({"metadata": {"name": name, "namespace": "default"}, "spec": spec}, Pod)


async def claims(it: Cluster) -> list[ResourceClaim]:
    return (await it.client.list(ResourceClaim, "default"))[0]


async def allocate(it: Cluster, name: str, *users: Pod) -> None:
    """Do what the scheduler does."""
    claim = await it.client.get(ResourceClaim, name, "default")
    claim.metadata.finalizers = [plan.FINALIZER]
    claim = await it.client.update(claim)
    status = {
        "allocation": ALLOCATION,
        "reservedFor": [codec.to_tree(plan.reservation(user)) for user in users],
    }
    claim.status = codec.from_tree(status, type(claim.status))
    await it.client.update_status(claim)


async def end(it: Cluster, name: str, phase: str = "Succeeded") -> None:
    await it.client.patch(Pod, name, "default", {"status": {"phase": phase}}, subresource="status")
    await it.settle()


def run(story: Any) -> None:
    async def main() -> None:
        async with cluster("resource-claim-controller", "garbagecollector", nodes=False) as it:
            await it.namespace()
            await story(it)

    run_virtual(main())


def test_a_template_makes_a_claim_that_goes_with_its_pod() -> None:
    async def story(it: Cluster) -> None:
        made = await it.client.create(pod(resourceClaimTemplateName="t"))
        await it.settle()
        assert await claims(it) == []
        message = (
            'PodResourceClaim devices: resource claim template "t": '
            'resourceclaimtemplates.resource.k8s.io "t" not found'
        )
        assert ("FailedResourceClaimCreation", message) in await it.events()
        await it.client.create(codec.from_tree(TEMPLATE, ResourceClaimTemplate))
        await it.settle()
        [claim] = await claims(it)
        assert (claim.metadata.name or "").startswith("p-devices-")
        assert claim.metadata.labels == {"a": "b"}
        assert claim.metadata.annotations == {"c": "d", plan.ANNOTATION: "devices"}
        assert plan.owning_pod(claim) == ("p", made.metadata.uid)
        assert codec.to_tree(claim.spec) == SPEC
        [status] = (await it.client.get(Pod, "p", "default")).status.resourceClaimStatuses or []
        assert (status.name, status.resourceClaimName) == ("devices", claim.metadata.name)
        await it.client.delete(ResourceClaim, claim.metadata.name or "", "default")
        await it.settle()
        [again] = await claims(it)
        assert again.metadata.uid != claim.metadata.uid
        [status] = (await it.client.get(Pod, "p", "default")).status.resourceClaimStatuses or []
        assert status.resourceClaimName == again.metadata.name
        await it.quiet()
        await it.client.delete(Pod, "p", "default", grace=0)
        await it.settle()
        assert await claims(it) == []

    run(story)


def test_a_generated_claim_goes_when_its_pod_has_ended() -> None:
    async def story(it: Cluster) -> None:
        await it.client.create(codec.from_tree(TEMPLATE, ResourceClaimTemplate))
        made = await it.client.create(pod(resourceClaimTemplateName="t"))
        await it.settle()
        [claim] = await claims(it)
        await allocate(it, claim.metadata.name or "", made)
        await it.settle()
        assert (await claims(it))[0].status.reservedFor == [plan.reservation(made)]
        await end(it, "p")
        assert await claims(it) == []
        await it.client.get(Pod, "p", "default")

    run(story)


def test_a_shared_claim_is_freed_by_its_last_user() -> None:
    async def story(it: Cluster) -> None:
        tree = {"metadata": {"name": "shared", "namespace": "default"}, "spec": SPEC}
        await it.client.create(codec.from_tree(tree, ResourceClaim))
        users = [await it.client.create(pod(n, resourceClaimName="shared")) for n in "ab"]
        await it.settle()
        await allocate(it, "shared", *users)
        await end(it, "a")
        [claim] = await claims(it)
        assert claim.status.reservedFor == [plan.reservation(users[1])]
        assert claim.status.allocation is not None
        await it.client.delete(Pod, "b", "default", grace=0)
        await it.settle()
        [claim] = await claims(it)
        assert not claim.status.reservedFor
        assert claim.status.allocation is None
        assert not claim.metadata.finalizers
        await it.quiet()

    run(story)


def test_a_pod_that_names_its_node_gets_its_claim_here() -> None:
    async def story(it: Cluster) -> None:
        tree = {"metadata": {"name": "shared", "namespace": "default"}, "spec": SPEC}
        await it.client.create(codec.from_tree(tree, ResourceClaim))
        await allocate(it, "shared")
        made = await it.client.create(pod(node="n", resourceClaimName="shared"))
        await it.settle()
        assert (await claims(it))[0].status.reservedFor == [plan.reservation(made)]
        await it.client.delete(ResourceClaim, "shared", "default")
        await it.settle()
        assert len(await claims(it)) == 1  # it is in use
        await end(it, "p", "Failed")
        assert await claims(it) == []

    run(story)


@pytest.mark.parametrize(
    ("pod_name", "claim", "base"),
    [("p", "c", "p-c-"), ("p" * 60, "c" * 40, "p" * 33 + "-" + "c" * 22)],
)
def test_long_names_are_cut_in_proportion(pod_name: str, claim: str, base: str) -> None:
    found = pod(pod_name)
    wanted = (found.spec.resourceClaims or [])[0]
    wanted.name = claim
    made = plan.generated(found, wanted, codec.from_tree(TEMPLATE, ResourceClaimTemplate))
    assert made.metadata.generateName == base
