"""`kybern up --foreground`: stay, show the logs, stop everything on Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from kybern.cli.loading import settings_of
from kybern.cli.output.progress import say
from kybern.cluster import fleet, processes

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.cluster.directory import Directory

INTERVAL = 0.25  # seconds between looks at the logs


class _StopError(Exception):
    """Somebody asked us to stop."""


def follow(directory: Directory) -> None:
    """Print what the processes log until interrupted or until the supervisor is gone."""

    def interrupt(*_: Any) -> None:
        raise _StopError

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    offsets: dict[Path, int] = {}
    try:
        while processes.find(directory) is not None:
            _print_news(directory, offsets)
            time.sleep(INTERVAL)
        say("The supervisor is gone.")
    except _StopError:
        say("Stopping …")
        fleet.stop_all(directory, settings_of(directory))
    _print_news(directory, offsets)


def _print_news(directory: Directory, offsets: dict[Path, int]) -> None:
    logs = [path for d in (directory, *fleet.members(directory)) for path in d.logs.glob("*.log")]
    for path in sorted(logs):
        size = path.stat().st_size
        start = offsets.get(path, size)  # what was there before we came is old news
        if size > start:
            with path.open("rb") as file:
                file.seek(start)
                text = file.read(size - start).decode("utf-8", "replace")
            name = _name(directory, path)
            sys.stdout.writelines(f"{name}: {line}\n" for line in text.splitlines())
            sys.stdout.flush()
        offsets[path] = size


def _name(directory: Directory, path: Path) -> str:
    """Return the name of a program, with the number of its node as `kybern status` has it."""
    place = path.parent.parent
    return path.stem if place == directory.root else f"{path.stem} {place.name}"
