"""`kybern server`: a control plane and no node; the first of a cluster, or one more.

In:   the flags; to join, the address of a control plane and a token made there.
Out:  as `kybern up --control-plane-only`, which does the work.
By:   cli/main.py.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import typer

from kybern.cli.errors import Failed
from kybern.cli.output.progress import say, step
from kybern.cli.verbs import up
from kybern.cli.verbs.token import duration
from kybern.cluster import settings as settings_file
from kybern.cluster.join_discovery import JoinError
from kybern.cluster.join_server import join_server
from kybern.cluster.settings import Settings

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory


@dataclass(frozen=True, slots=True)
class Request:
    """The flags of `kybern server`; None for what was not said."""

    join: str = ""
    token: str = ""
    ca_hash: str = ""
    port: int | None = None
    store: str | None = None
    lease_duration: str = ""
    encryption_provider_config: str | None = None
    foreground: bool = False
    node_monitor_grace: float | None = None
    autoscaler_period: float | None = None


def run(directory: Directory, request: Request) -> None:
    """Join where it is asked for, and start."""
    if bool(request.join) != bool(request.token):
        raise typer.BadParameter(
            "--join and --token go together: `kybern token create --server` prints both."
        )
    if request.join and request.store:
        raise typer.BadParameter("--store is the cluster's: leave it out to join one.")
    if request.join:
        _join(directory, request)
    up.run(
        directory,
        up.Request(
            port=request.port,
            store=request.store,
            control_plane_only=True,
            lease_duration=duration(request.lease_duration) if request.lease_duration else None,
            node_monitor_grace=request.node_monitor_grace,
            autoscaler_period=request.autoscaler_period,
            encryption_provider_config=request.encryption_provider_config,
            foreground=request.foreground,
        ),
    )


def _join(directory: Directory, request: Request) -> None:
    """Fetch what control planes share, unless this one has it from an earlier time."""
    if directory.settings.exists():
        say(f"{directory.root} belongs to a cluster already; not joining again.")
        return
    directory.make()
    with step("Joining the cluster", f"Joined the cluster at {request.join}"):
        try:
            shared = asyncio.run(
                join_server(request.join, request.token, request.ca_hash, directory)
            )
        except JoinError as error:
            raise Failed(str(error)) from None
    chosen = Settings(data_dir=str(directory.root), control_plane_only=True)
    settings_file.save(msgspec.structs.replace(chosen, **shared), directory.settings)
