"""Making a pod's volumes, keeping them up to date, and taking them down.

In:   a Pod and its VolumePlans.
Out:  directories with the right content; the path of each volume on the node.
By:   pods/act.py.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.api.errors import ApiError
from kybern.client.transport import Unreachable
from kybern.kubelet.csi import source as csi_source
from kybern.kubelet.pods import qos
from kybern.kubelet.pods.environment import Reference
from kybern.kubelet.volumes import atomic, claims, empty_dir, host_path, mounts, nfs
from kybern.kubelet.volumes.config_map import config_map_files
from kybern.kubelet.volumes.content import DEFAULT_MODE, MountFailed, Payload, VolumeProblem
from kybern.kubelet.volumes.downward_api import downward_files
from kybern.kubelet.volumes.local_images import LocalVolumeProblem
from kybern.kubelet.volumes.plan import (
    FILESYSTEM,
    IN_MEMORY,
    TEXT_KINDS,
    check_use,
    references,
    volume_plans,
)
from kybern.kubelet.volumes.projected import Found, projected_files, token_key
from kybern.kubelet.volumes.secret import secret_files
from kybern.lib import logs
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod, Volume
    from kybern.client.rest import Client
    from kybern.kubelet.csi.volumes import CsiVolumes
    from kybern.kubelet.objects import Object, WatchedObjects
    from kybern.kubelet.pods.field_values import Facts
    from kybern.kubelet.tokens import Token, Tokens
    from kybern.kubelet.volumes.local_images import LocalVolumes
    from kybern.kubelet.volumes.plan import VolumePlan
    from kybern.lib.clock import Clock

log = logs.get("kubelet.volumes")
NEVER = float("inf")
AGAIN = Backoff(initial=0.5, factor=2.0, cap=60.0)
PODS_MODE = 0o750  # upstream's


@dataclass(frozen=True, slots=True)
class Mounted:
    """Where the volumes are, and when they have to be looked at again (tokens expire)."""

    places: dict[str, str]
    refresh_at: float = NEVER


class Volumes:
    """The volumes of all pods on this node."""

    def __init__(
        self,
        pods_dir: Path,
        client: Client,
        objects: WatchedObjects,
        tokens: Tokens,
        clock: Clock,
        local: LocalVolumes,
        csi: CsiVolumes,
    ) -> None:
        self._pods_dir = pods_dir
        self._local = local
        self._csi = csi
        self._prepared: set[str] = set()
        self._client = client
        self._objects = objects
        self._tokens = tokens
        self._clock = clock

    def make_root(self) -> None:
        """Make the directory of all pods; only we may enter: secrets and tokens are below."""
        self._pods_dir.mkdir(parents=True, exist_ok=True)
        self._pods_dir.chmod(PODS_MODE)

    def pod_dir(self, uid: str) -> Path:
        """Return the directory of a pod."""
        return self._pods_dir / uid

    async def prepare(self, pod: Pod, facts: Facts) -> Mounted:
        """Make all volumes of a pod, or bring them up to date; doing it again changes nothing.

        Raises:
            MountFailed: one cannot be made now.
        """
        meta = pod.metadata
        uid, namespace = meta.uid or "", meta.namespace or ""
        plans = volume_plans(pod, self.pod_dir(uid))
        wanted: set[Reference] = set().union(*(references(p.volume) for p in plans))
        found, (tokens, refresh_at) = await self._gather(pod, namespace, wanted, plans)
        available = Found(
            config_maps={r.name: o for r, o in found.items() if r.kind == "ConfigMap"},  # type: ignore[misc]
            secrets={r.name: o for r, o in found.items() if r.kind == "Secret"},  # type: ignore[misc]
            tokens=tokens,
            facts=facts,
        )
        places = {}
        for plan in plans:
            try:
                places[plan.name], again = await self._make(pod, plan, available)
            except (VolumeProblem, LocalVolumeProblem, OSError) as problem:
                raise MountFailed(plan.name, str(problem)) from None
            refresh_at = min(refresh_at, again or NEVER)
        self._prepared.add(uid)
        return Mounted(places, refresh_at)

    def followed(self, pod: Pod) -> set[Reference]:
        """Return the claims whose changes concern the volumes that a pod has."""
        claims = self._csi.claims_of(pod.metadata.uid or "")
        return {Reference("PersistentVolumeClaim", name) for name in claims}

    async def tear_down(self, uid: str) -> None:
        """Unmount and remove everything of a pod.

        Raises:
            VolumeProblem, OSError: something cannot be unmounted now; nothing in it is removed.
        """
        self._tokens.forget(uid)
        self._prepared.discard(uid)
        directory = self.pod_dir(uid)
        mounts.unmount_below(str(directory / "volume-subpaths"))
        await self._csi.take_down(uid)
        if directory.is_dir():
            mounts.unmount_below(str(directory))
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def clear(self, uid: str) -> None:
        """Tear down what is left of a pod that is gone, however often it has to be tried."""
        attempt = 0
        while True:
            try:
                await self.tear_down(uid)
            except (VolumeProblem, OSError) as problem:
                log.warning("volumes not torn down", uid=uid, why=str(problem))
                await self._clock.sleep(AGAIN.delay(attempt))
                attempt += 1
            else:
                return

    def left_behind(self) -> list[str]:
        """Return the uids of pods which have a directory."""
        try:
            return sorted(os.listdir(self._pods_dir))
        except FileNotFoundError:
            return []

    async def _gather(
        self, pod: Pod, namespace: str, wanted: set[Reference], plans: list[VolumePlan]
    ) -> tuple[dict[Reference, Object | None], tuple[dict[tuple[str, int], str], float]]:
        try:
            async with asyncio.TaskGroup() as group:
                objects = group.create_task(self._objects.read(namespace, wanted))
                tokens = group.create_task(self._all_tokens(pod, plans))
        except ExceptionGroup as failures:
            first = _innermost(failures)
            if isinstance(first, (ApiError, Unreachable)):
                raise MountFailed(plans[0].name if plans else "", str(first)) from None
            raise first from None
        return objects.result(), tokens.result()

    async def _all_tokens(
        self, pod: Pod, plans: list[VolumePlan]
    ) -> tuple[dict[tuple[str, int], str], float]:
        texts: dict[tuple[str, int], str] = {}
        refresh_at = NEVER
        for plan in plans:
            for source in (plan.volume.projected.sources if plan.volume.projected else None) or ():
                if source.serviceAccountToken is None:
                    continue
                key = token_key(source.serviceAccountToken)
                token = await self._token(pod, plan.name, *key)
                texts[key] = token.text
                refresh_at = min(refresh_at, token.refresh_at)
        return texts, refresh_at

    async def _token(self, pod: Pod, volume: str, audience: str, seconds: int) -> Token:
        try:
            return await self._tokens.get(pod, audience, seconds)
        except (ApiError, Unreachable) as error:
            raise MountFailed(volume, f"failed to fetch token: {error}") from None

    async def _make(self, pod: Pod, plan: VolumePlan, found: Found) -> tuple[str, float]:
        """Make one volume; return where it is, and when it is to be looked at again or 0."""
        volume = plan.volume
        if plan.kind in TEXT_KINDS:
            payload = _payload(pod, volume, found)
            self._write(pod, plan, payload)
        elif plan.kind == "emptyDir":
            self._make_empty_dir(pod, plan)
        elif plan.kind == "image":
            pass  # pulled and mounted for the containers that want it: pods/image_volumes.py
        elif plan.kind == "hostPath" and volume.hostPath is not None:
            host_path.check(volume.hostPath.path, volume.hostPath.type or "")
        elif plan.kind in ("persistentVolumeClaim", "ephemeral"):
            return await self._make_claimed(pod, volume)
        elif plan.kind == "csi":
            return await self._csi.mount(pod, csi_source.of_pod(pod, volume))
        elif plan.kind == "nfs" and volume.nfs is not None:
            await asyncio.to_thread(nfs.mount, volume.nfs, (), plan.path)
        else:
            raise VolumeProblem(f"volumes of kind {plan.kind} are not supported by this node")
        return plan.path, 0.0

    async def _make_claimed(self, pod: Pod, volume: Volume) -> tuple[str, float]:
        claim, bound = await claims.bound(self._client, pod, volume)
        check_use(pod, volume.name, bound.spec.volumeMode or FILESYSTEM)
        if bound.spec.csi is not None:
            asked = volume.persistentVolumeClaim
            return await self._csi.mount(pod, csi_source.of_claim(volume.name, asked, claim, bound))
        place = await claims.place(bound, self.pod_dir(pod.metadata.uid or "") / "volumes")
        if pod.metadata.uid not in self._prepared:
            await self._local.before_use(place)
        return place, 0.0

    def _write(self, pod: Pod, plan: VolumePlan, payload: Payload) -> None:
        directory = Path(plan.path)
        if plan.kind in IN_MEMORY and not os.path.ismount(directory):
            directory.mkdir(parents=True, exist_ok=True)
            mounts.mount("tmpfs", plan.path, "tmpfs", 0, "mode=0755")
        atomic.write(directory, payload, _version(self._clock.now()), _fs_group(pod))

    def _make_empty_dir(self, pod: Pod, plan: VolumePlan) -> None:
        if plan.volume.emptyDir is None:
            return
        directory = Path(plan.path)
        empty_dir.make(directory, plan.volume.emptyDir, qos.pod_limits(pod).memory)
        group = _fs_group(pod)
        if group is not None and directory.stat().st_gid != group:
            os.chown(directory, -1, group)
            directory.chmod(empty_dir.MODE | atomic.SET_GID)


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _payload(pod: Pod, volume: Volume, found: Found) -> Payload:
    """Return the files of a volume which holds text."""
    if (config := volume.configMap) is not None:
        mode = DEFAULT_MODE if config.defaultMode is None else config.defaultMode
        return config_map_files(config, found.config_maps.get(config.name or ""), mode)
    if (secret := volume.secret) is not None:
        mode = DEFAULT_MODE if secret.defaultMode is None else secret.defaultMode
        name = secret.secretName or ""
        return secret_files(
            name, secret.items, found.secrets.get(name), mode, optional=bool(secret.optional)
        )
    if (downward := volume.downwardAPI) is not None:
        mode = DEFAULT_MODE if downward.defaultMode is None else downward.defaultMode
        return downward_files(pod, downward.items, found.facts, mode)
    if volume.projected is not None:
        return projected_files(pod, volume.projected, found)
    return {}


def _fs_group(pod: Pod) -> int | None:
    context = pod.spec.securityContext
    return context.fsGroup if context is not None else None


def _version(now: float) -> str:
    """Return a name no earlier version had: the time, as upstream writes it."""
    seconds, rest = divmod(now, 1)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y_%m_%d_%H_%M_%S")
    return f"{stamp}.{int(rest * 1e9):09d}"
