"""What the runtime has of every pod, or of one.

In:   the runtime's lists.
Out:  PodViews by uid; containers in them have what a list tells, not yet all of their status.
By:   the agent when it starts, workers when events may have been lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.kubelet.pods.view import NANO, STATES, ContainerView, PodView, State, pod_identity
from kybern.kubelet.pods.view import sandbox_view as view_of_sandbox
from kybern.kubelet.runtime import labels

if TYPE_CHECKING:
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.kubelet.runtime.messages import container as c


async def survey(runtime: Runtime, uid: str = "") -> dict[str, PodView]:
    """Return a view of each pod the runtime knows; only of one with `uid`."""
    chosen = {labels.POD_UID: uid} if uid else {}
    views: dict[str, PodView] = {}
    for sandbox in await runtime.sandboxes(chosen):
        identity = pod_identity(sandbox.labels)
        if identity is not None:
            _view(views, identity).put_sandbox(view_of_sandbox(sandbox))
    for container in await runtime.containers(chosen):
        identity = pod_identity(container.labels)
        if identity is not None:
            _view(views, identity).put(_listed(container))
    return views


def _view(views: dict[str, PodView], identity: tuple[str, str, str]) -> PodView:
    uid, namespace, name = identity
    return views.setdefault(uid, PodView(uid, name, namespace))


def _listed(container: c.Container) -> ContainerView:
    notes = container.annotations
    count = notes.get(labels.RESTART_COUNT, "")
    attempt = container.metadata.attempt if container.metadata else 0
    return ContainerView(
        id=container.id,
        name=container.labels.get(labels.CONTAINER_NAME, ""),
        sandbox_id=container.pod_sandbox_id,
        restarts=int(count) if count.isdigit() else attempt,
        state=STATES.get(container.state, State.UNKNOWN),  # type: ignore[call-overload]
        created_at=container.created_at / NANO,
        image=container.image.image if container.image else "",
        image_id=container.image_ref,
        hash=notes.get(labels.HASH, ""),
    )
