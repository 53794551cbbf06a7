"""What kubelets may do."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.apiserver.harness import DEFAULT, PODS, Identity, Server, config_map, pod

N1 = Identity("system:node:n1", ("system:nodes",))
N2 = Identity("system:node:n2", ("system:nodes",))
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def _using(name: str) -> dict:
    volumes = [
        {"name": "s", "secret": {"secretName": "s"}}, {"name": "m", "configMap": {"name": "m"}},
    ]  # fmt: skip
    return pod(name, nodeName="n1", volumes=volumes)


def test_only_what_pods_on_the_node_use_can_be_read() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(f"{DEFAULT}/configmaps", config_map("m"))
            await server.post(f"{DEFAULT}/secrets", {"metadata": {"name": "s"}})
            await server.post(f"{DEFAULT}/secrets", {"metadata": {"name": "other"}})
            assert (await server.get(f"{DEFAULT}/secrets/s", user=N1)).status == 403
            await server.post(PODS, _using("p"))
            await server.settle()
            for path in ("secrets/s", "configmaps/m", "serviceaccounts/default"):
                assert (await server.get(f"{DEFAULT}/{path}", user=N1)).status == 200, path
                assert (await server.get(f"{DEFAULT}/{path}", user=N2)).status == 403, path
            refused = await server.get(f"{DEFAULT}/secrets/other", user=N1)
            assert "no relationship found between node 'n1' and this object" in refused.message
            assert (await server.get(f"{DEFAULT}/secrets", user=N1)).status == 403
            watch = f"{DEFAULT}/secrets?fieldSelector=metadata.name%3Ds"
            assert (await server.get(watch, user=N1)).status == 200
            await server.delete(f"{PODS}/p?gracePeriodSeconds=0")
            await server.settle()
            assert (await server.get(f"{DEFAULT}/secrets/s", user=N1)).status == 403

    asyncio.run(story())


def test_a_node_registers_itself_and_reports() -> None:
    async def story() -> None:
        async with Server() as server:
            node = {"metadata": {"name": "n1"}, "status": {"capacity": {"cpu": "2"}}}
            made = await server.post("/api/v1/nodes", node, user=N1)
            assert made.status == 201
            assert made.tree["status"]["capacity"] == {"cpu": "2"}
            assert made.tree["spec"]["taints"] == [
                {"effect": "NoSchedule", "key": "node.kubernetes.io/not-ready"}
            ]
            other = await server.post("/api/v1/nodes", {"metadata": {"name": "n3"}}, user=N1)
            assert other.status == 403
            report = {"status": {"nodeInfo": made.tree["status"].get("nodeInfo")}}
            path = "/api/v1/nodes/n1/status"
            assert (await server.patch(path, report, user=N1)).status == 200
            assert (await server.patch(path, report, user=N2)).status == 403
            taints = {"spec": {"taints": None}}
            assert (await server.patch("/api/v1/nodes/n1", taints, user=N1)).status == 403
            label = {"metadata": {"labels": {"node-restriction.kubernetes.io/x": "y"}}}
            refused = await server.patch("/api/v1/nodes/n1", label, user=N1)
            assert "is not allowed to modify labels" in refused.message
            assert (await server.delete("/api/v1/nodes/n1", user=N1)).status == 403

    asyncio.run(story())


def test_leases_of_its_own() -> None:
    async def story() -> None:
        async with Server() as server:
            assert (await server.post(LEASES, {"metadata": {"name": "n1"}}, user=N1)).status == 201
            assert (await server.get(f"{LEASES}/n1", user=N1)).status == 200
            assert (await server.get(f"{LEASES}/n1", user=N2)).status == 403
            assert (await server.post(LEASES, {"metadata": {"name": "n3"}}, user=N1)).status == 403

    asyncio.run(story())


def test_pods_of_its_own() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(PODS, pod("p", nodeName="n1"))
            await server.settle()
            status = {"status": {"phase": "Running"}}
            assert (await server.patch(f"{PODS}/p/status", status, user=N1)).status == 200
            assert (await server.patch(f"{PODS}/p/status", status, user=N2)).status == 403
            assert (
                await server.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", user=N1)
            ).status == 200
            assert (await server.post(PODS, pod("q"), user=N1)).status == 403
            assert (await server.delete(f"{PODS}/p", user=N2)).status == 403
            assert (await server.delete(f"{PODS}/p?gracePeriodSeconds=0", user=N1)).status == 200

    asyncio.run(story())


def test_tokens_for_pods_of_its_own() -> None:
    async def story() -> None:
        async with Server() as server:
            made = (await server.post(PODS, pod("p", nodeName="n1"))).tree
            await server.settle()
            path = f"{DEFAULT}/serviceaccounts/default/token"
            ref = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
            body = {"spec": {"boundObjectRef": ref}}
            assert (await server.post(path, body, user=N1)).status == 201
            assert (await server.post(path, body, user=N2)).status == 403
            unbound = await server.post(path, {"spec": {}}, user=N1)
            assert "not bound to a pod" in unbound.message

    asyncio.run(story())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/services", True),
        ("GET", "/api/v1/nodes", False),
        ("GET", "/api/v1/nodes?fieldSelector=metadata.name%3Dn2", False),
        ("GET", "/api/v1/pods", False),
        ("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", True),
        ("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2", False),
        ("GET", "/api/v1/pods?fieldSelector=spec.nodeName!%3Dn1", False),
        ("GET", "/apis/node.k8s.io/v1/runtimeclasses", True),
        ("GET", "/api/v1/namespaces", False),
        ("GET", "/apis/apps/v1/deployments", False),
        ("GET", "/api/v1/secrets", False),
        ("DELETE", "/api/v1/namespaces/default/services/kubernetes", False),
    ],
)
def test_the_rest(method: str, path: str, allowed: bool) -> None:
    async def story() -> None:
        async with Server() as server:
            answer = await server.call(method, path, user=N1)
            assert (answer.status == 200) is allowed

    asyncio.run(story())


def test_only_its_own_node_and_pods_can_be_read() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post("/api/v1/nodes", {"metadata": {"name": "n1"}}, user=N1)
            await server.post(PODS, pod("p", nodeName="n1"))
            await server.settle()
            for path in ("/api/v1/nodes/n1", f"{PODS}/p"):
                assert (await server.get(path, user=N1)).status == 200, path
                assert (await server.get(path, user=N2)).status == 403, path
            own = "/api/v1/nodes?fieldSelector=metadata.name%3Dn1"
            assert (await server.get(own, user=N1)).status == 200

    asyncio.run(story())


def mirror(name: str, uid: str, **spec: object) -> dict:
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}
    made = pod(name, nodeName="n1", **spec)
    made["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    made["metadata"]["ownerReferences"] = [owner]
    return made


SECRET_KEY = {"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"containers": [{"name": "c", "image": "i", "env": [SECRET_KEY]}]}, "secrets"),
        (
            {
                "containers": [
                    {"name": "c", "image": "i", "envFrom": [{"secretRef": {"name": "s"}}]}
                ]
            },
            "secrets",
        ),
        ({"imagePullSecrets": [{"name": "s"}]}, "secrets"),
        (
            {"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "m"}}]}}]},
            "configmaps",
        ),
        ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, "secret"),
        (
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
            "persistentvolumeclaims",
        ),
    ],
)
def test_a_mirror_pod_opens_nothing_to_its_node(spec: dict, why: str) -> None:
    async def story() -> None:
        async with Server() as server:
            node = await server.post("/api/v1/nodes", {"metadata": {"name": "n1"}}, user=N1)
            uid = node.tree["metadata"]["uid"]
            await server.post(f"{DEFAULT}/secrets", {"metadata": {"name": "s"}})
            refused = await server.post(PODS, mirror("m", uid, **spec), user=N1)
            assert refused.status == 403, refused.body
            assert why in refused.message
            await server.settle()
            assert (await server.get(f"{DEFAULT}/secrets/s", user=N1)).status == 403

    asyncio.run(story())


def test_a_mirror_pod_belongs_to_its_node() -> None:
    async def story() -> None:
        async with Server() as server:
            node = await server.post("/api/v1/nodes", {"metadata": {"name": "n1"}}, user=N1)
            uid = node.tree["metadata"]["uid"]
            for change, why in (
                ({"ownerReferences": []}, "an owner reference set to itself"),
                ({"uid": "other"}, "UID mismatch"),
                ({"controller": False}, "a controller owner reference set to itself"),
                ({"blockOwnerDeletion": True}, "must not set blockOwnerDeletion"),
                ({"name": "n2"}, "an owner reference set to itself"),
            ):
                made = mirror("m", uid)
                if "ownerReferences" in change:
                    made["metadata"]["ownerReferences"] = []
                else:
                    made["metadata"]["ownerReferences"][0].update(change)
                refused = await server.post(PODS, made, user=N1)
                assert refused.status == 403, refused.body
                assert why in refused.message
            assert (await server.post(PODS, mirror("m", uid), user=N1)).status == 201

    asyncio.run(story())


def test_a_node_does_not_open_claims_to_itself() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(PODS, pod("p", nodeName="n1"))
            await server.settle()
            claims = {"resourceClaimStatuses": [{"name": "c", "resourceClaimName": "theirs"}]}
            refused = await server.patch(f"{PODS}/p/status", {"status": claims}, user=N1)
            assert refused.status == 403
            assert "cannot update resource claim" in refused.message

    asyncio.run(story())


def test_secrets_for_the_volumes_of_its_pods() -> None:
    def volume(name: str, claim: str) -> dict:
        secret = {"namespace": "default", "name": "stage"}
        controllers = {"namespace": "default", "name": "controllers"}
        driver = {
            "driver": "d.example.com", "volumeHandle": name, "nodeStageSecretRef": secret,
            "controllerPublishSecretRef": controllers,
        }  # fmt: skip
        spec = {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": driver,
            "claimRef": {"namespace": "default", "name": claim},
        }  # fmt: skip
        return {"metadata": {"name": name}, "spec": spec}

    def claim(name: str, bound: str) -> dict:
        resources = {"requests": {"storage": "1Gi"}}
        spec = {"accessModes": ["ReadWriteOnce"], "resources": resources, "volumeName": bound}
        return {"metadata": {"name": name}, "spec": spec}

    def using(name: str, claim: str) -> dict:
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
        return pod(name, nodeName="n1", volumes=volumes)

    async def story() -> None:
        async with Server() as server:
            for name in ("stage", "controllers"):
                await server.post(f"{DEFAULT}/secrets", {"metadata": {"name": name}})
            made = await server.post("/api/v1/persistentvolumes", volume("v", "c"))
            assert made.status == 201, made.body
            for name in ("c", "pretender"):  # what a claim says of itself opens nothing
                made = await server.post(f"{DEFAULT}/persistentvolumeclaims", claim(name, "v"))
                assert made.status == 201, made.body
            await server.post(PODS, using("p", "pretender"))
            await server.settle()
            assert (await server.get(f"{DEFAULT}/secrets/stage", user=N1)).status == 403
            await server.post(PODS, using("q", "c"))
            await server.settle()
            assert (await server.get(f"{DEFAULT}/secrets/stage", user=N1)).status == 200
            assert (await server.get(f"{DEFAULT}/secrets/stage", user=N2)).status == 403
            assert (await server.get(f"{DEFAULT}/secrets/controllers", user=N1)).status == 403
            # how far a claim has grown is for the node to say, and nothing else of it
            path = f"{DEFAULT}/persistentvolumeclaims/c/status"
            grown = {"status": {"capacity": {"storage": "2Gi"}}}
            assert (await server.patch(path, grown, user=N1)).status == 200
            assert (await server.patch(path, grown, user=N2)).status == 403
            refused = await server.patch(path, {"status": {"phase": "Lost"}}, user=N1)
            assert "is not allowed to update fields other than status.quantity" in refused.message

    asyncio.run(story())


def test_slices_attachments_and_volumes_of_its_own() -> None:
    def slice_of(node: str) -> dict:
        pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
        spec = {"driver": "d.example.com", "nodeName": node, "pool": pool, "devices": []}
        return {"metadata": {"name": f"slice-{node}"}, "spec": spec}

    async def story() -> None:
        async with Server() as server:
            slices = "/apis/resource.k8s.io/v1/resourceslices"
            assert (await server.post(slices, slice_of("n1"), user=N2)).status == 403
            assert (await server.post(slices, slice_of("n1"), user=N1)).status == 201
            for method in ("GET", "DELETE"):
                path = f"{slices}/slice-n1"
                assert (await server.call(method, path, user=N2)).status == 403, method
            assert (await server.delete(slices, user=N2)).status == 403
            own = f"{slices}?fieldSelector=spec.nodeName%3Dn1"
            assert (await server.get(own, user=N1)).status == 200
            assert (await server.get(own, user=N2)).status == 403

            attachments = "/apis/storage.k8s.io/v1/volumeattachments"
            spec = {"attacher": "a", "nodeName": "n1", "source": {"persistentVolumeName": "v"}}
            made = await server.post(attachments, {"metadata": {"name": "a"}, "spec": spec})
            assert made.status == 201, made.body
            assert (await server.get(f"{attachments}/a", user=N1)).status == 200
            assert (await server.get(f"{attachments}/a", user=N2)).status == 403

            volume = {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/x"}, "claimRef": {"namespace": "default", "name": "c"},
            }  # fmt: skip
            path = "/api/v1/persistentvolumes"
            made = await server.post(path, {"metadata": {"name": "v"}, "spec": volume})
            assert made.status == 201, made.body
            claim = [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]
            await server.post(PODS, pod("p", nodeName="n1", volumes=claim))
            await server.settle()
            assert (await server.get(f"{path}/v", user=N1)).status == 200
            assert (await server.get(f"{path}/v", user=N2)).status == 403

    asyncio.run(story())
