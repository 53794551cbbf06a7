"""What was begun with a driver, noted on disk before the driver is asked.

In:   volumes about to be staged or published.
Out:  files; and after a restart, what is in them.
By:   mounting.py and unmounting.py. Names and content are upstream's `vol_data.json`.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.kubelet.csi.places import NOTE, PLUGIN, unique_name
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kybern.kubelet.csi.places import Places

log = logs.get("kubelet.csi")
MODE = 0o750
PERSISTENT, EPHEMERAL = "Persistent", "Ephemeral"


@dataclass(frozen=True, slots=True)
class Note:
    """A volume a driver was asked to publish for a pod or, without a pod, to stage.

    Attributes:
        driver: whom.
        handle: what it calls the volume.
        name: what paths call it.
        uid: the pod; "" for a staged volume.
        ephemeral: it goes with its pod.
        block: it is used as a device.
        attachable: it had to be attached to the node.
    """

    driver: str
    handle: str
    name: str
    uid: str = ""
    ephemeral: bool = False
    block: bool = False
    attachable: bool = False

    @property
    def unique(self) -> str:
        """What the volume is called in the Node's status."""
        return unique_name(self.handle, self.driver)


def directory(places: Places, note: Note) -> Path:
    """Return the directory a note is in."""
    if not note.uid:
        return places.staging_note(note.driver, note.handle, note.name, block=note.block)
    if note.block:
        return places.device(note.uid, note.name)
    return places.volume(note.uid, note.name)


def exists(places: Places, note: Note) -> bool:
    """Say whether something was begun already."""
    return (directory(places, note) / NOTE).exists()


def write(places: Places, note: Note) -> None:
    """Put a note on disk; a half-written one is never seen."""
    where = directory(places, note)
    where.mkdir(parents=True, exist_ok=True, mode=MODE)
    content = {
        "specVolID": note.name,
        "volumeHandle": note.handle,
        "driverName": note.driver,
        "volumeLifecycleMode": EPHEMERAL if note.ephemeral else PERSISTENT,
        "attachable": str(note.attachable).lower(),
    }
    part = where / f"{NOTE}.part"
    part.write_text(json.dumps(content), encoding="utf-8")
    part.rename(where / NOTE)


def drop(places: Places, note: Note) -> None:
    """Remove a note and the directories that were made for it.

    Raises:
        OSError: there is something else in one of them.
    """
    where = directory(places, note)
    (where / NOTE).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        where.rmdir()
        if note.block and not note.uid:
            where.parent.rmdir()


def of_pod(places: Places, uid: str) -> list[Note]:
    """Return what was begun for a pod."""
    found = []
    for kind, block in (("volumes", False), ("volumeDevices", True)):
        for path in sorted((places.pods / uid / kind / PLUGIN).glob(f"*/{NOTE}")):
            found.extend(_read(path, uid=uid, block=block))
    return found


def of_pods(places: Places) -> Iterator[Note]:
    """Return what was begun for any pod."""
    if places.pods.is_dir():
        for pod in sorted(places.pods.iterdir()):
            yield from of_pod(places, pod.name)


def staged(places: Places) -> Iterator[Note]:
    """Return what was begun to be staged."""
    for path in sorted(places.devices.glob(f"*/data/{NOTE}")):
        yield from _read(path, uid="", block=True)
    for path in sorted(places.staged.glob(f"*/*/{NOTE}")):
        yield from _read(path, uid="", block=False)


def _read(path: Path, *, uid: str, block: bool) -> list[Note]:
    try:
        content = json.loads(path.read_bytes())
        return [
            Note(
                driver=content["driverName"],
                handle=content["volumeHandle"],
                name=content["specVolID"],
                uid=uid,
                ephemeral=content.get("volumeLifecycleMode") == EPHEMERAL,
                block=block,
                attachable=content.get("attachable") == "true",
            )
        ]
    except (OSError, ValueError, KeyError) as error:
        # Whatever it was, nobody can be asked to take it down: the driver's name is not known.
        log.error("the note of a volume cannot be read", path=str(path), why=str(error))
        return []
