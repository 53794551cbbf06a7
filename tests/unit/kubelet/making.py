"""Short ways to make pods and what the runtime has of them."""

from __future__ import annotations

from typing import Any

from kybern.api import codec
from kybern.api.core.v1 import Pod
from kybern.kubelet.pods.view import ContainerView, PodView, SandboxView, State


def pod(
    containers: list[dict[str, Any]] | None = None,
    *,
    name: str = "web",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    status: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    **spec: Any,
) -> Pod:
    """Return a pod; everything but names is as given."""
    meta = {
        "name": name,
        "namespace": "shop",
        "uid": "u-1",
        "labels": labels,
        "annotations": annotations,
        **(metadata or {}),
    }
    tree = {
        "metadata": {k: v for k, v in meta.items() if v is not None},
        "spec": {"containers": containers or [{"name": "main", "image": "web:1"}], **spec},
        "status": status or {},
    }
    return codec.from_tree(tree, Pod)


def ran(name: str = "main", code: int = 0, **more: Any) -> ContainerView:
    """Return a container which has ended."""
    fields = {"sandbox_id": "sb", "finished_at": 90.0, "started_at": 80.0, "created_at": 80.0}
    fields |= more
    id_ = fields.pop("id", f"{name}-{fields.get('restarts', 0)}")
    return ContainerView(id_, name, state=State.EXITED, exit_code=code, **fields)


def runs(name: str = "main", **more: Any) -> ContainerView:
    """Return a container which runs."""
    fields = {"sandbox_id": "sb", "started_at": 95.0, "created_at": 95.0} | more
    id_ = fields.pop("id", f"{name}-{fields.get('restarts', 0)}")
    return ContainerView(id_, name, state=State.RUNNING, **fields)


def view(*containers: ContainerView, sandbox: SandboxView | bool | None = True) -> PodView:
    """Return what the runtime has; by default with a sandbox that works."""
    found = PodView("u-1", "web", "shop")
    if sandbox is True:
        sandbox = SandboxView("sb", ips=("10.0.0.5",))
    if sandbox:
        found.put_sandbox(sandbox)
    for container in containers:
        found.put(container)
    return found
