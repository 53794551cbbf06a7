"""The layout of a data directory.

In:   the path given with `--data-dir`.
Out:  the path of everything in it.
By:   the command line and every program in `cmd/`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_ROOT = Path("/var/lib/kybern")


def default() -> Path:
    """Return where the state goes when nobody says: `/var/lib/kybern`, or below the home."""
    if os.geteuid() == 0:
        return DEFAULT_ROOT
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(state) / "kybern"


@dataclass(frozen=True, slots=True)
class Directory:
    """One data directory. Paths are below it; nothing outside belongs to the cluster."""

    root: Path

    @property
    def settings(self) -> Path:
        """What the cluster was told at `up`."""
        return self.root / "cluster.json"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def store(self) -> Path:
        """The SQLite file."""
        return self.root / "store" / "state.db"

    @property
    def kubeconfigs(self) -> Path:
        """One kubeconfig per component."""
        return self.root / "kubeconfigs"

    @property
    def admin_kubeconfig(self) -> Path:
        """The kubeconfig for the user."""
        return self.root / "admin.kubeconfig"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Sockets, process ids: meaningless after a reboot."""
        return self.root / "run"

    @property
    def processes(self) -> Path:
        """What the supervisor is to run."""
        return self.run / "processes.json"

    @property
    def state(self) -> Path:
        """What the supervisor runs."""
        return self.run / "state.json"

    @property
    def containerd(self) -> Path:
        """Containerd's root, state, socket and configuration."""
        return self.root / "containerd"

    @property
    def kubelet(self) -> Path:
        """Volumes, pod logs and checkpoints of the node."""
        return self.root / "kubelet"

    @property
    def nodes(self) -> Path:
        """One data directory for each further node on this machine, by number."""
        return self.root / "nodes"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time prepare and start the cluster; others wait."""
        with (self.run / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def make(self) -> None:
        """Create the directories, readable by their owner only."""
        for path in (self.root, self.pki, self.store.parent, self.kubeconfigs, self.logs, self.run):
            path.mkdir(parents=True, exist_ok=True)
        for path in (self.pki, self.store.parent, self.kubeconfigs, self.run):
            path.chmod(0o700)
