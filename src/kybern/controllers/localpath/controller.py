"""The provisioner of local volumes.

In:   claims of our class, their volumes, nodes.
Out:  volumes made where the pod will run, grown, and removed with their data.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from kybern.api import codec, errors
from kybern.api.core.v1 import Node, PersistentVolume, PersistentVolumeClaim
from kybern.api.core.volume_matching import SELECTED_NODE, class_of, size_of
from kybern.api.storage.v1 import StorageClass
from kybern.controllers.localpath.plan import (
    NODE,
    grown_claim,
    grown_volume,
    is_from_us,
    is_ours,
    is_pending,
    is_to_clear,
    is_to_delete,
    is_to_grow,
    new_volume,
    node_of,
    pending_claim,
    refusal,
    volume_name,
    without_finalizer,
)
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, Terminal, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

STILL_IN_USE = After(5.0)  # it grows when no pod has it: then the kubelet says so
RESIZE = "Require file system resize of volume on node"
UNLIMITED = "this node cannot limit the size of volume {}: it may take the whole disk"


class Work(NamedTuple):
    """A claim or a volume."""

    is_claim: bool
    key: Key


class LocalPathController:
    """Makes and removes volumes."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._claims = ctx.informers.of(PersistentVolumeClaim)
        self._volumes = ctx.informers.of(PersistentVolume)
        self._classes = ctx.informers.of(StorageClass)
        self._nodes = ctx.informers.of(Node)
        self._loop: Loop[Work] = Loop(
            "local-path",
            self.reconcile,
            after=(self._claims, self._volumes, self._classes, self._nodes),
        )
        self._claims.on_change(self._claim_changed)
        self._volumes.on_change(self._volume_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, work: Work) -> Outcome:
        """Look at one claim or volume."""
        if work.is_claim:
            claim = self._claims.get(*work.key)
            if claim is None or claim.metadata.deletionTimestamp is not None:
                return DONE
            if claim.spec.volumeName:
                return await self._grow(claim)
            await self._provision(claim)
        else:
            volume = self._volumes.get("", work.key.name)
            if volume is not None and is_to_delete(volume):
                await self._client.delete(PersistentVolume, work.key.name)
            elif volume is not None and is_to_clear(volume):
                await self._clear(volume)
        return DONE

    async def _provision(self, claim: PersistentVolumeClaim) -> None:
        name = volume_name(claim)
        found = self._classes.get("", class_of(claim))
        where = node_of(claim, self._nodes.list())
        if found is None or not where or self._volumes.get("", name) is not None:
            return
        if found.volumeBindingMode == "WaitForFirstConsumer" and not _has_node(claim):
            return
        if problem := refusal(claim):
            self._failed(claim, found, problem)
            raise Terminal(problem)
        node = self._nodes.get("", where)
        if node is None:
            await self._elsewhere(claim)
            return
        text = f'External provisioner is provisioning volume for claim "{key_of(claim)}"'
        self._tell(claim, "Provisioning", text)
        try:
            made = await self._ask_node("PUT", where, name, {"bytes": size_of(claim).value})
        except errors.ApiError as error:
            self._failed(claim, found, error.message)
            raise
        if not made["enforced"]:
            self._recorder.event(claim, "Warning", "SizeNotEnforced", UNLIMITED.format(name))
        await self._client.create(new_volume(claim, found, node, made["path"]))
        self._tell(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {name}")

    async def _elsewhere(self, claim: PersistentVolumeClaim) -> None:
        """Let the scheduler choose again: the node it chose is gone."""
        mine = codec.clone(claim)
        annotations = mine.metadata.annotations or {}
        annotations.pop(SELECTED_NODE, None)
        mine.metadata.annotations = annotations
        await self._client.update(mine)

    async def _grow(self, claim: PersistentVolumeClaim) -> Outcome:
        volume = self._volumes.get("", claim.spec.volumeName or "")
        if volume is None or not is_from_us(volume) or not is_to_grow(claim, volume):
            return DONE
        wanted, name = size_of(claim), volume.metadata.name or ""
        try:
            await self._ask_node("PUT", _place(volume), name, {"bytes": wanted.value})
        except errors.Conflict:
            if not is_pending(claim):
                await self._client.update_status(pending_claim(claim, self._clock.now()))
                self._tell(claim, "FileSystemResizeRequired", RESIZE)
            return STILL_IN_USE
        if (volume.spec.capacity or {}).get("storage") != str(wanted):
            await self._client.update(grown_volume(volume, str(wanted)))
        await self._client.update_status(grown_claim(claim, str(wanted)))
        text = f'MountVolume.NodeExpandVolume succeeded for volume "{name}"'
        self._tell(claim, "FileSystemResizeSuccessful", text)
        return DONE

    async def _clear(self, volume: PersistentVolume) -> None:
        """Remove the data of a volume, where it is to go with it, and let the volume go."""
        node = _place(volume)
        gone = self._nodes.get("", node) is None  # and what was on its disk with it
        if volume.spec.persistentVolumeReclaimPolicy == "Delete" and not gone:
            try:
                await self._ask_node("DELETE", node, volume.metadata.name or "", None)
            except errors.ApiError as error:
                self._recorder.event(volume, "Warning", "VolumeFailedDelete", error.message)
                raise
        await self._client.update(without_finalizer(volume))

    async def _ask_node(self, method: str, node: str, name: str, body: Any) -> Any:
        path = f"/api/v1/nodes/{quote(node)}/proxy/localVolumes/{quote(name)}"
        data = None if body is None else codec.encode(body)
        return codec.decode_tree(await self._client.raw(method, path, data))

    def _tell(self, claim: PersistentVolumeClaim, reason: str, text: str) -> None:
        self._recorder.event(claim, "Normal", reason, text)

    def _failed(self, claim: PersistentVolumeClaim, found: StorageClass, why: str) -> None:
        name = found.metadata.name
        text = f'failed to provision volume with StorageClass "{name}": {why}'
        self._recorder.event(claim, "Warning", "ProvisioningFailed", text)

    def _claim_changed(self, claim: PersistentVolumeClaim) -> None:
        if is_ours(claim):
            self._loop.add(Work(True, key_of(claim)))

    def _volume_changed(self, volume: PersistentVolume) -> None:
        if is_from_us(volume):
            self._loop.add(Work(False, key_of(volume)))


def _has_node(claim: PersistentVolumeClaim) -> bool:
    return SELECTED_NODE in (claim.metadata.annotations or {})


def _place(volume: PersistentVolume) -> str:
    return (volume.metadata.annotations or {}).get(NODE, "")
