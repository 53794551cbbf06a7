"""DELETE: at once, with grace, with finalizers; what happens to dependents."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.apiserver.harness import DEFAULT, PODS, Server, config_map, deployment, pod

MAPS = f"{DEFAULT}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def _bound(server: Server, name: str = "p", **spec: object) -> None:
    await server.post(PODS, pod(name, nodeName="n1", **spec))


def test_a_plain_object_is_gone_and_a_status_says_so() -> None:
    async def story() -> None:
        async with Server() as server:
            uid = (await server.post(MAPS, config_map("a"))).tree["metadata"]["uid"]
            answer = await server.delete(f"{MAPS}/a")
            assert answer.tree == {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {"name": "a", "kind": "configmaps", "uid": uid},
            }  # fmt: skip
            assert (await server.delete(f"{MAPS}/a")).status == 404

    asyncio.run(story())


def test_pods_get_their_grace_and_only_less_of_it() -> None:
    async def story() -> None:
        async with Server() as server:
            await _bound(server)
            first = (await server.delete(f"{PODS}/p")).tree["metadata"]
            assert first["deletionGracePeriodSeconds"] == 30
            assert first["generation"] == 2
            again = (await server.delete(f"{PODS}/p")).tree["metadata"]
            assert again == first
            longer = (await server.delete(f"{PODS}/p?gracePeriodSeconds=60")).tree["metadata"]
            assert longer == first
            shorter = (await server.delete(f"{PODS}/p", {"gracePeriodSeconds": 5})).tree["metadata"]
            assert shorter["deletionGracePeriodSeconds"] == 5
            assert shorter["deletionTimestamp"] < first["deletionTimestamp"]
            now = await server.delete(f"{PODS}/p?gracePeriodSeconds=0")
            assert now.tree["kind"] == "Pod"
            assert (await server.get(f"{PODS}/p")).status == 404

    asyncio.run(story())


def test_pods_without_a_node_or_that_are_over_vanish_at_once() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(PODS, pod("a"))
            assert (await server.delete(f"{PODS}/a")).tree["kind"] == "Pod"
            assert (await server.get(f"{PODS}/a")).status == 404
            await _bound(server, "b")
            await server.patch(f"{PODS}/b/status", {"status": {"phase": "Succeeded"}})
            await server.delete(f"{PODS}/b")
            assert (await server.get(f"{PODS}/b")).status == 404
            await _bound(server, "c", terminationGracePeriodSeconds=0)
            await server.delete(f"{PODS}/c")
            assert (await server.get(f"{PODS}/c")).status == 404

    asyncio.run(story())


def test_finalizers_keep_an_object_until_the_last_is_gone() -> None:
    async def story() -> None:
        async with Server() as server:
            body = config_map("a")
            body["metadata"]["finalizers"] = ["x.io/one", "x.io/two"]
            await server.post(MAPS, body)
            waiting = (await server.delete(f"{MAPS}/a")).tree
            assert waiting["kind"] == "ConfigMap"
            assert waiting["metadata"]["deletionGracePeriodSeconds"] == 0
            revision = server.store.revision
            await server.delete(f"{MAPS}/a")
            assert server.store.revision == revision
            more = {"metadata": {"finalizers": ["x.io/one", "x.io/two", "x.io/three"]}}
            refused = await server.patch(f"{MAPS}/a", more)
            assert refused.status == 422
            assert "no new finalizers can be added" in refused.message
            one = await server.patch(f"{MAPS}/a", {"metadata": {"finalizers": ["x.io/one"]}})
            assert one.status == 200
            async with server.watch(f"{MAPS}?resourceVersion={server.store.revision}") as watch:
                last = await server.patch(f"{MAPS}/a", {"metadata": {"finalizers": None}})
                assert last.status == 200
                assert (await watch.next())["type"] == "DELETED"
            assert (await server.get(f"{MAPS}/a")).status == 404

    asyncio.run(story())


@pytest.mark.parametrize(
    ("options", "finalizers"),
    [
        ({"propagationPolicy": "Orphan"}, ["orphan"]),
        ({"propagationPolicy": "Foreground"}, ["foregroundDeletion"]),
        ({"orphanDependents": True}, ["orphan"]),
        ({"propagationPolicy": "Background"}, None),
        ({"orphanDependents": False}, None),
        ({}, None),
    ],
)
def test_dependents_as_the_options_say(options: dict, finalizers: list[str] | None) -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(DEPLOYMENTS, deployment())
            answer = await server.delete(f"{DEPLOYMENTS}/d", options)
            assert answer.status == 200
            left = await server.get(f"{DEPLOYMENTS}/d")
            if finalizers is None:
                assert left.status == 404
            else:
                assert left.tree["metadata"]["finalizers"] == finalizers
                assert left.tree["metadata"]["deletionTimestamp"]
                assert left.tree["metadata"]["generation"] == 2

    asyncio.run(story())


def test_pods_of_jobs_stay_unless_somebody_says_otherwise() -> None:
    async def story() -> None:
        async with Server() as server:
            path = "/apis/batch/v1/namespaces/default/jobs"
            template = {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}
            }
            job = {"metadata": {"name": "j"}, "spec": {"template": template}}
            made = (await server.post(path, job)).tree
            uid = made["metadata"]["uid"]
            labels = made["spec"]["template"]["metadata"]["labels"]
            assert labels["batch.kubernetes.io/controller-uid"] == uid
            assert labels["job-name"] == "j"
            assert made["spec"]["selector"]["matchLabels"] == {
                "batch.kubernetes.io/controller-uid": uid
            }
            kept = (await server.delete(f"{path}/j")).tree
            assert kept["metadata"]["finalizers"] == ["orphan"]

    asyncio.run(story())


def test_preconditions() -> None:
    async def story() -> None:
        async with Server() as server:
            meta = (await server.post(MAPS, config_map("a"))).tree["metadata"]
            wrong = await server.delete(f"{MAPS}/a", {"preconditions": {"uid": "other"}})
            assert wrong.status == 409
            assert wrong.message == (
                'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition '
                f"(other) does not match the UID in record ({meta['uid']}). The object might have"
                " been deleted and then recreated"
            )
            old = await server.delete(f"{MAPS}/a", {"preconditions": {"resourceVersion": "1"}})
            assert old.status == 409
            both = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
            assert (await server.delete(f"{MAPS}/a", {"preconditions": both})).status == 200

    asyncio.run(story())


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("propagationPolicy=Sideways", None, 422),
        ("", {"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
        ("gracePeriodSeconds=x", None, 400),
        ("dryRun=Some", None, 422),
        ("", b"{", 400),
    ],
)
def test_options_that_make_no_sense(query: str, body: object, status: int) -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(MAPS, config_map("a"))
            answer = await server.delete(f"{MAPS}/a?{query}", body)
            assert answer.status == status, answer.body

    asyncio.run(story())


def test_a_collection_by_labels() -> None:
    async def story() -> None:
        async with Server() as server:
            for number in range(40):
                labels = {"half": str(number % 2)}
                await server.post(MAPS, config_map(f"m{number:02}", labels))
            answer = await server.delete(f"{MAPS}?labelSelector=half%3D0")
            assert answer.tree["kind"] == "ConfigMapList"
            assert len(answer.tree["items"]) == 20
            left = (await server.get(MAPS)).tree["items"]
            assert {item["metadata"]["labels"]["half"] for item in left} == {"1"}

    asyncio.run(story())
