"""Encryption at rest, for whoever opens a store.

In:   the file that `--encryption-provider-config` names.
Out:  rules for the store; a Fatal for what cannot be used.
By:   cmd.apiserver, cmd.control_plane.

Nothing of it is imported where no file is named.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kybern.cmd.process import Fatal
from kybern.lib.clock import SYSTEM
from kybern.store.interface import StoreError

if TYPE_CHECKING:
    from kybern.apiserver.app import ApiServer
    from kybern.lib.tasks import Tasks
    from kybern.store.encryption.rules import Rules
    from kybern.store.objects import Store


def rules(path: str | Path | None) -> Rules | None:
    """Read the file, if one is named.

    Raises:
        Fatal: it cannot be used.
    """
    if not path:
        return None
    from kybern.store.encryption import config

    try:
        return config.load(Path(path))
    except config.ConfigError as error:
        raise Fatal(f"{error}.") from None


def follow(path: str | Path | None, store: Store, tasks: Tasks) -> None:
    """Let the store follow the file, if one is named."""
    if path:
        from kybern.store.encryption import reload

        tasks.spawn_forever(lambda: reload.follow(Path(path), store, SYSTEM), "encryption")


async def start(server: ApiServer) -> None:
    """Start an API server.

    Raises:
        Fatal: what it starts with cannot be read or written, such as for want of a key.
    """
    try:
        await server.start()
    except* StoreError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise Fatal(f"the API server cannot start: {error}.") from None
