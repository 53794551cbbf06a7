"""Being told by the kernel when a file or a directory changes.

In:   paths.
Out:  an event each time something is written, made or renamed there.
By:   logs.py, to follow logs without looking again and again.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

IN_MODIFY, IN_CREATE, IN_MOVED_TO, IN_DELETE, IN_DELETE_SELF = 0x2, 0x100, 0x80, 0x200, 0x400
BUFFER = 16 << 10


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class Notifier:
    """Waits for changes of some paths; use as `with Notifier() as notifier`."""

    def __init__(self) -> None:
        self._handle = -1
        self._changed = asyncio.Event()

    def __enter__(self) -> Notifier:
        self._handle = _libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        asyncio.get_running_loop().add_reader(self._handle, self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)

    def watch(self, path: str, mask: int = IN_MODIFY | IN_CREATE | IN_MOVED_TO) -> None:
        """Be told of changes of a path as well.

        Raises:
            OSError: the path does not exist, or there are too many watches.
        """
        if _libc().inotify_add_watch(self._handle, os.fsencode(path), ctypes.c_uint32(mask)) < 0:
            errno = ctypes.get_errno()
            raise OSError(errno, os.strerror(errno), path)

    async def wait(self) -> None:
        """Wait for a change since the last `wait` ended."""
        await self._changed.wait()
        self._changed.clear()

    def nudge(self) -> None:
        """Let `wait` end though nothing has changed."""
        self._changed.set()

    def _read(self) -> None:
        try:
            while os.read(self._handle, BUFFER):
                self._changed.set()
        except BlockingIOError:
            return
