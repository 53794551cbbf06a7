"""Local volumes hold what they were asked to, and no more."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from kybern.kubelet.volumes import local_images, mounts
from kybern.kubelet.volumes.local_images import InUse, LocalVolumeProblem, LocalVolumes

MB = 1 << 20


def can_mount() -> bool:
    return os.geteuid() == 0 and Path("/dev/loop-control").exists()


needs_loop = pytest.mark.skipif(not can_mount(), reason="needs root and loop devices")


@pytest.fixture
def volumes(tmp_path: Path):
    yield LocalVolumes(tmp_path / "volumes")
    mounts.unmount_below(str(tmp_path))


def size_of(path: str) -> int:
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


@needs_loop
@pytest.mark.e2e
def test_a_volume_holds_its_size_and_no_more(volumes: LocalVolumes) -> None:
    async def story() -> None:
        made = await volumes.ensure("pvc-1", 32 * MB)
        assert made.enforced
        assert 20 * MB < size_of(made.path) <= 32 * MB
        assert os.listdir(made.path) == []
        with pytest.raises(OSError, match="No space left"):
            Path(made.path, "large").write_bytes(bytes(40 * MB))
        Path(made.path, "large").unlink()
        Path(made.path, "kept").write_text("kept")
        assert await volumes.ensure("pvc-1", 32 * MB) == made
        grown = await volumes.ensure("pvc-1", 64 * MB)
        assert size_of(grown.path) > 40 * MB
        assert Path(grown.path, "kept").read_text() == "kept"
        await volumes.remove("pvc-1")
        await volumes.remove("pvc-1")
        assert not Path(made.path).exists()

    asyncio.run(story())


@needs_loop
@pytest.mark.e2e
def test_what_is_in_use_is_neither_removed_nor_grown_under_its_user(
    volumes: LocalVolumes, tmp_path: Path
) -> None:
    async def story() -> None:
        made = await volumes.ensure("pvc-1", 32 * MB)
        with Path(made.path, "open").open("wb") as file:
            with pytest.raises(LocalVolumeProblem, match="is in use"):
                await volumes.remove("pvc-1")
            try:
                await volumes.ensure("pvc-1", 64 * MB)
            except InUse:
                assert size_of(made.path) <= 32 * MB
            file.write(b"still works")
        bound = tmp_path / "bound"  # as a container has it
        bound.mkdir()
        mounts.mount(made.path, str(bound), "", mounts.MS_BIND)
        try:
            await volumes.ensure("pvc-1", 96 * MB)
        except InUse:
            assert size_of(made.path) <= 64 * MB
        Path(bound, "more").write_text("works")
        assert Path(made.path, "more").read_text() == "works"
        mounts.unmount(str(bound))
        grown = await volumes.ensure("pvc-1", 96 * MB)
        assert size_of(grown.path) > 70 * MB
        assert Path(grown.path, "open").read_bytes() == b"still works"

    asyncio.run(story())


@needs_loop
@pytest.mark.e2e
def test_after_a_restart_of_the_machine(volumes: LocalVolumes, tmp_path: Path) -> None:
    async def story() -> None:
        made = await volumes.ensure("pvc-1", 32 * MB)
        Path(made.path, "kept").write_text("kept")
        mounts.unmount_below(str(tmp_path))
        assert not Path(made.path).exists()  # so that no pod writes beside it
        await LocalVolumes(tmp_path / "volumes").mount_all()
        assert Path(made.path, "kept").read_text() == "kept"
        in_use = subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True)
        assert in_use.stdout.count(str(tmp_path)) == 1

    asyncio.run(story())


def test_without_loop_devices_it_is_a_directory(
    volumes: LocalVolumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_images, "_path", lambda: "/nowhere")

    async def story() -> None:
        made = await volumes.ensure("pvc-1", MB)
        assert not made.enforced
        Path(made.path, "file").write_text("x")
        await volumes.remove("pvc-1")
        assert not Path(made.path).exists()

    asyncio.run(story())


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", "A", "-a"])
def test_names_that_lead_elsewhere(volumes: LocalVolumes, name: str) -> None:
    with pytest.raises(LocalVolumeProblem, match="is no name"):
        asyncio.run(volumes.ensure(name, MB))
    with pytest.raises(LocalVolumeProblem, match="is no name"):
        asyncio.run(volumes.remove(name))
