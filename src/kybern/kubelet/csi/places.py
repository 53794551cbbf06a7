"""Where things of storage drivers are, below the kubelet's directory.

In:   pods, drivers, volumes.
Out:  paths, as upstream has them (pkg/volume/csi).
By:   the rest of this package. Pure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api.core.v1 import CSIPersistentVolumeSource
from kybern.api.storage import attachments

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = "kubernetes.io~csi"
NOTE = "vol_data.json"


@dataclass(frozen=True, slots=True)
class Places:
    """Paths below `root`, the kubelet's directory."""

    root: Path

    @property
    def registry(self) -> Path:
        """Where drivers announce themselves with a socket."""
        return self.root / "plugins_registry"

    @property
    def pods(self) -> Path:
        """One directory per pod."""
        return self.root / "pods"

    @property
    def staged(self) -> Path:
        """One directory per driver, with one per volume."""
        return self.root / "plugins" / "kubernetes.io" / "csi"

    @property
    def devices(self) -> Path:
        """What belongs to volumes that are used as block devices."""
        return self.staged / "volumeDevices"

    def sockets(self, driver: str) -> tuple[Path, Path]:
        """Return where a controller service of its own may listen, and where the whole driver."""
        directory = self.root / "plugins" / driver
        return directory / "controller.sock", directory / "csi.sock"

    def volume(self, uid: str, name: str) -> Path:
        """Return the directory of a pod's volume; its note is in it."""
        return self.pods / uid / "volumes" / PLUGIN / name

    def target(self, uid: str, name: str, *, block: bool) -> Path:
        """Return where a pod's volume is published."""
        if block:
            return self.devices / "publish" / name / uid
        return self.volume(uid, name) / "mount"

    def device(self, uid: str, name: str) -> Path:
        """Return the directory of a pod's block volume; its note is in it."""
        return self.pods / uid / "volumeDevices" / PLUGIN / name

    def staging(self, driver: str, handle: str, name: str, *, block: bool) -> Path:
        """Return where a volume is staged."""
        if block:
            return self.devices / "staging" / name
        digest = hashlib.sha256(handle.encode()).hexdigest()
        return self.staged / driver / digest / "globalmount"

    def staging_note(self, driver: str, handle: str, name: str, *, block: bool) -> Path:
        """Return the directory with the note of a staged volume."""
        if block:
            return self.devices / name / "data"
        return self.staging(driver, handle, name, block=False).parent


def attachment_name(handle: str, driver: str, node: str) -> str:
    """Return the name of a VolumeAttachment."""
    return attachments.attachment_name(_source(driver, handle), node)


def unique_name(handle: str, driver: str) -> str:
    """Return what a volume is called in the Node's status."""
    return attachments.unique_name(_source(driver, handle))


def ephemeral_handle(uid: str, name: str) -> str:
    """Return the handle of a volume that lives as long as its pod."""
    return "csi-" + hashlib.sha256(f"{uid}{name}".encode()).hexdigest()


def _source(driver: str, handle: str) -> CSIPersistentVolumeSource:
    return CSIPersistentVolumeSource(driver=driver, volumeHandle=handle)
