"""What is said to drivers, as bytes: numbers are the specification's, whatever we call the rest."""

from __future__ import annotations

import pytest

from kybern.csi import messages as m
from kybern.lib.protobuf import Codec


def text(number: int, value: str) -> bytes:
    data = value.encode()
    return bytes([number << 3 | 2, len(data)]) + data


def inner(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2, len(data)]) + data


def entry(number: int, key: str, value: str) -> bytes:
    return inner(number, text(1, key) + text(2, value))


MOUNT = m.VolumeCapability(
    mount=m.MountVolume("ext4", ["noatime"], "42"), access_mode=m.AccessMode(7)
)
MOUNT_BYTES = inner(2, text(1, "ext4") + text(2, "noatime") + text(3, "42")) + inner(3, b"\x08\x07")


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (m.VolumeCapability(block=m.BlockVolume()), inner(1, b"")),
        (MOUNT, MOUNT_BYTES),
        (
            m.NodeStageVolumeRequest("v", {"a": "b"}, "/s", MOUNT, {"k": "s"}, {"c": "d"}),
            text(1, "v") + entry(2, "a", "b") + text(3, "/s") + inner(4, MOUNT_BYTES)
            + entry(5, "k", "s") + entry(6, "c", "d"),
        ),
        (
            m.NodePublishVolumeRequest(
                "v", {"a": "b"}, "/s", "/t", MOUNT, True, {"k": "s"}, {"c": "d"}
            ),
            text(1, "v") + entry(2, "a", "b") + text(3, "/s") + text(4, "/t")
            + inner(5, MOUNT_BYTES) + b"\x30\x01" + entry(7, "k", "s") + entry(8, "c", "d"),
        ),
        (
            m.NodeExpandVolumeRequest("v", "/t", m.CapacityRange(1, 2), "/s", MOUNT, {"k": "s"}),
            text(1, "v") + text(2, "/t") + inner(3, b"\x08\x01\x10\x02") + text(4, "/s")
            + inner(5, MOUNT_BYTES) + entry(6, "k", "s"),
        ),
        (
            m.CreateVolumeRequest(
                name="n",
                capacity_range=m.CapacityRange(1),
                volume_capabilities=[MOUNT],
                parameters={"p": "q"},
                secrets={"k": "s"},
                volume_content_source=m.VolumeContentSource(volume=m.VolumeSource("o")),
                accessibility_requirements=m.TopologyRequirement(
                    [m.Topology({"zone": "a"})], [m.Topology({"zone": "a"})]
                ),
                mutable_parameters={"x": "y"},
            ),
            text(1, "n") + inner(2, b"\x08\x01") + inner(3, MOUNT_BYTES) + entry(4, "p", "q")
            + entry(5, "k", "s") + inner(6, inner(2, text(1, "o")))
            + inner(7, inner(1, entry(1, "zone", "a")) + inner(2, entry(1, "zone", "a")))
            + entry(8, "x", "y"),
        ),
        (
            m.ControllerPublishVolumeRequest("v", "n", MOUNT, True, {"k": "s"}, {"c": "d"}),
            text(1, "v") + text(2, "n") + inner(3, MOUNT_BYTES) + b"\x20\x01"
            + entry(5, "k", "s") + entry(6, "c", "d"),
        ),
        (
            m.ControllerExpandVolumeRequest("v", m.CapacityRange(1), {"k": "s"}, MOUNT),
            text(1, "v") + inner(2, b"\x08\x01") + entry(3, "k", "s") + inner(4, MOUNT_BYTES),
        ),
        (
            m.ControllerModifyVolumeRequest("v", {"k": "s"}, {"x": "y"}),
            text(1, "v") + entry(2, "k", "s") + entry(3, "x", "y"),
        ),
        (
            m.CreateSnapshotRequest("v", "n", {"k": "s"}, {"p": "q"}),
            text(1, "v") + text(2, "n") + entry(3, "k", "s") + entry(4, "p", "q"),
        ),
        (
            m.Snapshot(1, "s", "v", m.Timestamp(5, 6), True, "g"),
            b"\x08\x01" + text(2, "s") + text(3, "v") + inner(4, b"\x08\x05\x10\x06") + b"\x28\x01"
            + text(6, "g"),
        ),
        (
            m.NodeGetInfoResponse("n", 5, m.Topology({"zone": "a"})),
            text(1, "n") + b"\x10\x05" + inner(3, entry(1, "zone", "a")),
        ),
        (
            m.NodeGetVolumeStatsResponse([m.VolumeUsage(1, 2, 3, 1)], m.VolumeCondition(True, "x")),
            inner(1, b"\x08\x01\x10\x02\x18\x03\x20\x01") + inner(2, b"\x08\x01" + text(2, "x")),
        ),
        (
            m.GetCapacityResponse(1, m.Int64Value(2), m.Int64Value(3)),
            b"\x08\x01" + inner(2, b"\x08\x02") + inner(3, b"\x08\x03"),
        ),
        (
            m.ListVolumesResponse(
                [m.VolumeEntry(m.Volume(1, "v", {"c": "d"}), m.VolumeStatus(["n"]))], "t"
            ),
            inner(1, inner(1, b"\x08\x01" + text(2, "v") + entry(3, "c", "d"))
                  + inner(2, text(1, "n"))) + text(2, "t"),
        ),
        (
            m.GetPluginCapabilitiesResponse(
                [
                    m.PluginCapability(m.ServiceType(m.PluginService.CONTROLLER_SERVICE)),
                    m.PluginCapability(None, m.ExpansionType(m.Expansion.OFFLINE)),
                ]
            ),
            inner(1, inner(1, b"\x08\x01")) + inner(1, inner(2, b"\x08\x02")),
        ),
    ],
)  # fmt: skip
def test_numbers(message: object, data: bytes) -> None:
    assert Codec(type(message)).encode(message) == data
    assert Codec(type(message)).decode(data) == message
