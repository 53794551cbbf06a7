"""Deployments and pods to test with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conformance.wire import Resource, Tree


def pod(name: str, image: str = "pause", labels: dict[str, str] | None = None, **spec: Any) -> Tree:
    containers = spec.pop("containers", [{"name": "c", "image": image}])
    return {
        "metadata": {"name": name, "labels": labels or {"name": name}},
        "spec": {"containers": containers, **spec},
    }


def template(labels: dict[str, str], image: str = "pause") -> Tree:
    spec = {"containers": [{"name": "c", "image": image}], "terminationGracePeriodSeconds": 0}
    return {"metadata": {"labels": labels}, "spec": spec}


def deployment(name: str, replicas: int = 1, image: str = "pause", **spec: Any) -> Tree:
    """Return a Deployment, or a ReplicaSet: what they have in common is enough for both."""
    labels = {"name": name}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": template(labels, image), **spec,
        },
    }  # fmt: skip


def owners(*objects: Tree) -> list[Tree]:
    """Return references to owners whose deletion they block."""
    return [
        {
            "apiVersion": o["apiVersion"], "kind": o["kind"], "name": o["metadata"]["name"],
            "uid": o["metadata"]["uid"], "blockOwnerDeletion": True,
        }
        for o in objects
    ]  # fmt: skip


def conditions(tree: Tree) -> dict[str, str]:
    """Return the status of each condition."""
    return {c["type"]: c["status"] for c in tree["status"].get("conditions", ())}


async def is_running(pods: Resource, name: str) -> bool:
    """Whether a pod's phase is Running."""
    running: bool = (await pods.get(name))["status"]["phase"] == "Running"
    return running
