"""Every kind of the table is served with every verb it announces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.apiserver.harness import MERGE, Server

from kybern.api.scheme import SCHEME, Kind

TEMPLATE = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Always"},
}
ONCE = {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
SELECTOR = {"matchLabels": {"a": "b"}}
HOOK = {
    "webhooks": [
        {
            "name": "a.b.c",
            "clientConfig": {"url": "https://example.com/x"},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
    ]
}
POLICY = {
    "matchConstraints": {
        "resourceRules": [
            {
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["pods"],
            }
        ]
    },
    "failurePolicy": "Fail",
}  # fmt: skip

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("", "Endpoints"): {"subsets": [{"addresses": [{"ip": "1.2.3.4"}], "ports": [{"port": 80}]}]},
    ("", "Event"): {
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "r",
        "message": "m", "type": "Normal",
    },
    ("events.k8s.io", "Event"): {
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "r",
        "note": "m", "type": "Normal", "eventTime": "2026-01-02T03:04:05.000006Z",
        "reportingController": "a.b/c", "reportingInstance": "i", "action": "act",
    },
    ("", "LimitRange"): {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}},
    ("", "PersistentVolumeClaim"): {
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }
    },
    ("", "PersistentVolume"): {
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/x"},
        }
    },
    ("", "Pod"): {"spec": {"containers": [{"name": "c", "image": "i"}]}},
    ("", "PodTemplate"): {"template": TEMPLATE},
    ("", "ReplicationController"): {"spec": {"selector": {"a": "b"}, "template": TEMPLATE}},
    ("", "ResourceQuota"): {"spec": {"hard": {"pods": "1"}}},
    ("", "Service"): {"spec": {"ports": [{"port": 80}]}},
    ("apiregistration.k8s.io", "APIService"): {
        "name": "v1.x.io",
        "spec": {
            "group": "x.io", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
        },
    },
    ("apps", "ControllerRevision"): {"revision": 1, "data": {"a": 1}},
    ("apps", "DaemonSet"): {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    ("apps", "Deployment"): {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    ("apps", "ReplicaSet"): {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
    ("apps", "StatefulSet"): {
        "spec": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "s"}
    },
    ("autoscaling", "HorizontalPodAutoscaler"): {
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
            "maxReplicas": 3,
        }
    },
    ("batch", "CronJob"): {
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": ONCE}}}
    },
    ("batch", "Job"): {"spec": {"template": {"spec": ONCE["spec"]}}},
    ("certificates.k8s.io", "CertificateSigningRequest"): {
        "spec": {"request": "", "signerName": "a.b/c", "usages": ["client auth"]}
    },
    ("networking.k8s.io", "IPAddress"): {
        "name": "10.96.0.9",
        "spec": {"parentRef": {"resource": "services", "name": "s", "namespace": "default"}},
    },
    ("networking.k8s.io", "IngressClass"): {"spec": {"controller": "a.b/c"}},
    ("networking.k8s.io", "Ingress"): {
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}
    },
    ("networking.k8s.io", "NetworkPolicy"): {"spec": {"podSelector": {}}},
    ("networking.k8s.io", "ServiceCIDR"): {"spec": {"cidrs": ["10.0.0.0/16"]}},
    ("policy", "PodDisruptionBudget"): {"spec": {"selector": SELECTOR, "minAvailable": 1}},
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    },
    ("rbac.authorization.k8s.io", "RoleBinding"): {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    },
    ("storage.k8s.io", "CSINode"): {"spec": {"drivers": []}},
    ("storage.k8s.io", "CSIStorageCapacity"): {"storageClassName": "s"},
    ("storage.k8s.io", "StorageClass"): {"provisioner": "a.b/c"},
    ("storage.k8s.io", "VolumeAttachment"): {
        "spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "v"}}
    },
    ("snapshot.storage.k8s.io", "VolumeSnapshot"): {
        "spec": {"source": {"persistentVolumeClaimName": "c"}}
    },
    ("snapshot.storage.k8s.io", "VolumeSnapshotClass"): {"driver": "a.b", "deletionPolicy": "Delete"},
    ("snapshot.storage.k8s.io", "VolumeSnapshotContent"): {
        "spec": {
            "driver": "a.b", "deletionPolicy": "Retain", "source": {"snapshotHandle": "h"},
            "volumeSnapshotRef": {"name": "s", "namespace": "default"},
        }
    },
    ("storage.k8s.io", "VolumeAttributesClass"): {"driverName": "a.b", "parameters": {"a": "b"}},
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): {
        "spec": {
            **POLICY, "reinvocationPolicy": "Never",
            "mutations": [
                {
                    "patchType": "JSONPatch",
                    "jsonPatch": {"expression": "false ? [JSONPatch{op: 'copy'}] : []"},
                },
            ],
        }
    },
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): {
        "spec": {"policyName": "p"}
    },
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): HOOK,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): {
        "spec": {**POLICY, "validations": [{"expression": "true"}]}
    },
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): {
        "spec": {"policyName": "p", "validationActions": ["Deny"]}
    },
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): HOOK,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): {
        "name": "things.x.io",
        "spec": {
            "group": "x.io", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "versions": [
                {
                    "name": "v1", "served": True, "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }
            ],
        },
    },
    ("scheduling.k8s.io", "PriorityClass"): {"value": 5},
    ("coordination.k8s.io", "Lease"): {"spec": {}},
    ("node.k8s.io", "RuntimeClass"): {"handler": "h"},
    ("discovery.k8s.io", "EndpointSlice"): {"addressType": "IPv4", "endpoints": []},
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): {
        "spec": {"priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 50}
    },
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): {
        "spec": {
            "type": "Limited",
            "limited": {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}},
        }
    },
    ("resource.k8s.io", "DeviceClass"): {"spec": {}},
    ("resource.k8s.io", "ResourceClaim"): {"spec": {}},
    ("resource.k8s.io", "ResourceClaimTemplate"): {"spec": {"spec": {}}},
    ("resource.k8s.io", "ResourceSlice"): {
        "spec": {
            "driver": "a.b", "nodeName": "n",
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
        }
    },
}  # fmt: skip

COMES_TO_LIFE = {"CustomResourceDefinition"}
"""Kinds whose objects the server itself goes on to change."""
STORED = [kind for kind in SCHEME.kinds if "list" in kind.verbs and "create" in kind.verbs]


def body_of(kind: Kind) -> tuple[str, dict[str, Any]]:
    body = dict(BODIES.get((kind.group, kind.kind), {}))
    name = body.pop("name", "x")
    if kind.kind == "CertificateSigningRequest":
        body["spec"] = {**body["spec"], "request": _certificate_request()}
    return name, {
        "apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, **body,
    }  # fmt: skip


def _certificate_request() -> str:
    import base64

    from kybern.lib import pki

    key = pki.make_key()
    return base64.b64encode(pki.make_request(pki.Subject("someone"), key)).decode()


@pytest.mark.parametrize("kind", STORED, ids=lambda k: f"{k.group_resource}/{k.version}")
def test_lives_through_every_verb(kind: Kind) -> None:
    async def story() -> None:
        async with Server() as server:
            name, body = body_of(kind)
            namespace = "default" if kind.namespaced else ""
            collection, path = kind.path(namespace), kind.path(namespace, name)
            created = await server.post(collection, body)
            assert created.status == 201, created.body
            assert created.tree["kind"] == kind.kind
            assert created.tree["metadata"]["uid"]

            if kind.kind in COMES_TO_LIFE:
                await server.settle()
                created = await server.get(path)
            got = await server.get(path)
            assert got.body == created.body
            listed = await server.get(collection)
            assert listed.tree["kind"] == kind.list_kind
            names = [item["metadata"]["name"] for item in listed.tree["items"]]
            assert name in names

            async with server.watch(f"{collection}?fieldSelector=metadata.name%3D{name}") as watch:
                assert (await watch.next())["object"] == created.tree
                labelled = await server.patch(path, {"metadata": {"labels": {"l": "1"}}}, MERGE)
                assert labelled.status == 200, labelled.body
                event = await watch.next()
                assert (event["type"], event["object"]) == ("MODIFIED", labelled.tree)

                tree = labelled.tree
                tree["metadata"]["annotations"] = {"a": "b"}
                updated = await server.put(path, tree)
                assert updated.status == 200, updated.body
                assert (await watch.next())["object"] == updated.tree

            if kind.has_status:
                status = await server.get(f"{path}/status")
                assert status.body == updated.body
                annotated = {"metadata": {"annotations": {"a": "c"}}}
                assert (await server.patch(f"{path}/status", annotated, MERGE)).status == 200

            await _delete(server, kind, collection, path)

    asyncio.run(story())


async def _delete(server: Server, kind: Kind, collection: str, path: str) -> None:
    finalized = {"metadata": {"finalizers": None}}
    await server.patch(path, finalized, MERGE)
    background = "propagationPolicy=Background"
    deleted = await server.delete(f"{path}?{background}")
    assert deleted.status == 200, deleted.body
    if kind.kind == "Namespace":
        assert deleted.tree["status"]["phase"] == "Terminating"
        return
    assert (await server.get(path)).status == 404
    if "deletecollection" in kind.verbs:
        _, body = body_of(kind)
        assert (await server.post(collection, body)).status == 201
        await server.patch(path, finalized, MERGE)
        gone = await server.delete(f"{collection}?labelSelector=none%3Dsuch&{background}")
        assert gone.tree["items"] == []
        name = body["metadata"]["name"]
        gone = await server.delete(
            f"{collection}?fieldSelector=metadata.name%3D{name}&{background}"
        )
        assert [item["metadata"]["name"] for item in gone.tree["items"]] == [name]
        assert (await server.get(path)).status == 404
