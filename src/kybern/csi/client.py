"""The remote calls of a CSI driver, one method each.

In:   request Structs.
Out:  answers, or CsiError.
By:   the kubelet (identity, node service) and the storage controllers (controller service).

The deadlines are those upstream's kubelet and sidecars have; every call can have another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from kybern.csi import messages as m
from kybern.csi.transport import CsiError, SocketTransport, Transport
from kybern.lib.protobuf import Codec, ProtobufError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Csi", "CsiError", "SocketTransport", "Transport", "at_socket"]

T = TypeVar("T", bound=msgspec.Struct)
IDENTITY, CONTROLLER, NODE = "/csi.v1.Identity/", "/csi.v1.Controller/", "/csi.v1.Node/"
SHORT = 10.0  # seconds; questions about the driver itself
LONG = 120.0  # for what moves disks and data
EMPTY = m.Empty()


class Csi:
    """One driver."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def close(self) -> None:
        """Let go of the connection."""
        await self.transport.close()

    # --- identity

    async def get_plugin_info(self, seconds: float = SHORT) -> m.GetPluginInfoResponse:
        """Ask the driver for its name."""
        return await self._call(IDENTITY + "GetPluginInfo", EMPTY, m.GetPluginInfoResponse, seconds)

    async def get_plugin_capabilities(
        self, seconds: float = SHORT
    ) -> m.GetPluginCapabilitiesResponse:
        """Ask which services the driver has."""
        method = IDENTITY + "GetPluginCapabilities"
        return await self._call(method, EMPTY, m.GetPluginCapabilitiesResponse, seconds)

    async def probe(self, seconds: float = SHORT) -> bool:
        """Ask whether the driver is ready."""
        answer = await self._call(IDENTITY + "Probe", EMPTY, m.ProbeResponse, seconds)
        return answer.ready is None or answer.ready.value

    # --- controller

    async def controller_get_capabilities(self, seconds: float = SHORT) -> frozenset[int]:
        """Return what the controller service can do: ControllerRpc values."""
        method = CONTROLLER + "ControllerGetCapabilities"
        answer = await self._call(method, EMPTY, m.GetCapabilitiesResponse, seconds)
        return _rpcs(answer.capabilities)

    async def create_volume(
        self, request: m.CreateVolumeRequest, seconds: float = LONG
    ) -> m.CreateVolumeResponse:
        """Make a volume."""
        return await self._call(
            CONTROLLER + "CreateVolume", request, m.CreateVolumeResponse, seconds
        )

    async def delete_volume(self, request: m.DeleteVolumeRequest, seconds: float = LONG) -> None:
        """Remove a volume."""
        await self._call(CONTROLLER + "DeleteVolume", request, m.Empty, seconds)

    async def controller_publish_volume(
        self, request: m.ControllerPublishVolumeRequest, seconds: float = LONG
    ) -> m.ControllerPublishVolumeResponse:
        """Attach a volume to a node."""
        method = CONTROLLER + "ControllerPublishVolume"
        return await self._call(method, request, m.ControllerPublishVolumeResponse, seconds)

    async def controller_unpublish_volume(
        self, request: m.ControllerUnpublishVolumeRequest, seconds: float = LONG
    ) -> None:
        """Detach a volume from a node."""
        await self._call(CONTROLLER + "ControllerUnpublishVolume", request, m.Empty, seconds)

    async def validate_volume_capabilities(
        self, request: m.ValidateVolumeCapabilitiesRequest, seconds: float = LONG
    ) -> m.ValidateVolumeCapabilitiesResponse:
        """Ask whether a volume can be used in some way."""
        method = CONTROLLER + "ValidateVolumeCapabilities"
        return await self._call(method, request, m.ValidateVolumeCapabilitiesResponse, seconds)

    async def list_volumes(
        self, request: m.ListVolumesRequest, seconds: float = LONG
    ) -> m.ListVolumesResponse:
        """Return a page of volumes."""
        return await self._call(CONTROLLER + "ListVolumes", request, m.ListVolumesResponse, seconds)

    async def get_capacity(
        self, request: m.GetCapacityRequest, seconds: float = LONG
    ) -> m.GetCapacityResponse:
        """Ask how much storage is left."""
        return await self._call(CONTROLLER + "GetCapacity", request, m.GetCapacityResponse, seconds)

    async def controller_expand_volume(
        self, request: m.ControllerExpandVolumeRequest, seconds: float = LONG
    ) -> m.ControllerExpandVolumeResponse:
        """Let a volume grow."""
        method = CONTROLLER + "ControllerExpandVolume"
        return await self._call(method, request, m.ControllerExpandVolumeResponse, seconds)

    async def controller_modify_volume(
        self, request: m.ControllerModifyVolumeRequest, seconds: float = LONG
    ) -> None:
        """Change what can be changed about a volume."""
        await self._call(CONTROLLER + "ControllerModifyVolume", request, m.Empty, seconds)

    async def create_snapshot(
        self, request: m.CreateSnapshotRequest, seconds: float = LONG
    ) -> m.CreateSnapshotResponse:
        """Take a snapshot."""
        return await self._call(
            CONTROLLER + "CreateSnapshot", request, m.CreateSnapshotResponse, seconds
        )

    async def delete_snapshot(
        self, request: m.DeleteSnapshotRequest, seconds: float = LONG
    ) -> None:
        """Remove a snapshot."""
        await self._call(CONTROLLER + "DeleteSnapshot", request, m.Empty, seconds)

    async def list_snapshots(
        self, request: m.ListSnapshotsRequest, seconds: float = LONG
    ) -> m.ListSnapshotsResponse:
        """Return a page of snapshots."""
        return await self._call(
            CONTROLLER + "ListSnapshots", request, m.ListSnapshotsResponse, seconds
        )

    # --- node

    async def node_get_info(self, seconds: float = LONG) -> m.NodeGetInfoResponse:
        """Ask what the driver calls this node."""
        return await self._call(NODE + "NodeGetInfo", EMPTY, m.NodeGetInfoResponse, seconds)

    async def node_get_capabilities(self, seconds: float = LONG) -> frozenset[int]:
        """Return what the node service can do: NodeRpc values."""
        method = NODE + "NodeGetCapabilities"
        answer = await self._call(method, EMPTY, m.GetCapabilitiesResponse, seconds)
        return _rpcs(answer.capabilities)

    async def node_stage_volume(
        self, request: m.NodeStageVolumeRequest, seconds: float = LONG
    ) -> None:
        """Make an attached volume usable on the node."""
        await self._call(NODE + "NodeStageVolume", request, m.Empty, seconds)

    async def node_unstage_volume(
        self, request: m.NodeUnstageVolumeRequest, seconds: float = LONG
    ) -> None:
        """Take back what staging did."""
        await self._call(NODE + "NodeUnstageVolume", request, m.Empty, seconds)

    async def node_publish_volume(
        self, request: m.NodePublishVolumeRequest, seconds: float = LONG
    ) -> None:
        """Bring a volume to a pod."""
        await self._call(NODE + "NodePublishVolume", request, m.Empty, seconds)

    async def node_unpublish_volume(
        self, request: m.NodeUnpublishVolumeRequest, seconds: float = LONG
    ) -> None:
        """Take a volume away from a pod."""
        await self._call(NODE + "NodeUnpublishVolume", request, m.Empty, seconds)

    async def node_get_volume_stats(
        self, request: m.NodeGetVolumeStatsRequest, seconds: float = LONG
    ) -> m.NodeGetVolumeStatsResponse:
        """Ask how full a volume is."""
        method = NODE + "NodeGetVolumeStats"
        return await self._call(method, request, m.NodeGetVolumeStatsResponse, seconds)

    async def node_expand_volume(
        self, request: m.NodeExpandVolumeRequest, seconds: float = LONG
    ) -> m.NodeExpandVolumeResponse:
        """Let a file system grow after its volume."""
        return await self._call(
            NODE + "NodeExpandVolume", request, m.NodeExpandVolumeResponse, seconds
        )

    async def _call(
        self, method: str, request: msgspec.Struct, answer: type[T], seconds: float
    ) -> T:
        encoded = Codec(type(request)).encode(request)
        data = await self.transport.call(method, encoded, seconds)
        try:
            return Codec(answer).decode(data)
        except ProtobufError as error:
            raise CsiError("INTERNAL", f"{method}: {error}") from None


def at_socket(path: str) -> Csi:
    """Return the driver at a socket on this machine."""
    return Csi(SocketTransport(path))


def _rpcs(capabilities: Iterable[m.ServiceCapability]) -> frozenset[int]:
    return frozenset(c.rpc.type for c in capabilities if c.rpc is not None)
