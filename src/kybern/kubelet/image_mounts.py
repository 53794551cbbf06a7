"""Mounting images by ourselves, for runtimes that cannot (containerd before 2.1).

In:   an image's name, a directory of a pod.
Out:  the image's files there, read-only, until the pod is gone.
By:   pods/image_volumes.py. The work is containerd's own, done by its `ctr`.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMESPACE = "k8s.io"
FIRST = {"containerd": (2, 1), "cri-o": (1, 31)}
"""From which version on runtimes mount images themselves."""


class CannotMountImage(Exception):
    """An image cannot be mounted; the message says why."""


def runtime_mounts_images(name: str, version: str) -> bool:
    """Say whether a runtime mounts images when it is asked to in a container's mounts."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    first = FIRST.get(name)
    if first is None or numbers is None:
        return True  # a runtime nobody here knows: it says so itself when it cannot
    return (int(numbers[1]), int(numbers[2])) >= first


class ImageMounts:
    """Images of a containerd, as directories."""

    def __init__(
        self, socket: Path | None, ctr: str, snapshotter: Callable[[], str] = lambda: ""
    ) -> None:
        """Take containerd's socket, None when there is none of ours, and its client."""
        self._socket = socket
        self._ctr = ctr
        self._snapshotter = snapshotter

    async def mount(self, image: str, place: Path) -> None:
        """Show an image at a place; one that is shown already stays.

        Raises:
            CannotMountImage: containerd would not, or there is none.
        """
        if self._socket is None or not self._ctr:
            raise CannotMountImage("the runtime is too old for image volumes: use containerd 2.1")
        if await asyncio.to_thread(os.path.ismount, place):
            return
        await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
        await self._run("mount", f"--snapshotter={self._snapshotter()}", image, str(place))

    async def release(self, place: Path) -> None:
        """Take away what was shown, with what containerd keeps for it.

        Raises:
            CannotMountImage: it is still in use.
        """
        if await asyncio.to_thread(os.path.ismount, place):
            await self._run("unmount", "--rm", f"--snapshotter={self._snapshotter()}", str(place))

    async def _run(self, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(
            self._ctr, "--address", str(self._socket), "--namespace", NAMESPACE, "images", *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, err = await process.communicate()
        if process.returncode:
            raise CannotMountImage(err.decode(errors="replace").strip().removeprefix("ctr: "))
