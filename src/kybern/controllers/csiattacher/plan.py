"""What to do about one attachment.

In:   a VolumeAttachment, its volume, and whether the driver attaches at all.
Out:  the next deed, and the objects to write.
By:   csiattacher.controller. Pure.

The finalizer is there before the driver is asked, so that what may have been attached is detached
before the attachment, or the volume, is forgotten.

Source: external-attacher's `pkg/controller/csi_handler.go`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from kybern.api import codec
from kybern.api.storage.attachments import attacher_finalizer
from kybern.api.storage.v1 import VolumeAttachmentStatus, VolumeError
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import PersistentVolume
    from kybern.api.storage.v1 import VolumeAttachment

NODE_ID: Final = "csi.alpha.kubernetes.io/node-id"
LONGEST: Final = 1000  # bytes of an error that fit into the status


class Deed(Enum):
    """The next step."""

    NOTHING = "nothing"
    GUARD = "put the finalizer on"
    ATTACH = "ask the driver to attach"
    MARK = "say that it is attached: the driver has nothing to do"
    DETACH = "ask the driver to detach"
    RELEASE = "take the finalizer off"


def deed(attachment: VolumeAttachment, *, attaches: bool) -> Deed:
    """Return the next step for an attachment.

    Args:
        attachment: as it is.
        attaches: whether the driver can attach.
    """
    guarded = attacher_finalizer(attachment.spec.attacher) in (attachment.metadata.finalizers or ())
    if attachment.metadata.deletionTimestamp is not None:
        if not guarded:
            return Deed.NOTHING
        return Deed.DETACH if attaches else Deed.RELEASE
    if attachment.status.attached:
        return Deed.NOTHING
    if not attaches:
        return Deed.MARK
    return Deed.ATTACH if guarded else Deed.GUARD


def guarded(attachment: VolumeAttachment, node_id: str) -> VolumeAttachment:
    """Return an attachment that waits for the driver; it knows the node's id there."""
    mine = codec.clone(attachment)
    meta = mine.metadata
    meta.finalizers = [*(meta.finalizers or ()), attacher_finalizer(mine.spec.attacher)]
    meta.annotations = {**(meta.annotations or {}), NODE_ID: node_id}
    return mine


def known_node_id(attachment: VolumeAttachment) -> str:
    """Return what the node was called when the volume was attached."""
    return (attachment.metadata.annotations or {}).get(NODE_ID, "")


def attached(attachment: VolumeAttachment, context: Mapping[str, str]) -> VolumeAttachment:
    """Return an attachment that was carried out."""
    mine = codec.clone(attachment)
    mine.status = VolumeAttachmentStatus(attached=True, attachmentMetadata=dict(context) or None)
    return mine


def detached(attachment: VolumeAttachment) -> VolumeAttachment:
    """Return an attachment that was taken back."""
    mine = codec.clone(attachment)
    mine.status = VolumeAttachmentStatus(attached=False)
    return mine


def failed(attachment: VolumeAttachment, message: str, now: float) -> VolumeAttachment:
    """Return an attachment that says what went wrong."""
    mine = codec.clone(attachment)
    text = message.encode()[:LONGEST].decode("utf-8", "ignore")
    error = VolumeError(message=text, time=rfc3339(now))
    if mine.metadata.deletionTimestamp is None:
        mine.status.attachError = error
    else:
        mine.status.detachError = error
    return mine


def released(attachment: VolumeAttachment) -> VolumeAttachment:
    """Return an attachment without our finalizer."""
    mine = codec.clone(attachment)
    mine.metadata.finalizers = _without(mine.metadata.finalizers, attachment.spec.attacher)
    return mine


def guarded_volume(volume: PersistentVolume) -> PersistentVolume | None:
    """Return a volume that stays as long as it is attached; None when it is so already."""
    assert volume.spec.csi is not None
    finalizer = attacher_finalizer(volume.spec.csi.driver)
    if finalizer in (volume.metadata.finalizers or ()):
        return None
    mine = codec.clone(volume)
    mine.metadata.finalizers = [*(mine.metadata.finalizers or ()), finalizer]
    return mine


def released_volume(
    volume: PersistentVolume, attachments: Iterable[VolumeAttachment]
) -> PersistentVolume | None:
    """Return a volume that may go; None when it has to stay, or does not wait for us."""
    source = volume.spec.csi
    if source is None or volume.metadata.deletionTimestamp is None or any(attachments):
        return None
    if attacher_finalizer(source.driver) not in (volume.metadata.finalizers or ()):
        return None
    mine = codec.clone(volume)
    mine.metadata.finalizers = _without(mine.metadata.finalizers, source.driver)
    return mine


def _without(finalizers: list[str] | None, driver: str) -> list[str] | None:
    ours = attacher_finalizer(driver)
    return [each for each in finalizers or () if each != ours] or None
