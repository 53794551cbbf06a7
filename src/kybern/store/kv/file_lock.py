"""One process per file.

In:   the path of a file.
Out:  a lock that goes away with the process, also when it is killed.
By:   `sqlite_file`.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from kybern.store.interface import StoreLocked

if TYPE_CHECKING:
    from pathlib import Path


class FileLock:
    """Keeps other processes of ours off a file, by a file `<name>.lock` beside it."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            StoreLocked: another process, or this one, has it.
            OSError: the lock's file cannot be made.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(f"{path}.lock", flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StoreLocked(
                f"{path} is in use by process {holder or '(unknown)'}: stop that one first, or"
                " choose another data directory"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)
