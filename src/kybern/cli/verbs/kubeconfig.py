"""`kybern kubeconfig`: print the administrator's kubeconfig."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kybern.cli.errors import Failed

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory


def run(directory: Directory) -> None:
    """Write the file to standard output."""
    try:
        sys.stdout.write(directory.admin_kubeconfig.read_text())
    except FileNotFoundError:
        raise Failed(
            f"there is no cluster in {directory.root}: start one with `kybern up`."
        ) from None
    except PermissionError:
        raise Failed(
            f"{directory.admin_kubeconfig} may only be read by its owner: run this as root."
        ) from None
