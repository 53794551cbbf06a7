"""Volumes on the node's own disk, each no larger than it was asked to be.

In:   a name and a size in bytes.
Out:  a directory that holds so much and no more.
By:   server/app.py, for the provisioner of the class `local-path`; agent.py after a start.

Each volume is a file with an ext4 file system in it, mounted through a loop device. The file is
sparse: it takes what is written, not what was asked for. Where that cannot be done (no loop
devices, no mkfs.ext4) the volume is a plain directory, and who asks is told that nothing limits it.

Pods get the directory `data` inside: beside it is `lost+found`, which databases do not like, and
while the volume is not mounted, `data` is not there and no pod can write beside its volume.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from kybern.kubelet.volumes import mounts
from kybern.lib import logs

if TYPE_CHECKING:
    from pathlib import Path

log = logs.get("kubelet.local-volumes")

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?").fullmatch
SMALLEST = 1 << 20  # bytes; mkfs.ext4 makes nothing smaller
WITH_JOURNAL = 16 << 20
IMAGE, DATA = ".img", "data"
PATIENCE = 60.0  # seconds for a program
RELEASES, RELEASE = 20, 0.05  # looks, and the seconds between them


class LocalVolumeProblem(Exception):
    """A volume cannot be made, grown or removed; the message says why."""


class InUse(LocalVolumeProblem):
    """A volume can only grow while no pod has it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"volume {name} can only grow while no pod uses it")


class Made(NamedTuple):
    """A volume that is there."""

    path: str
    enforced: bool
    """Whether it cannot hold more than it was asked to."""


class LocalVolumes:
    """The volumes in one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._locks: dict[str, asyncio.Lock] = {}
        self._wanted: dict[str, int] = {}
        """Sizes of volumes that were in use when they were to grow."""

    async def ensure(self, name: str, size: int) -> Made:
        """Make a volume, or let it grow to the size; doing it again changes nothing.

        Raises:
            LocalVolumeProblem: it cannot be made; what was begun is removed.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            try:
                made = await asyncio.to_thread(self._ensure, name, size)
            except InUse:
                self._wanted[name] = size
                raise
            self._wanted.pop(name, None)
            return made

    async def before_use(self, path: str) -> None:
        """Let a volume grow that could not before, now that a pod is about to use it again."""
        for name, size in list(self._wanted.items()):
            if path == str(self._root / name / DATA):
                with contextlib.suppress(InUse):  # by another pod
                    await self.ensure(name, size)

    async def remove(self, name: str) -> None:
        """Remove a volume and what is in it; nothing happens when there is none.

        Raises:
            LocalVolumeProblem: something still uses it.
        """
        async with self._locks.setdefault(name, asyncio.Lock()):
            await asyncio.to_thread(self._remove, name)
        self._locks.pop(name, None)

    async def mount_all(self) -> None:
        """Mount what is there, after the machine was started again."""
        await asyncio.to_thread(self._mount_all)

    # --- in a thread: programs and disks take their time -----------------------------------

    def _ensure(self, name: str, size: int) -> Made:
        image, directory = self._places(name)
        if not directory.exists():
            self._make(image, directory, max(size, SMALLEST))
        if image.exists():
            _mount(image, directory)
            _grow(image, directory, size)
        (directory / DATA).mkdir(exist_ok=True)
        (directory / DATA).chmod(0o777)  # whoever the pod's programs run as
        return Made(str(directory / DATA), image.exists())

    def _remove(self, name: str) -> None:
        image, directory = self._places(name)
        try:
            if directory.is_mount():
                mounts.unmount(str(directory), lazily=False)
        except OSError as error:
            raise LocalVolumeProblem(f"volume {name} is in use: {error.strerror}") from None
        image.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)

    def _mount_all(self) -> None:
        for image in sorted(self._root.glob(f"*{IMAGE}")):
            try:
                _mount(image, image.with_suffix(""))
            except LocalVolumeProblem as problem:
                log.error("a volume cannot be mounted", volume=image.stem, reason=str(problem))

    def _places(self, name: str) -> tuple[Path, Path]:
        if not NAME(name):
            raise LocalVolumeProblem(f"{name!r} is no name for a volume")
        return self._root / f"{name}{IMAGE}", self._root / name

    def _make(self, image: Path, directory: Path, size: int) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        self._root.chmod(0o711)
        part = image.with_suffix(".part")
        journal = [] if size >= WITH_JOURNAL else ["-O", "^has_journal"]
        try:
            part.touch(0o600)
            os.truncate(part, size)
            _run("mkfs.ext4", "-q", "-F", "-m", "0", *journal, str(part))
            part.rename(image)
            _mount(image, directory)
        except (LocalVolumeProblem, OSError) as problem:
            log.warning("nothing limits the volume", volume=directory.name, reason=str(problem))
            part.unlink(missing_ok=True)
            image.unlink(missing_ok=True)
            directory.mkdir(exist_ok=True)


def _mount(image: Path, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    if not directory.is_mount():
        _run("mount", "-o", "loop,nosuid,nodev", str(image), str(directory))


def _grow(image: Path, directory: Path, size: int) -> None:
    """Let a volume grow: at once where the kernel lets us, else while no pod has it."""
    before = image.stat().st_size
    if before >= size:
        return
    device = _run("findmnt", "-n", "-o", "SOURCE", "-M", str(directory)).strip()
    os.truncate(image, size)
    try:
        _run("losetup", "-c", device)
        _run("resize2fs", device)
    except LocalVolumeProblem:  # growing what is mounted takes CAP_SYS_RESOURCE
        os.truncate(image, before)
        _run("losetup", "-c", device)
        _grow_unmounted(image, directory, size)


def _grow_unmounted(image: Path, directory: Path, size: int) -> None:
    try:
        mounts.unmount(str(directory), lazily=False)
    except OSError:
        raise InUse(directory.name) from None
    try:
        _wait_released(image)
        _run("e2fsck", "-f", "-p", str(image))
        os.truncate(image, size)
        _run("resize2fs", str(image))
    finally:
        _mount(image, directory)


def _wait_released(image: Path) -> None:
    """Wait until no mount holds an image.

    A container that is just being made has copies of all mounts, and drops them a moment later;
    one that uses the volume keeps its own.

    Raises:
        InUse: it is one of the latter.
    """
    for _ in range(RELEASES):
        if not _run("losetup", "-j", str(image)).strip():
            return
        time.sleep(RELEASE)
    raise InUse(image.stem)


def _run(*command: str) -> str:
    """Run a program; return what it printed.

    Raises:
        LocalVolumeProblem: with what it said.
    """
    env = {**os.environ, "PATH": _path(), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LocalVolumeProblem(str(error)) from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        why = said[-1] if said else f"it ended with {done.returncode}"
        raise LocalVolumeProblem(f"{command[0]}: {why}")
    return done.stdout


def _path() -> str:
    # Where these programs are, which is not in everybody's PATH.
    return "/usr/local/sbin:/usr/sbin:/sbin:" + os.environ.get("PATH", "/usr/bin:/bin")
