"""Put image archives into the nodes of a cluster.

In:   a data directory and archives.
Out:  the names of the images that every node now has.
By:   `kybern image load`, to which main.py hands it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.cli.errors import Failed
from kybern.cluster.prerequisites import find
from kybern.cmd.containerd import socket_of
from kybern.kubelet import images

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.cluster.directory import Directory


def load(directory: Directory, path: Path) -> list[str]:
    """Load one archive.

    Raises:
        Failed: it cannot be loaded; one sentence.
    """
    try:
        return asyncio.run(images.load(path, socket_of(directory.root), find("ctr") or ""))
    except images.ImageError as error:
        raise Failed(str(error)) from None
