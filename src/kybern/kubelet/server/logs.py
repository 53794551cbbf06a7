"""Reading a container's log, and following it while it grows.

In:   the log's path, what was asked for, whether the container still runs.
Out:  chunks of text.
By:   app.py. The log being followed is renamed when it is rotated; reading goes on in the new one.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from kybern.kubelet.server.inotify import Notifier
from kybern.kubelet.server.log_lines import LogOptions, parse_line, shown, tail_offset, wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager
    from io import BufferedReader
    from pathlib import Path

    Subscribe = Callable[[Callable[[], None]], AbstractContextManager[None]]

CHUNK = 64 << 10
TAIL_START = 64 << 10
# The runtime drains a container's output for a moment after its end is known.
LAST_LINES = 0.1


class LogReader:
    """Reads one log; `follow` says for how long to go on."""

    def __init__(self, path: Path, options: LogOptions) -> None:
        self._path = path
        self._options = options
        self._left = options.limit
        self._continues = False
        self._rest = b""

    async def chunks(
        self, still_runs: Callable[[], bool], subscribe: Subscribe
    ) -> AsyncIterator[bytes]:
        """Yield the log; with `follow`, until the container has ended.

        What is given to `subscribe` is called whenever `still_runs` may have another answer.
        """
        if self._options.tail == 0 and not self._options.follow:
            return
        with Notifier() as notifier, subscribe(notifier.nudge):
            handle = self._path.open("rb")
            try:
                handle.seek(_start(handle, self._options.tail))
                watched = False
                while True:
                    while data := handle.read(CHUNK):
                        if text := self._take(data):
                            yield text
                        if self._done:
                            return
                        await asyncio.sleep(0)
                    if not self._options.follow:
                        break
                    if fresh := self._rotated(handle):
                        handle.close()
                        handle, watched = fresh, False
                        continue
                    if not watched:
                        notifier.watch(str(self._path))
                        notifier.watch(str(self._path.parent))
                        watched = True
                        continue
                    if not still_runs():
                        await asyncio.sleep(LAST_LINES)
                        while data := handle.read(CHUNK):
                            yield self._take(data)
                        break
                    await notifier.wait()
                if text := self._finish():
                    yield text
            finally:
                handle.close()

    @property
    def _done(self) -> bool:
        return bool(self._options.limit) and self._left <= 0

    def _take(self, data: bytes) -> bytes:
        *records, self._rest = (self._rest + data).split(b"\n")
        return self._cut(b"".join(self._show(record) for record in records))

    def _finish(self) -> bytes:
        record, self._rest = self._rest, b""
        return self._cut(self._show(record)) if record else b""

    def _show(self, record: bytes) -> bytes:
        line = parse_line(record)
        if line is None or not wanted(line, self._options):
            return b""
        text = shown(line, self._options, continues=self._continues)
        self._continues = line.partial
        return text

    def _cut(self, text: bytes) -> bytes:
        if self._options.limit:
            text = text[: max(0, self._left)]
            self._left -= len(text)
        return text

    def _rotated(self, handle: BufferedReader) -> BufferedReader | None:
        try:
            current = self._path.stat()
        except FileNotFoundError:
            return None
        return self._path.open("rb") if current.st_ino != os.fstat(handle.fileno()).st_ino else None


def _start(handle: BufferedReader, tail: int) -> int:
    """Return where to begin so that the last `tail` lines are read."""
    size = handle.seek(0, os.SEEK_END)
    if tail < 0:
        return 0
    span = TAIL_START
    while True:
        begin = max(0, size - span)
        handle.seek(begin)
        data = handle.read(size - begin)
        if begin:
            data = data[data.find(b"\n") + 1 :]
        offset = tail_offset(data, tail)
        if offset >= 0 and (offset > 0 or begin == 0):
            return size - len(data) + offset
        span *= 4
