"""Volumes for claims that wait for their first consumer.

In:   a pod that has been given a node, with such claims.
Out:  each claim bound to a volume the node reaches, or an error.
By:   binder, before it binds the pod. Source: upstream's `volumebinding/binder.go`.

A volume that is there is reserved by naming the claim in it. Where one can be made, the claim gets
the name of the node, and its provisioner does the rest. The volume controller binds both.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kybern.api import codec
from kybern.api.core.v1 import ObjectReference, PersistentVolumeClaim
from kybern.api.core.volume_matching import (
    BY_CONTROLLER,
    SELECTED_NODE,
    capacity_of,
    refers_to,
    suitable,
)
from kybern.scheduler import volumes

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import PersistentVolume, Pod
    from kybern.client.rest import Client
    from kybern.scheduler.volumes import Lookups

PATIENCE: Final = 600.0  # seconds in which a volume has to be made; upstream's default
NONE_LEFT: Final = "node(s) didn't find available persistent volumes to bind"


class Unbound(Exception):
    """A claim got no volume; the message says why."""


class ClaimBinder:
    """Gets volumes for claims."""

    def __init__(
        self,
        client: Client,
        lookups: Callable[[], Lookups],
        reaches: Callable[[PersistentVolume, str], bool],
        waiters: set[asyncio.Event],
    ) -> None:
        """Take how to look things up, whether a node reaches a volume, who is told of changes."""
        self._client = client
        self._lookups = lookups
        self._reaches = reaches
        self._waiters = waiters

    def needed(self, pod: Pod) -> bool:
        """Say whether a pod has claims that wait for its node."""
        return bool(pod.spec.volumes) and bool(volumes.waiting(pod, self._lookups()))

    async def bind(self, pod: Pod, node: str) -> None:
        """Get the volumes for a pod on its node.

        Raises:
            Unbound: there are none, or they were not made in time.
            ApiError, Unreachable: a claim or volume could not be written.
        """
        taken: set[str] = set()
        for claim in volumes.waiting(pod, self._lookups()):
            await self._provide(claim, node, taken)
        announced: set[str] = set()
        changed = asyncio.Event()
        self._waiters.add(changed)
        try:
            async with asyncio.timeout(PATIENCE):
                while self._missing(pod, node, announced):
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            raise Unbound("timed out waiting for its volumes to be bound") from None
        finally:
            self._waiters.discard(changed)

    async def _provide(self, claim: PersistentVolumeClaim, node: str, taken: set[str]) -> None:
        lookups = self._lookups()
        free = [
            volume
            for volume in suitable(claim, lookups.volumes())
            if volume.metadata.name not in taken and self._reaches(volume, node)
        ]
        if free:
            volume = min(free, key=capacity_of)
            taken.add(volume.metadata.name or "")
            if not refers_to(volume, claim):
                await self._client.update(_reserved(volume, claim))
        elif volumes.provisioned_where(claim, lookups):
            if (claim.metadata.annotations or {}).get(SELECTED_NODE) != node:
                mine = codec.clone(claim)
                annotations = mine.metadata.annotations or {}
                mine.metadata.annotations = {**annotations, SELECTED_NODE: node}
                await self._client.update(mine)
        else:
            raise Unbound(NONE_LEFT)

    def _missing(self, pod: Pod, node: str, announced: set[str]) -> bool:
        """Say whether a claim is not bound yet; `announced` are those seen with their node.

        Raises:
            Unbound: it will not be on this node.
        """
        lookups, missing = self._lookups(), False
        for each in volumes.claimed(pod):
            claim = lookups.claim(pod.metadata.namespace or "", each.name)
            if claim is None:
                raise Unbound(f'persistentvolumeclaim "{each.name}" not found')
            if volumes.is_bound(claim):
                volume = lookups.volume(claim.spec.volumeName or "")
                if volume is not None and not self._reaches(volume, node):
                    raise Unbound(f'node "{node}" does not reach volume "{volume.metadata.name}"')
                continue
            selected = (claim.metadata.annotations or {}).get(SELECTED_NODE)
            if selected == node:
                announced.add(each.name)
            elif selected or each.name in announced:  # its provisioner has given up
                raise Unbound(f'provisioning of "{each.name}" failed on node "{node}"')
            missing = True
        return missing


def _reserved(volume: PersistentVolume, claim: PersistentVolumeClaim) -> PersistentVolume:
    mine = codec.clone(volume)
    meta = claim.metadata
    mine.spec.claimRef = ObjectReference(
        kind="PersistentVolumeClaim", apiVersion="v1", namespace=meta.namespace, name=meta.name,
        uid=meta.uid, resourceVersion=meta.resourceVersion,
    )  # fmt: skip
    mine.metadata.annotations = {**(mine.metadata.annotations or {}), BY_CONTROLLER: "yes"}
    return mine
