"""Volumes of an NFS server, mounted by the node's own mount(8).

In:   server and path, options of the persistent volume, the directory of the pod's volume.
Out:  that directory, mounted; VolumeProblem with what mount(8) said.
By:   volumes/act.py.

Upstream's plugin does the same (pkg/volume/nfs). Where the kernel has no NFS or the helper program
is missing, the pod waits with an event that says which package to install.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.kubelet.volumes.content import VolumeProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.core.v1 import NFSVolumeSource

HELPERS = ("/sbin/mount.nfs", "/usr/sbin/mount.nfs")
PATIENCE = 150.0  # seconds: mount.nfs itself gives up after two minutes
MODE = 0o750


def command(source: NFSVolumeSource, options: Sequence[str], place: str) -> list[str]:
    """Return what mounts the volume.

    >>> from kybern.api.core.v1 import NFSVolumeSource
    >>> command(NFSVolumeSource(server="fd00::1", path="/data", readOnly=True), ["hard"], "/mnt")
    ['mount', '-t', 'nfs', '-o', 'hard,ro', '[fd00::1]:/data', '/mnt']
    """
    host = f"[{source.server}]" if ":" in source.server else source.server
    flags = [*options, *(["ro"] if source.readOnly else [])]
    chosen = ["-o", ",".join(flags)] if flags else []
    return ["mount", "-t", "nfs", *chosen, f"{host}:{source.path}", place]


def mount(source: NFSVolumeSource, options: Sequence[str], place: str) -> None:
    """Mount the volume; nothing happens when it is mounted already. Blocks: call it in a thread.

    Raises:
        VolumeProblem: it cannot be mounted; the directory is left as it was.
    """
    directory = Path(place)
    if os.path.ismount(directory):
        return
    if not any(os.path.exists(helper) for helper in HELPERS):
        raise VolumeProblem(
            "this node cannot mount NFS: mount.nfs is missing, install the package nfs-common"
        )
    directory.mkdir(parents=True, exist_ok=True, mode=MODE)
    words = command(source, options, place)
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=PATIENCE,
            stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise VolumeProblem(f"mount of {words[-2]} took more than {PATIENCE:.0f} s") from None
    except OSError as error:
        raise VolumeProblem(f"mount cannot be run: {error}") from None
    if done.returncode:
        directory.rmdir()
        raise VolumeProblem(
            f"mount failed: exit status {done.returncode}\nMounting command: mount\n"
            f"Mounting arguments: {' '.join(words[1:])}\nOutput: {done.stderr.strip()}"
        )
