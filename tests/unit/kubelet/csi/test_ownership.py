"""Giving a volume to a group."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from kybern.kubelet.csi.ownership import applies, give
from kybern.kubelet.csi.source import CsiVolume

if TYPE_CHECKING:
    from pathlib import Path

VOLUME = CsiVolume("data", "v", "d", "h", fs_type="ext4", modes=("ReadWriteOnce",))


@pytest.mark.parametrize(
    ("volume", "policy", "group", "does"),
    [
        (VOLUME, "", 42, True),
        (VOLUME, "ReadWriteOnceWithFSType", 42, True),
        (VOLUME, "", None, False),
        (VOLUME, "None", 42, False),
        (CsiVolume("d", "v", "d", "h", modes=("ReadWriteOnce",)), "", 42, False),
        (CsiVolume("d", "v", "d", "h", fs_type="ext4", modes=("ReadWriteMany",)), "", 42, False),
        (CsiVolume("d", "v", "d", "h", modes=("ReadWriteMany",)), "File", 42, True),
        (CsiVolume("d", "v", "d", "h", read_only=True), "File", 42, False),
        (CsiVolume("d", "v", "d", "h", block=True), "File", 42, False),
    ],
)
def test_when(volume: CsiVolume, policy: str, group: int | None, does: bool) -> None:
    assert applies(volume, policy, group) is does


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_everything_is_given(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch(0o600)
    volume = tmp_path / "volume"
    inner = volume / "inner"
    inner.mkdir(parents=True, mode=0o700)
    file = inner / "file"
    file.touch(0o604)
    (inner / "link").symlink_to(outside)
    give(str(volume), 42)
    assert [path.stat().st_gid for path in (volume, inner, file)] == [42, 42, 42]
    assert stat.S_IMODE(file.stat().st_mode) == 0o664
    assert stat.S_IMODE(inner.stat().st_mode) & 0o2770 == 0o2770
    assert (outside.stat().st_gid, stat.S_IMODE(outside.stat().st_mode)) == (0, 0o600)

    late = inner / "late"
    late.touch(0o600)
    os.chown(late, 0, 0)
    give(str(volume), 42, when_wrong=True)
    assert late.stat().st_gid == 0  # the volume itself is right already
    give(str(volume), 43, when_wrong=True)
    assert late.stat().st_gid == 43
