"""How many pods the controllers of some pods want.

In:   pods.
Out:  the sum of the replicas their controllers ask for.
By:   disruption.controller.

Built-in controllers are followed; of any other kind the `scale` subresource is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.apps.v1 import Deployment, ReplicaSet, StatefulSet
from kybern.api.autoscaling.v1 import Scale
from kybern.api.core.v1 import ReplicationController
from kybern.client.discovery import discover
from kybern.controllers.runtime.ownership import controller_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Pod
    from kybern.api.meta.v1 import OwnerReference
    from kybern.client.informer import Informer
    from kybern.controllers.runtime.host import Context

FOLLOWED: dict[tuple[str, str], type[Any]] = {
    ("apps", "Deployment"): Deployment,
    ("apps", "ReplicaSet"): ReplicaSet,
    ("apps", "StatefulSet"): StatefulSet,
    ("", "ReplicationController"): ReplicationController,
}


class Unknown(Exception):
    """It cannot be found out; the message says of which pod."""


class Scales:
    """Looks up what controllers want."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._followed: dict[tuple[str, str], Informer[Any]] = {
            kind: ctx.informers.of(struct) for kind, struct in FOLLOWED.items()
        }

    @property
    def informers(self) -> tuple[Informer[Any], ...]:
        """The informers that have to be complete first."""
        return tuple(self._followed.values())

    async def total(self, pods: Iterable[Pod]) -> tuple[int, list[Pod]]:
        """Return how many pods the controllers want in all, and the pods that have none.

        Raises:
            Unknown: a controller is gone or cannot be asked.
        """
        asked: set[str] = set()
        wanted: dict[str, int] = {}
        alone = []
        for pod in pods:
            owner = controller_of(pod)
            if owner is None:
                alone.append(pod)
            elif owner.uid not in asked:
                asked.add(owner.uid)
                top, replicas = await self._of(pod, owner)
                wanted[top] = replicas
        return sum(wanted.values()), alone

    async def _of(self, pod: Pod, owner: OwnerReference) -> tuple[str, int]:
        """Return the uid of the topmost controller and how many replicas it wants."""
        namespace = pod.metadata.namespace or ""
        found = self._get(owner, namespace)
        if found is not None:
            above = controller_of(found)
            if owner.kind == "ReplicaSet" and above is not None and above.kind == "Deployment":
                deployment = self._get(above, namespace)
                if deployment is not None:
                    return above.uid, _replicas(deployment)
            return owner.uid, _replicas(found)
        if _group_kind(owner) in self._followed:
            raise Unknown(f'found no controllers for pod "{pod.metadata.name}"')
        return owner.uid, await self._ask(pod, owner, namespace)

    def _get(self, reference: OwnerReference, namespace: str) -> Any | None:
        informer = self._followed.get(_group_kind(reference))
        found = None if informer is None else informer.get(namespace, reference.name)
        return found if found is not None and found.metadata.uid == reference.uid else None

    async def _ask(self, pod: Pod, owner: OwnerReference, namespace: str) -> int:
        group, kind = _group_kind(owner)
        for served in (await discover(self._client)).kinds:
            if (served.group, served.kind) == (group, kind) and "scale" in served.subresources:
                break
        else:
            name = f'{owner.kind}.{group} "{owner.name}"'
            raise Unknown(f"{name} does not implement the scale subresource")
        try:
            data = await self._client.raw("GET", served.path(namespace, owner.name, "scale"))
        except errors.NotFound:
            raise Unknown(f'found no controllers for pod "{pod.metadata.name}"') from None
        return codec.decode(data, Scale).spec.replicas or 0


def _group_kind(reference: OwnerReference) -> tuple[str, str]:
    return reference.apiVersion.rpartition("/")[0], reference.kind


def _replicas(obj: Any) -> int:
    replicas: int | None = obj.spec.replicas
    return 1 if replicas is None else replicas
