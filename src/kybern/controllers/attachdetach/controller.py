"""The attach/detach controller.

In:   pods with a node, claims, volumes of storage drivers, attachments, nodes.
Out:  VolumeAttachments, made and deleted; `status.volumesAttached` of nodes; events.
By:   controllers.all.

A VolumeAttachment is a wish, which `csi_attacher` or a driver's own external-attacher carries out.
Work is by volume, so that one decision sees every node that has it or wants it; what a node may
rely on is written by node. Nothing is kept in memory but since when a volume is where nobody wants
it, and whom we told so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.api import codec, errors
from kybern.api.core.v1 import Node, PersistentVolume, PersistentVolumeClaim, Pod
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.storage.attachments import attachment_name, unique_name
from kybern.api.storage.v1 import (
    CSIDriver,
    VolumeAttachment,
    VolumeAttachmentSource,
    VolumeAttachmentSpec,
)
from kybern.controllers.attachdetach.plan import (
    Place,
    is_shared,
    matters,
    place_of,
    plan,
    promises,
)
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.reconcile import DONE, After, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(0.02)  # until what was written has come back
BY_CLAIM = "claim"
BY_NODE = "node"
BY_VOLUME = "volume"
BY_DRIVER = "driver"
FAILED = "FailedAttachVolume"


class Work(NamedTuple):
    """A volume, by what nodes call it, or a node."""

    is_volume: bool
    name: str


class AttachDetachController:
    """Brings volumes to nodes."""

    def __init__(self, ctx: Context) -> None:
        self._client, self._clock, self._recorder = ctx.client, ctx.clock, ctx.recorder
        of = ctx.informers.of
        self._pods = of(Pod, indexers={BY_CLAIM: _claims_of, BY_NODE: _node_of})
        self._claims = of(PersistentVolumeClaim)
        self._volumes = of(
            PersistentVolume, indexers={BY_VOLUME: _names_of, BY_DRIVER: _drivers_of}
        )
        self._attachments = of(VolumeAttachment, indexers={BY_VOLUME: _source_of, BY_NODE: _to})
        self._drivers = of(CSIDriver)
        self._nodes = of(Node)
        self._own: Expectations[str] = Expectations(self._attachments)
        self._unwanted: dict[tuple[str, str], float] = {}
        self._withdrawn: set[tuple[str, str]] = set()
        self._told: dict[str, frozenset[str]] = {}
        self._gone: dict[str, PersistentVolume] = {}
        informers = (
            self._pods, self._claims, self._volumes, self._attachments, self._drivers, self._nodes
        )  # fmt: skip
        self._loop: Loop[Work] = Loop("attachdetach", self.reconcile, after=informers)
        self._pods.on(
            add=self._pod_changed,
            update=lambda _, pod: self._pod_changed(pod),
            delete=self._pod_changed,
        )
        self._claims.on_change(self._claim_changed)
        self._volumes.on(
            add=self._volume_changed,
            update=lambda _, volume: self._volume_changed(volume),
            delete=self._volume_gone,
        )
        self._attachments.on(
            add=self._attachment_changed,
            update=self._attachment_updated,
            delete=self._attachment_changed,
        )
        self._drivers.on_change(self._driver_changed)
        self._nodes.on(add=self._node_added, update=self._node_updated, delete=self._node_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, work: Work) -> Outcome:
        """Look at one volume or node."""
        return await (self._volume if work.is_volume else self._node)(work.name)

    # --- one volume ---------------------------------------------------------------------------

    async def _volume(self, name: str) -> Outcome:
        if not self._own.satisfied(name):
            return CAUGHT_UP
        volumes = self._volumes.by_index(BY_VOLUME, name) or self._last_known(name)
        places = self._places(name, volumes)
        now = self._clock.now()
        called = min((volume.metadata.name or "" for volume in volumes), default=name)
        step = plan(
            called, places, shared=is_shared(volumes), known=self._told.get(name, frozenset()),
            now=now,
        )  # fmt: skip
        self._remember(name, places, frozenset(step.blocked), now)
        for told in step.told:
            self._recorder.event(told.pod, "Warning", FAILED, told.message)
        for node in step.withdraw:
            self._withdrawn.add((name, node))
            self._loop.add(Work(False, node))
        for node in (*step.detach, *step.force):
            if node in step.force or not await self._uses(node, name):
                await self._detach(name, volumes, node)
        for node in step.attach:
            await self._attach(name, volumes, node)
        return DONE if step.wait is None else After(max(step.wait, 0.0))

    def _remember(
        self, name: str, places: list[Place], blocked: frozenset[str], now: float
    ) -> None:
        for place in places:
            key = (name, place.node)
            if place.attachment and not place.pods:
                self._unwanted.setdefault(key, now)
            else:
                self._unwanted.pop(key, None)
                if key in self._withdrawn:
                    self._withdrawn.discard(key)
                    self._loop.add(Work(False, place.node))
        if blocked:
            self._told[name] = blocked
        else:
            self._told.pop(name, None)

    def _places(self, name: str, volumes: list[PersistentVolume]) -> list[Place]:
        pods: dict[str, list[Pod]] = {}
        for volume in volumes:
            for pod in self._users(volume):
                pods.setdefault(pod.spec.nodeName or "", []).append(pod)
        attachments = {each.spec.nodeName: each for each in self._attached(volumes)}
        known = {node for at, node in self._unwanted if at == name}
        places = []
        for node in sorted({*pods, *attachments, *known}):
            attachment = attachments.get(node)
            places.append(
                place_of(
                    node, self._nodes.get("", node), name, pods.get(node, ()),
                    attachment=attachment is not None,
                    leaving=attachment is not None
                    and attachment.metadata.deletionTimestamp is not None,
                    unwanted_since=self._unwanted.get((name, node)),
                )
            )  # fmt: skip
        return places

    def _users(self, volume: PersistentVolume) -> Iterator[Pod]:
        """Return the pods with a node that use a volume through the claim it is bound to."""
        source, reference = volume.spec.csi, volume.spec.claimRef
        if source is None or reference is None or not self._is_attached(source.driver):
            return
        claim = self._claims.get(reference.namespace or "", reference.name or "")
        if (
            claim is None
            or claim.metadata.uid != reference.uid
            or claim.spec.volumeName != volume.metadata.name
            or claim.status.phase != "Bound"
        ):
            return
        for pod in self._pods.by_index(BY_CLAIM, f"{reference.namespace}/{reference.name}"):
            if pod.spec.nodeName:
                yield pod

    def _attached(self, volumes: list[PersistentVolume]) -> Iterator[VolumeAttachment]:
        """Return the attachments of a volume that are ours to delete: the name says it."""
        for volume in volumes:
            for each in self._attachments.by_index(BY_VOLUME, volume.metadata.name or ""):
                if _is_ours(each, volume):
                    yield each

    def _last_known(self, name: str) -> list[PersistentVolume]:
        """Return a volume that is gone, as long as there are attachments of it."""
        volume = self._gone.get(name)
        if volume is None or any(self._attached([volume])):
            return [volume] if volume is not None else []
        del self._gone[name]
        return []

    def _is_attached(self, driver: str) -> bool:
        found = self._drivers.get("", driver)
        return found is None or found.spec.attachRequired is not False

    async def _attach(self, name: str, volumes: list[PersistentVolume], node: str) -> None:
        volume = next(v for v in volumes if any(p.spec.nodeName == node for p in self._users(v)))
        source = volume.spec.csi
        assert source is not None
        wish = VolumeAttachment(
            metadata=ObjectMeta(name=attachment_name(source, node)),
            spec=VolumeAttachmentSpec(
                attacher=source.driver,
                nodeName=node,
                source=VolumeAttachmentSource(persistentVolumeName=volume.metadata.name),
            ),
        )
        self._own.wrote(name, await self._client.create(wish))

    async def _detach(self, name: str, volumes: list[PersistentVolume], node: str) -> None:
        for each in list(self._attached(volumes)):
            if each.spec.nodeName == node and each.metadata.deletionTimestamp is None:
                try:
                    uid = each.metadata.uid
                    await self._client.delete(VolumeAttachment, each.metadata.name or "", uid=uid)
                except errors.NotFound:
                    continue
                self._own.deleted(name, each)

    async def _uses(self, node: str, name: str) -> bool:
        """Ask the API server itself whether a node uses a volume: the cache may be behind."""
        try:
            found = await self._client.get(Node, node)
        except errors.NotFound:
            return False
        return name in (found.status.volumesInUse or ())

    # --- one node -----------------------------------------------------------------------------

    async def _node(self, name: str) -> Outcome:
        """Let a node know what it may rely on."""
        node = self._nodes.get("", name)
        if node is None:
            return DONE
        attached = []
        for each in self._attachments.by_index(BY_NODE, name):
            volume = self._volume_of(each)
            usable = each.status.attached and each.metadata.deletionTimestamp is None
            if volume is not None and usable and _is_ours(each, volume):
                assert volume.spec.csi is not None
                attached.append(unique_name(volume.spec.csi))
        withdrawn = {volume for volume, where in self._withdrawn if where == name}
        wanted = promises(node, attached, withdrawn)
        if wanted is not None:
            body = {"status": {"volumesAttached": [codec.to_tree(each) for each in wanted]}}
            await self._client.patch(Node, name, "", body, type="merge", subresource="status")
        return DONE

    def _volume_of(self, attachment: VolumeAttachment) -> PersistentVolume | None:
        name = attachment.spec.source.persistentVolumeName or ""
        gone = (volume for volume in self._gone.values() if volume.metadata.name == name)
        return self._volumes.get("", name) or next(gone, None)

    # --- from events to work ------------------------------------------------------------------

    def _add(self, volume: PersistentVolume | None) -> None:
        if volume is not None and volume.spec.csi is not None:
            self._loop.add(Work(True, unique_name(volume.spec.csi)))

    def _pod_changed(self, pod: Pod) -> None:
        if not pod.spec.nodeName or not pod.spec.volumes:
            return
        for key in _claims_of(pod):
            claim = self._claims.get(*key.split("/", 1))
            if claim is not None:
                self._claim_changed(claim)

    def _claim_changed(self, claim: PersistentVolumeClaim) -> None:
        if claim.spec.volumeName:
            self._add(self._volumes.get("", claim.spec.volumeName))

    def _volume_changed(self, volume: PersistentVolume) -> None:
        self._add(volume)
        for each in self._attachments.by_index(BY_VOLUME, volume.metadata.name or ""):
            self._loop.add(Work(False, each.spec.nodeName))

    def _volume_gone(self, volume: PersistentVolume) -> None:
        if volume.spec.csi is not None and any(self._attached([volume])):
            self._gone[unique_name(volume.spec.csi)] = volume
        self._volume_changed(volume)

    def _attachment_changed(self, attachment: VolumeAttachment) -> None:
        self._add(self._volume_of(attachment))
        self._loop.add(Work(False, attachment.spec.nodeName))

    def _attachment_updated(self, old: VolumeAttachment, new: VolumeAttachment) -> None:
        self._attachment_changed(new)
        volume = self._volume_of(new)
        if volume is None:
            return
        before, after = old.status, new.status
        here = [pod for pod in self._users(volume) if pod.spec.nodeName == new.spec.nodeName]
        name = volume.metadata.name
        for pod in here:
            if after.attached and not before.attached:
                text = f'AttachVolume.Attach succeeded for volume "{name}" '
                self._recorder.event(pod, "Normal", "SuccessfulAttachVolume", text)
            elif after.attachError is not None and after.attachError != before.attachError:
                text = f'AttachVolume.Attach failed for volume "{name}" : '
                text += after.attachError.message or ""
                self._recorder.event(pod, "Warning", FAILED, text)

    def _driver_changed(self, driver: CSIDriver) -> None:
        for volume in self._volumes.by_index(BY_DRIVER, driver.metadata.name or ""):
            self._add(volume)

    def _node_changed(self, node: Node) -> None:
        name = node.metadata.name or ""
        self._loop.add(Work(False, name))
        for each in self._attachments.by_index(BY_NODE, name):
            self._add(self._volume_of(each))
        told = [volume for volume, nodes in self._told.items() if name in nodes]
        for volume in {*told, *(at for at, where in self._unwanted if where == name)}:
            self._loop.add(Work(True, volume))

    def _node_added(self, node: Node) -> None:
        self._node_changed(node)
        for pod in self._pods.by_index(BY_NODE, node.metadata.name or ""):
            self._pod_changed(pod)

    def _node_updated(self, old: Node, new: Node) -> None:
        if matters(old, new):
            self._node_changed(new)


def _is_ours(attachment: VolumeAttachment, volume: PersistentVolume) -> bool:
    source = volume.spec.csi
    if source is None:
        return False
    return attachment.metadata.name == attachment_name(source, attachment.spec.nodeName)


def _claims_of(pod: Pod) -> list[str]:
    found = []
    for volume in pod.spec.volumes or ():
        if volume.persistentVolumeClaim is not None:
            found.append(f"{pod.metadata.namespace}/{volume.persistentVolumeClaim.claimName}")
        elif volume.ephemeral is not None:
            found.append(f"{pod.metadata.namespace}/{pod.metadata.name}-{volume.name}")
    return found


def _names_of(volume: PersistentVolume) -> list[str]:
    return [unique_name(volume.spec.csi)] if volume.spec.csi is not None else []


def _drivers_of(volume: PersistentVolume) -> list[str]:
    return [volume.spec.csi.driver] if volume.spec.csi is not None else []


def _source_of(attachment: VolumeAttachment) -> list[str]:
    name = attachment.spec.source.persistentVolumeName
    return [name] if name else []


def _node_of(pod: Pod) -> list[str]:
    return [pod.spec.nodeName] if pod.spec.nodeName else []


def _to(attachment: VolumeAttachment) -> list[str]:
    return [attachment.spec.nodeName]
