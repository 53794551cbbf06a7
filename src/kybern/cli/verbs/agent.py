"""`kybern agent`: make this machine a node of a cluster whose control plane is elsewhere.

In:   where that is, a bootstrap token; nothing of it, when this machine has joined before.
Out:  a running supervisor with containerd and the node; the cluster has a node more.
By:   cli/main.py. `down` stops it, `status` shows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import typer

from kybern.cli import readiness
from kybern.cli.errors import Failed
from kybern.cli.loading import settings_of
from kybern.cli.output.progress import say, step
from kybern.cli.telling import telling
from kybern.cli.verbs.foreground import follow
from kybern.cluster import fleet, prerequisites, processes, programs, slots
from kybern.cluster import settings as settings_file
from kybern.cluster.join import join_node
from kybern.cluster.join_discovery import JoinError
from kybern.cluster.settings import Settings
from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory
    from kybern.cluster.join import Facts

PORT = 6443


KEPT = (
    "runtime_endpoint", "ingress_http_port", "ingress_https_port", "shutdown_grace",
    "shutdown_grace_critical",
)  # fmt: skip
FLAGS = {
    "shutdown_grace": "--shutdown-grace-period",
    "shutdown_grace_critical": "--shutdown-grace-period-critical-pods",
}
"""Of these, the ones that have another name than their flag."""


@dataclass(frozen=True, slots=True)
class Request:
    """The flags of `kybern agent`; "" and None for what was not said."""

    server: str = ""
    token: str = ""
    ca_hash: str = ""
    node_name: str = ""
    node_ip: str = ""
    runtime_endpoint: str = ""
    ingress_http_port: int | None = None
    ingress_https_port: int | None = None
    shutdown_grace: float | None = None
    shutdown_grace_critical: float | None = None
    foreground: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """The settings that were said, and stay until something else is."""
        return {name: value for name in KEPT if (value := getattr(self, name)) not in ("", None)}


def run(directory: Directory, request: Request) -> None:
    """Join, unless this machine has; start the node, unless it runs."""
    began = SYSTEM.now()
    earlier = _earlier(directory)
    server = server_of(request, earlier)
    if processes.find(directory) is not None:
        _accept(directory, request, server)
        return
    kept = msgspec.structs.replace(
        earlier or Settings(data_dir=str(directory.root)), **request.said
    )
    if problems := kept.check():
        raise typer.BadParameter(" ".join(problems))
    if problems := prerequisites.missing(node=True, runtime=kept.runtime_endpoint):
        raise Failed(" ".join(problems))
    with telling(directory):
        directory.make()
        with directory.locked():
            chosen = _join(directory, request, server, earlier, kept)
            _start(directory, chosen)
    try:
        with step("Waiting for the node", f"Node {chosen.node_name} is Ready"):
            readiness.wait_nodes(directory, chosen, began)
    except BaseException:
        say("Stopping what was started …")
        with contextlib.suppress(processes.StopTimeoutError):
            fleet.stop([directory])
        raise
    if request.foreground:
        follow(directory)


def server_of(request: Request, earlier: Settings | None) -> str:
    """Return the URL of the API server, with its port.

    Raises:
        Failed: nobody said one, or it is none.
    """
    said = request.server or (earlier.api_server if earlier else "")
    if not said:
        raise Failed(
            "which cluster? Name its API server with --join https://HOST:PORT and a bootstrap "
            "token with --token: `kybern token create` prints both."
        )
    parts = urllib.parse.urlsplit(said if "://" in said else f"https://{said}")
    if parts.scheme != "https" or not parts.hostname:
        raise Failed(f"--join {said} is not the URL of an API server: use https://HOST:PORT.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}:{parts.port or PORT}"


def _earlier(directory: Directory) -> Settings | None:
    """Return the settings of this machine's node, if it has one."""
    if not directory.settings.exists():
        return None
    earlier = settings_of(directory)
    if not earlier.node_only:
        raise Failed(
            f"{directory.root} holds a cluster of its own: choose another directory for a node of "
            "another cluster, with --data-dir."
        )
    return earlier


def _accept(directory: Directory, request: Request, server: str) -> None:
    chosen = settings_of(directory)
    for name, value in request.said.items():
        if getattr(chosen, name) != value:
            raise Failed(
                f"the node in {directory.root} runs already, with another "
                f"{FLAGS.get(name) or '--' + name.replace('_', '-')}: stop it with "
                f"`kybern down --data-dir {directory.root}` first."
            )
    if chosen.api_server != server:
        raise Failed(
            f"the node in {directory.root} runs already, for {chosen.api_server}: stop it with "
            f"`kybern down --purge --data-dir {directory.root}` first."
        )
    readiness.wait_nodes(directory, chosen, before=readiness.restarts(directory))
    say(f"The node in {directory.root} is running already; nothing to do.")


def _join(
    directory: Directory, request: Request, server: str, earlier: Settings | None, kept: Settings
) -> Settings:
    """Get what a node needs from the cluster, and write it down."""
    if earlier is None and not request.token:
        raise Failed(
            "the cluster does not know this machine: name a bootstrap token with --token; "
            "`kybern token create` makes one where the control plane runs."
        )
    name = request.node_name or (earlier.node_name if earlier else slots.host_name())
    address = request.node_ip or _address_towards(server)
    with step(f"Joining the cluster at {server}", f"Joined the cluster at {server}"):
        try:
            facts = asyncio.run(
                join_node(server, request.token, request.ca_hash, name, directory, (address,))
            )
        except JoinError as error:
            raise Failed(str(error)) from None
    chosen = settings_for(directory, kept, facts, server, name, address)
    if chosen.dual_stack and (problem := prerequisites.no_ipv6()):
        raise Failed(problem)
    settings_file.save(chosen, directory.settings)
    return chosen


def settings_for(
    directory: Directory, kept: Settings, facts: Facts, server: str, name: str, address: str
) -> Settings:
    """Return the node's settings: what was said, what the cluster says, and what is free here."""
    both = "," in facts.cluster_cidr
    own = slots.networks(slots.claim(directory.root), dual_stack=both) | facts._asdict()
    return Settings(
        data_dir=str(directory.root),
        api_server=server,
        node_name=name,
        node_ip=address,
        node_ip6=slots.node_address6() if both else "",
        runtime_endpoint=kept.runtime_endpoint,
        ingress_http_port=kept.ingress_http_port,
        ingress_https_port=kept.ingress_https_port,
        shutdown_grace=kept.shutdown_grace,
        shutdown_grace_critical=kept.shutdown_grace_critical,
        dns_port=slots.free_port(10053, datagrams=True),
        kubelet_port=slots.free_port(10250),
        **own,
    )


def _address_towards(server: str) -> str:
    """Return the address from which this machine speaks to the API server."""
    host = urllib.parse.urlsplit(server).hostname or ""
    try:
        family, _, _, _, where = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(where)  # sends nothing
            return str(probe.getsockname()[0])
    except OSError as error:
        raise Failed(
            f"there is no way to {host} from here ({error.strerror}): check the address after "
            "--join, and this machine's network."
        ) from None


def _start(directory: Directory, chosen: Settings) -> None:
    try:
        with step("Starting the processes", "Started the processes"):
            processes.start(directory, *programs.of(directory, chosen))
    except processes.StartError as error:
        raise Failed(str(error)) from None
