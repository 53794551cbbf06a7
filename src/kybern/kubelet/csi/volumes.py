"""The volumes of storage drivers on this node, from first use to last.

In:   pods and their CsiVolumes.
Out:  places for containers; and in the end nothing left on the node.
By:   kubelet/volumes/act.py.

Of each volume it is known which pods have it: the first one has it staged, the last one unstaged.
After a restart that is read from the notes on disk.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from kybern.csi import messages as m
from kybern.csi.client import CsiError
from kybern.csi.messages import NodeRpc
from kybern.kubelet.csi import mounting, notes
from kybern.kubelet.csi.notes import Note
from kybern.kubelet.volumes.content import MountFailed, VolumeProblem
from kybern.lib import logs
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.api.storage.v1 import CSIDriver
    from kybern.kubelet.csi.attachments import Attachments
    from kybern.kubelet.csi.drivers import Drivers
    from kybern.kubelet.csi.growing import Growing
    from kybern.kubelet.csi.mounting import Mounting
    from kybern.kubelet.csi.places import Places
    from kybern.kubelet.csi.source import CsiVolume
    from kybern.lib.clock import Clock

log = logs.get("kubelet.csi")
REPUBLISH = 60.0  # seconds, as often as upstream looks at a pod
FRESH = 60.0  # seconds for which what a driver said of a volume's fill is good
AGAIN = Backoff(initial=0.5, factor=2.0, cap=60.0)


class Published(NamedTuple):
    """A volume a pod has."""

    volume: CsiVolume
    place: str
    again_at: float
    """When the driver wants to be asked to publish it again; 0 for never."""


class CsiVolumes:
    """Keeps account of volumes and their pods."""

    def __init__(
        self,
        places: Places,
        drivers: Drivers,
        attachments: Attachments,
        mounting: Mounting,
        growing: Growing,
        clock: Clock,
    ) -> None:
        self._places = places
        self._drivers = drivers
        self._attachments = attachments
        self._mounting = mounting
        self._growing = growing
        self._clock = clock
        self._users: dict[str, set[str]] = {}
        # Gone when nobody holds one or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._published: dict[tuple[str, str], Published] = {}
        self._fill: dict[tuple[str, str], tuple[float, list[m.VolumeUsage]]] = {}

    def recover(self) -> None:
        """Take over what an earlier kubelet has left; call before the node reports."""
        for note in notes.of_pods(self._places):
            self._users.setdefault(note.unique, set()).add(note.uid)
            if note.attachable:
                self._attachments.use(note.unique)
        for note in notes.staged(self._places):
            if note.attachable:
                self._attachments.use(note.unique)

    # --- up

    async def mount(self, pod: Pod, volume: CsiVolume) -> tuple[str, float]:
        """Bring a volume to a pod; doing it again changes nothing.

        Returns:
            where it is, and when to look at it again; 0 for when something changes.

        Raises:
            MountFailed: it cannot be done now.
        """
        uid = pod.metadata.uid or ""
        key = (uid, volume.name)
        known = self._published.get(key)
        if known is None or 0.0 < known.again_at <= self._clock.now():
            known = await self._publish(pod, volume)
        known = self._published[key] = known._replace(volume=volume)
        staging = self._places.staging(
            volume.driver, volume.handle, volume.name, block=volume.block
        )
        try_again = await self._growing.follow(
            pod, volume, known.place, str(staging) if staging.is_dir() else ""
        )
        return known.place, min((t for t in (try_again, known.again_at) if t), default=0.0)

    def claims_of(self, uid: str) -> set[str]:
        """Return the names of the claims whose changes concern a pod."""
        return {
            each.volume.claim.metadata.name or ""
            for (user, _), each in self._published.items()
            if user == uid and each.volume.claim is not None
        }

    async def _publish(self, pod: Pod, volume: CsiVolume) -> Published:
        failed, step = MountFailed, mounting.SET_UP
        if volume.block:
            failed, step = mounting.MapFailed, mounting.MAP_DEVICE
        try:
            about = await self._mounting.object_of(volume.driver)
            mounting.check_life(volume, about)
            async with self._lock(volume.unique):
                self._users.setdefault(volume.unique, set()).add(pod.metadata.uid or "")
            attachable = not volume.ephemeral and _needs_attaching(about)
            context = await self._mounting.attached(volume) if attachable else {}
            async with self._lock(volume.unique):
                place = await self._make(pod, volume, context, about)
        except (CsiError, VolumeProblem, OSError) as problem:
            raise failed(volume.name, str(problem), step) from None
        again = about is not None and bool(about.spec.requiresRepublish)
        return Published(volume, place, self._clock.now() + REPUBLISH if again else 0.0)

    async def _make(
        self, pod: Pod, volume: CsiVolume, context: dict[str, str], about: CSIDriver | None
    ) -> str:
        driver = await self._drivers.get(volume.driver)
        note = Note(
            driver=volume.driver,
            handle=volume.handle,
            name=volume.name,
            ephemeral=volume.ephemeral,
            block=volume.block,
            attachable=not volume.ephemeral and _needs_attaching(about),
        )
        if not volume.ephemeral:
            try:
                await self._mounting.stage(pod, volume, driver, context, note)
            except (CsiError, VolumeProblem) as problem:
                if volume.block:
                    raise
                raise MountFailed(volume.name, str(problem), mounting.DEVICE) from None
        for_pod = _for(note, pod.metadata.uid or "")
        return await self._mounting.publish(pod, volume, driver, context, about, for_pod)

    # --- down

    async def take_down(self, uid: str) -> None:
        """Take all volumes away from a pod, and from the node those it was the last one to have.

        Raises:
            VolumeProblem, OSError: that is not possible now; what was done stays done.
        """
        for note in notes.of_pod(self._places, uid):
            await self._unpublish(note)
        for key in [key for key in self._published if key[0] == uid]:
            del self._published[key]
            self._fill.pop(key, None)
        for unique in [unique for unique, users in self._users.items() if uid in users]:
            async with self._lock(unique):
                if self._users[unique] <= {uid}:
                    await self._unstage(unique)
                    del self._users[unique]
                else:
                    self._users[unique].discard(uid)

    async def drop_unused(self) -> None:
        """Unstage what no pod has; call once all pods are known, after a restart."""
        left = {note.unique for note in notes.staged(self._places)}
        attempt = 0
        while left:
            for unique in sorted(left):
                try:
                    async with self._lock(unique):
                        if not self._users.get(unique):
                            await self._unstage(unique)
                    left.discard(unique)
                except (VolumeProblem, OSError) as problem:
                    log.warning("volume still staged", volume=unique, why=str(problem))
            if left:
                await self._clock.sleep(AGAIN.delay(attempt))
                attempt += 1

    async def _unpublish(self, note: Note) -> None:
        target = self._places.target(note.uid, note.name, block=note.block)
        driver = await self._drivers.get(note.driver)
        async with self._lock(note.unique):
            try:
                await driver.csi.node_unpublish_volume(
                    m.NodeUnpublishVolumeRequest(note.handle, str(target))
                )
            except CsiError as error:
                raise VolumeProblem(
                    f'UnmountVolume.TearDown failed for volume "{note.name}" : {error}'
                ) from None
            mounting.remove_unless_mounted(str(target))
            notes.drop(self._places, note)

    async def _unstage(self, unique: str) -> None:
        """Unstage a volume if it is staged; then it may be detached."""
        for note in [n for n in notes.staged(self._places) if n.unique == unique]:
            place = self._places.staging(note.driver, note.handle, note.name, block=note.block)
            driver = await self._drivers.get(note.driver)
            try:
                if await driver.stages():
                    await driver.csi.node_unstage_volume(
                        m.NodeUnstageVolumeRequest(note.handle, str(place))
                    )
            except CsiError as error:
                raise VolumeProblem(
                    f'UnmountDevice failed for volume "{note.name}" : {error}'
                ) from None
            if note.block:  # drivers keep what they like in it
                shutil.rmtree(place, ignore_errors=True)
                mounting.remove(str(self._places.devices / "publish" / note.name))
            else:
                mounting.remove_unless_mounted(str(place))
            notes.drop(self._places, note)
            self._mounting.unstaged(unique)
        self._attachments.release(unique)

    # --- questions

    async def usage(self, uid: str) -> list[tuple[CsiVolume, list[m.VolumeUsage]]]:
        """Return how full a pod's volumes are, where their drivers can tell."""
        found = []
        for key, each in list(self._published.items()):
            if key[0] == uid and not each.volume.block:
                at, usage = self._fill.get(key, (0.0, []))
                if self._clock.now() - at >= FRESH:
                    usage = await self._ask_usage(each)
                    self._fill[key] = (self._clock.now(), usage)
                if usage:
                    found.append((each.volume, usage))
        return found

    async def _ask_usage(self, each: Published) -> list[m.VolumeUsage]:
        driver = self._drivers.find(each.volume.driver)
        try:
            if driver is None or NodeRpc.GET_VOLUME_STATS not in await driver.rpcs():
                return []
            request = m.NodeGetVolumeStatsRequest(each.volume.handle, each.place)
            return (await driver.csi.node_get_volume_stats(request)).usage
        except CsiError as error:
            log.info("no figures of a volume", volume=each.volume.name, why=str(error))
            return []

    def _lock(self, unique: str) -> asyncio.Lock:
        lock = self._locks.get(unique)
        if lock is None:
            lock = self._locks[unique] = asyncio.Lock()
        return lock


def _needs_attaching(about: CSIDriver | None) -> bool:
    return about is None or about.spec.attachRequired is not False


def _for(note: Note, uid: str) -> Note:
    return Note(
        note.driver, note.handle, note.name, uid, note.ephemeral, note.block, note.attachable
    )
