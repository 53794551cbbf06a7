"""Put image archives into the nodes of a cluster.

In:   a data directory and archives.
Out:  the names of the images that every node now has.
By:   `kybern image load`, to which main.py hands it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.cli.errors import Failed
from kybern.cluster import fleet
from kybern.cluster.prerequisites import find
from kybern.cmd.containerd import socket_of
from kybern.kubelet import images

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.cluster.directory import Directory


def load(directory: Directory, path: Path) -> list[str]:
    """Load one archive into every node.

    Raises:
        Failed: it cannot be loaded; one sentence.
    """
    places = [directory, *fleet.members(directory)]

    async def load_all() -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(images.load(path, socket_of(place.root), find("ctr") or ""))
                for place in places
            ]
        return tasks[0].result()

    try:
        return asyncio.run(load_all())
    except* images.ImageError as errors:
        raise Failed(str(errors.exceptions[0])) from None
