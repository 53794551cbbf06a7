"""Bringing a driver's volume to a pod: attached, staged, published, given to the pod's group.

In:   a pod and its CsiVolume.
Out:  the place where containers find it; or MountFailed with upstream's words.
By:   volumes.py.

Before a driver is asked for anything, a note of it is on disk. A failure that is not final leaves
everything as it may be: the next try, or the pod's end, begins from the note.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from kybern.api.errors import ApiError, NotFound
from kybern.api.storage.v1 import CSIDriver, VolumeAttachment
from kybern.client.transport import Unreachable
from kybern.csi import messages as m
from kybern.csi.client import CsiError
from kybern.csi.messages import NodeRpc
from kybern.kubelet.csi import credentials, notes, ownership
from kybern.kubelet.csi.notes import EPHEMERAL, PERSISTENT, Note
from kybern.kubelet.csi.places import attachment_name
from kybern.kubelet.csi.source import capability
from kybern.kubelet.volumes import mounts
from kybern.kubelet.volumes.content import MountFailed, VolumeProblem
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.client.rest import Client
    from kybern.kubelet.csi.attachments import Attachments
    from kybern.kubelet.csi.drivers import Driver, Drivers
    from kybern.kubelet.csi.places import Places
    from kybern.kubelet.csi.source import CsiVolume
    from kybern.kubelet.tokens import Tokens
    from kybern.lib.clock import Clock

PATIENCE = 123.0  # upstream's: how long a pod waits before it says what it waits for
LOOK_AGAIN = Backoff(initial=0.5, factor=1.05, cap=2.0)
DEVICE = "MountVolume.MountDevice"
SET_UP = "MountVolume.SetUp"
MAP_DEVICE = "MapVolume.SetUpDevice"


class MapFailed(MountFailed):
    """A block volume could not be made."""

    reason = "FailedMapVolume"


class NotAttached(MountFailed):
    """A volume was not attached in time."""

    def __init__(self, volume: str) -> None:
        Exception.__init__(
            self,
            f"Unable to attach or mount volumes: unmounted volumes=[{volume}], "
            f"unattached volumes=[{volume}], failed to process volumes=[]: "
            "context deadline exceeded",
        )


class Mounting:
    """Mounts volumes for pods; whoever calls sees to it that only one does so per volume."""

    def __init__(
        self,
        node: str,
        places: Places,
        client: Client,
        drivers: Drivers,
        attachments: Attachments,
        tokens: Tokens,
        clock: Clock,
    ) -> None:
        self._node = node
        self._places = places
        self._client = client
        self._drivers = drivers
        self._attachments = attachments
        self._tokens = tokens
        self._clock = clock
        self._staged: set[str] = set()

    async def object_of(self, name: str) -> CSIDriver | None:
        """Return what the cluster says about a driver.

        Raises:
            VolumeProblem: the API server cannot be asked.
        """
        try:
            return await self._client.get(CSIDriver, name)
        except NotFound:
            return None
        except (ApiError, Unreachable) as error:
            raise VolumeProblem(f"failed to get CSIDriver {name}: {error}") from None

    async def attached(self, volume: CsiVolume) -> dict[str, str]:
        """Wait until a volume is attached, and return what its driver said then.

        Raises:
            NotAttached: that took too long.
        """
        self._attachments.use(volume.unique)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._attachments.wait_attached(volume.unique)
                return await self._publish_context(volume)
        except TimeoutError:
            raise NotAttached(volume.volume) from None

    async def _publish_context(self, volume: CsiVolume) -> dict[str, str]:
        name = attachment_name(volume.handle, volume.driver, self._node)
        attempt = 0
        while True:
            # The Node may have said so before the attachment did, or an old one is going.
            with contextlib.suppress(ApiError, Unreachable):
                found = await self._client.get(VolumeAttachment, name)
                if found.status.attached and not found.metadata.deletionTimestamp:
                    return found.status.attachmentMetadata or {}
            await self._clock.sleep(LOOK_AGAIN.delay(attempt))
            attempt += 1

    async def stage(
        self, pod: Pod, volume: CsiVolume, driver: Driver, context: dict[str, str], note: Note
    ) -> None:
        """Have a volume staged, once on this node; doing it again changes nothing.

        Raises:
            MountFailed: the driver would not.
        """
        if volume.unique in self._staged or not await driver.stages():
            return
        place = self._places.staging(volume.driver, volume.handle, volume.name, block=volume.block)
        begun_before = notes.exists(self._places, note)
        notes.write(self._places, note)
        place.mkdir(parents=True, exist_ok=True, mode=notes.MODE)
        rpcs = await driver.rpcs()
        request = m.NodeStageVolumeRequest(
            volume_id=volume.handle,
            publish_context=context,
            staging_target_path=str(place),
            volume_capability=capability(volume, rpcs, _delegated_group(pod, rpcs)),
            volume_context=dict(volume.attributes),
            secrets=await credentials.secrets(
                self._client, volume.stage_secret, "NodeStageSecretRef"
            ),
        )
        try:
            await driver.csi.node_stage_volume(request)
        except CsiError as error:
            if error.final and not begun_before:
                self._forget(note, str(place))
            raise
        self._staged.add(volume.unique)

    def unstaged(self, unique: str) -> None:
        """Take note that a volume is not staged any more."""
        self._staged.discard(unique)

    async def publish(
        self,
        pod: Pod,
        volume: CsiVolume,
        driver: Driver,
        context: dict[str, str],
        about: CSIDriver | None,
        note: Note,
    ) -> str:
        """Have a volume published for a pod, and return where.

        Raises:
            CsiError, VolumeProblem, OSError: it could not be.
        """
        uid = pod.metadata.uid or ""
        target = self._places.target(uid, volume.name, block=volume.block)
        staging = ""
        if not volume.ephemeral and await driver.stages():
            staging = str(
                self._places.staging(volume.driver, volume.handle, volume.name, block=volume.block)
            )
        rpcs = await driver.rpcs()
        group = _delegated_group(pod, rpcs)
        secrets = await credentials.secrets(
            self._client, volume.publish_secret, "NodePublishSecretRef"
        )
        told = credentials.pod_attributes(pod, about, ephemeral=volume.ephemeral)
        tokens = await credentials.tokens(pod, about, self._tokens)
        (secrets if about and about.spec.serviceAccountTokenInSecrets else told).update(tokens)
        begun_before = notes.exists(self._places, note)
        notes.write(self._places, note)
        target.parent.mkdir(parents=True, exist_ok=True, mode=notes.MODE)
        request = m.NodePublishVolumeRequest(
            volume_id=volume.handle,
            publish_context=context,
            staging_target_path=staging,
            target_path=str(target),
            volume_capability=capability(volume, rpcs, group),
            readonly=volume.read_only,
            secrets=secrets,
            volume_context={**volume.attributes, **told},
        )
        try:
            await driver.csi.node_publish_volume(request)
        except CsiError as error:
            # What was published before, and only could not be published again, stays.
            if error.final and not begun_before:
                self._forget(note, str(target))
            raise
        policy = (about.spec.fsGroupPolicy if about is not None else "") or ""
        if group is None and ownership.applies(volume, policy, fs_group(pod)):
            when_wrong = _change_policy(pod) == ownership.ON_MISMATCH
            await asyncio.to_thread(
                ownership.give, str(target), fs_group(pod) or 0, when_wrong=when_wrong
            )
        return str(target)

    def _forget(self, note: Note, place: str) -> None:
        """Remove what was made for a call that came to nothing."""
        with contextlib.suppress(OSError):  # the driver has left something in it
            remove_unless_mounted(place)
            notes.drop(self._places, note)


def check_life(volume: CsiVolume, about: CSIDriver | None) -> None:
    """Refuse a volume whose driver is not made for its kind of life.

    Raises:
        VolumeProblem: with upstream's words.
    """
    life = EPHEMERAL if volume.ephemeral else PERSISTENT
    if about is None:
        if volume.ephemeral:
            raise VolumeProblem(
                f'volume mode "{life}" not supported by driver {volume.driver} '
                "(no CSIDriver object)"
            )
        return
    supported = about.spec.volumeLifecycleModes or [PERSISTENT]
    if life not in supported:
        listed = " ".join(f'"{mode}"' for mode in supported)
        raise VolumeProblem(
            f'volume mode "{life}" not supported by driver {volume.driver} '
            f"(only supports [{listed}])"
        )


def fs_group(pod: Pod) -> int | None:
    """Return the group to which the files of a pod's volumes belong."""
    context = pod.spec.securityContext
    return context.fsGroup if context is not None else None


def remove_unless_mounted(path: str) -> None:
    """Remove what a volume was mounted on, unless something still is."""
    if not mounts.is_mounted(path):
        remove(path)


def remove(path: str) -> None:
    """Remove what a volume was mounted on; nothing happens when it is gone."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.isdir(path):
            os.rmdir(path)
        else:
            os.unlink(path)


def _delegated_group(pod: Pod, rpcs: frozenset[int]) -> int | None:
    """Return the group to which the driver itself gives the files."""
    return fs_group(pod) if NodeRpc.VOLUME_MOUNT_GROUP in rpcs else None


def _change_policy(pod: Pod) -> str:
    context = pod.spec.securityContext
    return (context.fsGroupChangePolicy if context is not None else None) or ""
