"""Following the encryption configuration while the server runs.

In:   the file, looked at every minute, as upstream does.
Out:  new rules for the store; what is wrong with the file, in the log.
By:   cmd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.lib import logs
from kybern.store.encryption import config

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.lib.clock import Clock
    from kybern.store.objects import Store

PERIOD = 60.0

log = logs.get("store")


async def follow(path: Path, store: Store, clock: Clock) -> None:
    """Give the store the rules of the file whenever it changes; keep the old ones if it is bad."""
    known = _read(path)
    while True:
        await clock.sleep(PERIOD)
        found = _read(path)
        if found == known:
            continue
        known = found
        try:
            store.encrypt(config.load(path))
        except config.ConfigError as error:
            log.error("the encryption configuration stays as it was", reason=str(error))
        else:
            log.info("the encryption configuration was read again", path=str(path))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None  # what is wrong with it, `load` says
