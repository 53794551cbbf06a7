"""The controller service of the driver: volumes, attachments, snapshots."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from kybern.csi import messages as m
from tests.csi.failing import Fail
from tests.csi.state import copy, make, remove

if TYPE_CHECKING:
    from pathlib import Path

    from tests.csi.options import Options
    from tests.csi.state import State, Tree

SMALLEST = 1 << 20
TOTAL = 1 << 40
CAN = (
    m.ControllerRpc.CREATE_DELETE_VOLUME,
    m.ControllerRpc.LIST_VOLUMES,
    m.ControllerRpc.LIST_VOLUMES_PUBLISHED_NODES,
    m.ControllerRpc.GET_CAPACITY,
    m.ControllerRpc.CREATE_DELETE_SNAPSHOT,
    m.ControllerRpc.LIST_SNAPSHOTS,
    m.ControllerRpc.CLONE_VOLUME,
    m.ControllerRpc.EXPAND_VOLUME,
    m.ControllerRpc.SINGLE_NODE_MULTI_WRITER,
    m.ControllerRpc.MODIFY_VOLUME,
)


class Controller:
    """Answers the calls of csi.v1.Controller."""

    def __init__(self, options: Options, state: State) -> None:
        self._options = options
        self._state = state

    def controller_get_capabilities(self, _request: m.Empty) -> m.GetCapabilitiesResponse:
        """Say what it can do."""
        can = [*CAN, m.ControllerRpc.PUBLISH_UNPUBLISH_VOLUME] if self._options.attach else CAN
        return m.GetCapabilitiesResponse([m.ServiceCapability(m.RpcType(rpc)) for rpc in can])

    # --- volumes

    def create_volume(self, request: m.CreateVolumeRequest) -> m.CreateVolumeResponse:
        """Make a volume, empty or with what is in another or in a snapshot."""
        if not request.name or not request.volume_capabilities:
            raise Fail("INVALID_ARGUMENT", "name and capabilities are required")
        sizes = request.capacity_range or m.CapacityRange()
        size = max(sizes.required_bytes, SMALLEST)
        if sizes.limit_bytes and size > sizes.limit_bytes:
            raise Fail("OUT_OF_RANGE", f"no volume is smaller than {SMALLEST} bytes")
        block = any(c.block is not None for c in request.volume_capabilities)
        volume_id = f"vol-{request.name}"
        with self._state.changing() as tree:
            known = tree["volumes"].get(volume_id)
            if known is not None and known["size"] < sizes.required_bytes:
                raise Fail("ALREADY_EXISTS", f"{request.name} is there with another size")
            if known is None:
                source, smallest = self._source(tree, request.volume_content_source)
                if size < smallest:
                    raise Fail("OUT_OF_RANGE", f"the source has {smallest} bytes")
                place = self._state.volume(volume_id)
                if source is None:
                    make(place, size, block=block)
                else:
                    copy(source, place)
                    if block:
                        os.truncate(place, size)
                known = tree["volumes"][volume_id] = {
                    "name": request.name, "size": size, "block": block, "nodes": [],
                    "parameters": request.parameters, "mutable": request.mutable_parameters,
                    "secrets": request.secrets, "topology": self._place(request),
                }  # fmt: skip
        answer = _volume(volume_id, known)
        answer.content_source = request.volume_content_source
        return m.CreateVolumeResponse(answer)

    def delete_volume(self, request: m.DeleteVolumeRequest) -> m.Empty:
        """Remove a volume."""
        with self._state.changing() as tree:
            known = tree["volumes"].get(request.volume_id)
            if known is not None and known["nodes"]:
                raise Fail("FAILED_PRECONDITION", f"attached to {', '.join(known['nodes'])}")
            if tree["volumes"].pop(request.volume_id, None) is not None:
                remove(self._state.volume(request.volume_id))
        return m.Empty()

    def list_volumes(self, request: m.ListVolumesRequest) -> m.ListVolumesResponse:
        """Return a page of volumes."""
        with self._state.changing() as tree:
            names, token = _page(sorted(tree["volumes"]), request)
            entries = [
                m.VolumeEntry(
                    _volume(name, tree["volumes"][name]),
                    m.VolumeStatus(list(tree["volumes"][name]["nodes"])),
                )
                for name in names
            ]
        return m.ListVolumesResponse(entries, token)

    def get_capacity(self, _request: m.GetCapacityRequest) -> m.GetCapacityResponse:
        """Say how much is left of what there is said to be."""
        with self._state.changing() as tree:
            used = sum(v["size"] for v in tree["volumes"].values())
        return m.GetCapacityResponse(max(0, TOTAL - used), m.Int64Value(TOTAL))

    def validate_volume_capabilities(
        self, request: m.ValidateVolumeCapabilitiesRequest
    ) -> m.ValidateVolumeCapabilitiesResponse:
        """Confirm everything about a volume that is there."""
        with self._state.changing() as tree:
            _known(tree, request.volume_id)
        return m.ValidateVolumeCapabilitiesResponse(
            m.Confirmed(request.volume_context, request.volume_capabilities, request.parameters)
        )

    def controller_expand_volume(
        self, request: m.ControllerExpandVolumeRequest
    ) -> m.ControllerExpandVolumeResponse:
        """Let a volume grow."""
        size = (request.capacity_range or m.CapacityRange()).required_bytes
        with self._state.changing() as tree:
            known = _known(tree, request.volume_id)
            known["size"] = max(size, known["size"])
            if known["block"]:
                os.truncate(self._state.volume(request.volume_id), known["size"])
            return m.ControllerExpandVolumeResponse(known["size"], self._options.node_expansion)

    def controller_modify_volume(self, request: m.ControllerModifyVolumeRequest) -> m.Empty:
        """Note the new parameters."""
        if "impossible" in request.mutable_parameters:
            raise Fail("INVALID_ARGUMENT", "that is impossible")
        with self._state.changing() as tree:
            _known(tree, request.volume_id)["mutable"] = request.mutable_parameters
        return m.Empty()

    # --- attachments

    def controller_publish_volume(
        self, request: m.ControllerPublishVolumeRequest
    ) -> m.ControllerPublishVolumeResponse:
        """Attach a volume."""
        mode = (request.volume_capability or m.VolumeCapability()).access_mode
        alone = mode is None or mode.mode not in (
            m.AccessModeType.MULTI_NODE_READER_ONLY,
            m.AccessModeType.MULTI_NODE_SINGLE_WRITER,
            m.AccessModeType.MULTI_NODE_MULTI_WRITER,
        )
        with self._state.changing() as tree:
            known = _known(tree, request.volume_id)
            others = [node for node in known["nodes"] if node != request.node_id]
            if others and alone:
                raise Fail("FAILED_PRECONDITION", f"attached to {', '.join(others)}")
            known["nodes"] = [*others, request.node_id]
        return m.ControllerPublishVolumeResponse({"attachedTo": request.node_id})

    def controller_unpublish_volume(self, request: m.ControllerUnpublishVolumeRequest) -> m.Empty:
        """Detach a volume."""
        with self._state.changing() as tree:
            known = tree["volumes"].get(request.volume_id)
            if known is not None:
                stay = [n for n in known["nodes"] if n != request.node_id]
                known["nodes"] = stay if request.node_id else []
        return m.Empty()

    # --- snapshots

    def create_snapshot(self, request: m.CreateSnapshotRequest) -> m.CreateSnapshotResponse:
        """Copy a volume."""
        snapshot_id = f"snap-{request.name}"
        with self._state.changing() as tree:
            known = tree["snapshots"].get(snapshot_id)
            if known is not None and known["volume"] != request.source_volume_id:
                raise Fail("ALREADY_EXISTS", f"{request.name} is of {known['volume']}")
            if known is None:
                volume = _known(tree, request.source_volume_id)
                copy(
                    self._state.volume(request.source_volume_id), self._state.snapshot(snapshot_id)
                )
                known = tree["snapshots"][snapshot_id] = {
                    "volume": request.source_volume_id, "size": volume["size"],
                    "time": int(time.time()), "parameters": request.parameters,
                    "secrets": request.secrets,
                }  # fmt: skip
        return m.CreateSnapshotResponse(_snapshot(snapshot_id, known))

    def delete_snapshot(self, request: m.DeleteSnapshotRequest) -> m.Empty:
        """Remove a snapshot."""
        with self._state.changing() as tree:
            if tree["snapshots"].pop(request.snapshot_id, None) is not None:
                remove(self._state.snapshot(request.snapshot_id))
        return m.Empty()

    def list_snapshots(self, request: m.ListSnapshotsRequest) -> m.ListSnapshotsResponse:
        """Return a page of snapshots."""
        with self._state.changing() as tree:
            chosen = [
                name
                for name, known in sorted(tree["snapshots"].items())
                if request.snapshot_id in ("", name)
                and request.source_volume_id in ("", known["volume"])
            ]
            names, token = _page(chosen, request)
            entries = [m.SnapshotEntry(_snapshot(n, tree["snapshots"][n])) for n in names]
        return m.ListSnapshotsResponse(entries, token)

    def _source(self, tree: Tree, source: m.VolumeContentSource | None) -> tuple[Path | None, int]:
        if source is None:
            return None, 0
        if source.snapshot is not None:
            known = tree["snapshots"].get(source.snapshot.snapshot_id)
            if known is None:
                raise Fail("NOT_FOUND", f"no snapshot {source.snapshot.snapshot_id}")
            return self._state.snapshot(source.snapshot.snapshot_id), known["size"]
        volume_id = source.volume.volume_id if source.volume is not None else ""
        return self._state.volume(volume_id), _known(tree, volume_id)["size"]

    def _place(self, request: m.CreateVolumeRequest) -> dict[str, str]:
        """Return the segments from which the volume can be reached; {} for all."""
        wanted = request.accessibility_requirements
        if not self._options.topology or wanted is None:
            return {}
        places = wanted.preferred or wanted.requisite
        return places[0].segments if places else {}


def _known(tree: Tree, volume_id: str) -> Tree:
    known: Tree | None = tree["volumes"].get(volume_id)
    if known is None:
        raise Fail("NOT_FOUND", f"no volume {volume_id}")
    return known


def _volume(volume_id: str, known: Tree) -> m.Volume:
    places = [m.Topology(known["topology"])] if known["topology"] else []
    return m.Volume(
        capacity_bytes=known["size"],
        volume_id=volume_id,
        volume_context={"name": known["name"]},
        accessible_topology=places,
    )


def _snapshot(snapshot_id: str, known: Tree) -> m.Snapshot:
    return m.Snapshot(
        size_bytes=known["size"],
        snapshot_id=snapshot_id,
        source_volume_id=known["volume"],
        creation_time=m.Timestamp(known["time"]),
        ready_to_use=True,
    )


def _page(
    names: list[str], request: m.ListVolumesRequest | m.ListSnapshotsRequest
) -> tuple[list[str], str]:
    begin = int(request.starting_token or "0")
    end = begin + request.max_entries if request.max_entries else len(names)
    return names[begin:end], str(end) if end < len(names) else ""
