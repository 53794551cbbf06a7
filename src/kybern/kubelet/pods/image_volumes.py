"""Volumes which are images: pulled like those of containers, seen read-only.

In:   a PodRecord, a container that mounts such volumes.
Out:  the images, in the record; mounted on the node where the runtime cannot do it.
By:   containers.py; worker.py when the pod has ended.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kybern.kubelet.image_mounts import CannotMountImage
from kybern.kubelet.pods.held import Held
from kybern.kubelet.pods.image_names import with_tag
from kybern.kubelet.pods.pulling import Need
from kybern.kubelet.volumes.plan import volume_plans
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kybern.api.core.v1 import Secret
    from kybern.kubelet.pods.record import PodRecord
    from kybern.kubelet.pods.specs import AnyContainer
    from kybern.kubelet.pods.tools import Tools
    from kybern.kubelet.runtime.messages.image import Image
    from kybern.kubelet.volumes.plan import VolumePlan

log = logs.get("kubelet.pods")
TRY_AGAIN = 10.0


def mounted(tools: Tools, record: PodRecord, container: AnyContainer) -> list[VolumePlan]:
    """Return the image volumes which a container mounts."""
    names = {mount.name for mount in container.volumeMounts or ()}
    return [plan for plan in _plans(tools, record) if plan.name in names]


async def prepare(
    tools: Tools, record: PodRecord, plans: Iterable[VolumePlan], secrets: Sequence[Secret]
) -> None:
    """Get the images of these volumes.

    Raises:
        Held: one cannot be had now.
    """
    for plan in plans:
        record.images[plan.name] = await _image(tools, record, plan, secrets)


async def release(tools: Tools, record: PodRecord) -> None:
    """Give back what was mounted for a pod which has ended."""
    if tools.image_mounts is None:
        return
    for plan in _plans(tools, record):
        try:
            await tools.image_mounts.release(Path(plan.path))
        except CannotMountImage as problem:  # unmounted with all else; containerd forgets it later
            log.warning("image volume not released", volume=plan.name, why=str(problem))


async def _image(
    tools: Tools, record: PodRecord, plan: VolumePlan, secrets: Sequence[Secret]
) -> Image:
    source = plan.volume.image
    name = (source.reference if source is not None else None) or ""
    policy = (source.pullPolicy if source is not None else None) or "IfNotPresent"
    need = Need(name, policy, record.uid, secrets, record.sandbox_config)
    image = await tools.puller.ensure(
        need, lambda kind, reason, text: tools.tell(record.pod, kind, reason, text)
    )
    if tools.image_mounts is not None:
        try:
            await tools.image_mounts.mount(with_tag(name), Path(plan.path))
        except (CannotMountImage, OSError) as problem:
            again = tools.clock.now() + TRY_AGAIN
            raise Held("CreateContainerError", f"image volume {name}: {problem}", again) from None
    return image


def _plans(tools: Tools, record: PodRecord) -> list[VolumePlan]:
    if not any(volume.image is not None for volume in record.pod.spec.volumes or ()):
        return []
    plans = volume_plans(record.pod, tools.volumes.pod_dir(record.uid))
    return [plan for plan in plans if plan.kind == "image"]
