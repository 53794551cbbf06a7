"""What an earlier run may have left: a haproxy whose parent was killed, and its files.

In:   the directory of haproxy's files.
Out:  no such process; with `remove`, no such files.
By:   haproxy.py before it starts one, `cmd/cleanup.py`.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
from pathlib import Path

PATIENCE = 20.0  # seconds between SIGTERM and SIGKILL


def end(directory: Path) -> None:
    """End the haproxy of an earlier run, should there be one."""
    path = directory / "haproxy.pid"
    try:
        pid = int(path.read_text())
        descriptor = os.pidfd_open(pid)
    except (OSError, ValueError):
        return
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if str(directory).encode() in words:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            _wait_end(descriptor)
    except OSError:
        return  # it ended just now
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)


def remove(directory: Path) -> None:
    """End what is left of haproxy, and remove its files."""
    end(directory)
    shutil.rmtree(directory, ignore_errors=True)


def _wait_end(descriptor: int) -> None:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    if not poller.poll(int(PATIENCE * 1000)):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
