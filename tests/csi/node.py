"""The node service of the driver: volumes are bind-mounted, block volumes are loop devices."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.csi import messages as m
from tests.csi.failing import Fail
from tests.csi.state import make, remove

if TYPE_CHECKING:
    from tests.csi.options import Options
    from tests.csi.state import State

EPHEMERAL = "csi.storage.k8s.io/ephemeral"
PATHS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


class Node:
    """Answers the calls of csi.v1.Node."""

    def __init__(self, options: Options, state: State) -> None:
        self._options = options
        self._state = state

    def node_get_info(self, _request: m.Empty) -> m.NodeGetInfoResponse:
        """Say what this node is called."""
        options = self._options
        place = m.Topology(dict(options.topology)) if options.topology else None
        return m.NodeGetInfoResponse(options.node, options.max_volumes, place)

    def node_get_capabilities(self, _request: m.Empty) -> m.GetCapabilitiesResponse:
        """Say what the node service can do."""
        options = self._options
        can = [m.NodeRpc.GET_VOLUME_STATS, m.NodeRpc.SINGLE_NODE_MULTI_WRITER]
        can += [m.NodeRpc.STAGE_UNSTAGE_VOLUME] if options.stage else []
        can += [m.NodeRpc.EXPAND_VOLUME] if options.node_expansion else []
        can += [m.NodeRpc.VOLUME_MOUNT_GROUP] if options.mount_group else []
        return m.GetCapabilitiesResponse([m.ServiceCapability(m.RpcType(rpc)) for rpc in can])

    def node_stage_volume(self, request: m.NodeStageVolumeRequest) -> m.Empty:
        """Mount a volume on its staging place."""
        place = Path(request.staging_target_path)
        if not place.is_dir():
            raise Fail("INVALID_ARGUMENT", f"{place} is no directory")
        self._check_attached(request.publish_context)
        source = self._volume(request.volume_id)
        if request.volume_capability is not None and request.volume_capability.block is None:
            _bind(source, place)
        return m.Empty()

    def node_unstage_volume(self, request: m.NodeUnstageVolumeRequest) -> m.Empty:
        """Unmount a volume from its staging place."""
        _unmount(Path(request.staging_target_path))
        return m.Empty()

    def node_publish_volume(self, request: m.NodePublishVolumeRequest) -> m.Empty:
        """Mount a volume where the pod finds it."""
        capability = request.volume_capability or m.VolumeCapability()
        target = Path(request.target_path)
        if not target.parent.is_dir():
            raise Fail("INVALID_ARGUMENT", f"{target.parent} is no directory")
        if request.volume_context.get(EPHEMERAL) == "true":
            source = self._state.ephemeral(request.volume_id)
            if not source.exists():
                make(source, 0, block=False)
                (source / "attributes").write_text(
                    "".join(f"{k}={v}\n" for k, v in sorted(request.volume_context.items()))
                )
        else:
            self._check_attached(request.publish_context)
            source = self._volume(request.volume_id)
            if self._options.stage and capability.block is None:
                source = Path(request.staging_target_path)
        if capability.block is not None:
            source = Path(_loop_device(source))
            target.touch()
        else:
            target.mkdir(exist_ok=True)
        _bind(source, target, read_only=request.readonly)
        return m.Empty()

    def node_unpublish_volume(self, request: m.NodeUnpublishVolumeRequest) -> m.Empty:
        """Unmount a volume from its pod, and remove what lives only as long as that."""
        target = Path(request.target_path)
        _unmount(target)
        if target.is_dir():
            target.rmdir()
        else:
            target.unlink(missing_ok=True)
            _detach(self._state.volume(request.volume_id))
        remove(self._state.ephemeral(request.volume_id))
        return m.Empty()

    def node_expand_volume(self, request: m.NodeExpandVolumeRequest) -> m.NodeExpandVolumeResponse:
        """Note that the node did its part."""
        if not Path(request.volume_path).exists():
            raise Fail("NOT_FOUND", f"no volume at {request.volume_path}")
        with self._state.changing() as tree:
            known = tree["volumes"][request.volume_id]
            known["expanded"] = known["size"]
            return m.NodeExpandVolumeResponse(known["size"])

    def node_get_volume_stats(
        self, request: m.NodeGetVolumeStatsRequest
    ) -> m.NodeGetVolumeStatsResponse:
        """Say how full a volume is: what is in it against the size it was made with."""
        path = Path(request.volume_path)
        if not path.exists():
            raise Fail("NOT_FOUND", f"no volume at {path}")
        files = [entry for entry in path.rglob("*") if entry.is_file()]
        used = sum(entry.stat().st_size for entry in files)
        with self._state.changing() as tree:
            total = tree["volumes"].get(request.volume_id, {"size": 1 << 30})["size"]
        return m.NodeGetVolumeStatsResponse(
            [
                m.VolumeUsage(max(0, total - used), total, used, m.UsageUnit.BYTES),
                m.VolumeUsage(1000 - len(files), 1000, len(files), m.UsageUnit.INODES),
            ]
        )

    def _volume(self, volume_id: str) -> Path:
        source = self._state.volume(volume_id)
        if not source.exists():
            raise Fail("NOT_FOUND", f"no volume {volume_id}")
        return source

    def _check_attached(self, publish_context: dict[str, str]) -> None:
        if self._options.attach and publish_context.get("attachedTo") != self._options.node:
            raise Fail("FAILED_PRECONDITION", f"not attached to {self._options.node}")


def _bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    if not _is_mounted(target):
        _run("mount", "--bind", str(source), str(target))
    if read_only:
        _run("mount", "-o", "remount,bind,ro", str(target))


def _unmount(target: Path) -> None:
    if _is_mounted(target):
        _run("umount", str(target))


def _is_mounted(target: Path) -> bool:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return any(line.split()[4] == str(target) for line in lines)


def _loop_device(image: Path) -> str:
    known = _run("losetup", "-n", "-O", "NAME", "-j", str(image)).split()
    return known[0] if known else _run("losetup", "--show", "-f", str(image)).strip()


def _detach(image: Path) -> None:
    if image.is_file():
        for device in _run("losetup", "-n", "-O", "NAME", "-j", str(image)).split():
            _run("losetup", "-d", device)


def _run(*command: str) -> str:
    env = {**os.environ, "PATH": PATHS, "LC_ALL": "C"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fail("INTERNAL", f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
