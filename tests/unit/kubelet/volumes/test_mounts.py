"""What the kernel says is mounted. Needs root: real mounts, below a temporary directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from kybern.kubelet.volumes import mounts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "a place"
    (directory / "inner").mkdir(parents=True)
    yield directory
    mounts.unmount_below(str(tmp_path))


def test_a_directory_of_the_same_file_system(place: Path) -> None:
    inner = str(place / "inner")
    assert not mounts.is_mounted(inner)
    mounts.mount(str(place), inner, "none", mounts.MS_BIND)
    assert mounts.is_mounted(inner)
    assert not mounts.is_mounted(str(place))
    mounts.unmount(inner)
    assert not mounts.is_mounted(inner)


def test_mounts_that_others_see(place: Path) -> None:
    mounts.mount(str(place), str(place), "none", mounts.MS_BIND)
    mounts.mount("none", str(place), "none", mounts.MS_PRIVATE)
    mounts.share(str(place))
    before = mounts.mounts_below(str(place))
    assert len(before) == 2  # it was private, so there is another one on top
    mounts.share(str(place))
    mounts.share(str(place / "inner"))
    assert mounts.mounts_below(str(place)) == before
