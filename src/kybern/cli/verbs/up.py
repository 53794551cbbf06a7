"""`kybern up`: start a cluster on this machine and return when its node is Ready.

In:   the flags, and what an earlier `up` left in the data directory.
Out:  a running supervisor; the line that points kubectl at the cluster.
By:   cli/main.py. A cluster that runs is left alone.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import typer

from kybern.cli import api
from kybern.cli.errors import Failed
from kybern.cli.loading import settings_of
from kybern.cli.output.progress import say, step
from kybern.cli.verbs.foreground import follow
from kybern.cluster import certificates, kubeconfigs, prerequisites, processes, programs, slots
from kybern.cluster import settings as settings_file
from kybern.cluster.settings import Settings

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory

SERVER_TIMEOUT = 60.0  # seconds; a cold disk and a large store may need it
NODE_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Request:
    """The flags of `kybern up`."""

    port: int
    store: str
    control_plane_only: bool
    runtime_endpoint: str
    token: str
    nodes: int
    foreground: bool


def run(directory: Directory, request: Request) -> None:
    """Start the cluster unless it runs already."""
    if request.nodes != 1:
        raise typer.BadParameter(
            "several nodes on one machine are not supported yet: leave --nodes out."
        )
    if processes.find(directory) is not None:
        chosen = settings_of(directory)
        say(f"The cluster in {directory.root} is running already; nothing to do.")
        _hint(directory, chosen)
        return
    chosen = prepare(directory, request)
    try:
        with step("Starting the processes", "Started the processes"):
            processes.start(directory, *programs.of(directory, chosen))
    except processes.StartError as error:
        raise Failed(str(error)) from None
    try:
        with step("Waiting for the API server", f"API server answers at {chosen.server}"):
            _wait_server(directory, chosen)
        if not chosen.control_plane_only:
            with step("Waiting for the node", f"Node {chosen.node_name} is Ready"):
                _wait_node(directory, chosen)
    except BaseException:
        with contextlib.suppress(processes.StopTimeoutError):
            processes.stop(directory)
        raise
    _hint(directory, chosen)
    if request.foreground:
        follow(directory)


def prepare(directory: Directory, request: Request) -> Settings:
    """Check the machine and write everything the processes need."""
    if problems := prerequisites.missing(
        node=not request.control_plane_only, own_runtime=not request.runtime_endpoint
    ):
        raise Failed(" ".join(problems))
    try:
        chosen = _settle(directory, request)
        directory.make()
        settings_file.save(chosen, directory.settings)
        with step("Preparing certificates", "Certificates are in place"):
            certificates.ensure(directory, chosen)
            kubeconfigs.write(directory, chosen)
    except (settings_file.SettingsError, slots.NoSlotError, certificates.DamagedError) as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(
            f"cannot write to {error.filename or directory.root}: {error.strerror}. "
            "Free some space or choose another directory with --data-dir."
        ) from None
    return chosen


def _settle(directory: Directory, request: Request) -> Settings:
    """Return the settings: what an earlier `up` chose stays, the flags are those of now."""
    earlier = settings_file.load(directory.settings) if directory.settings.exists() else None
    chosen = earlier or Settings(data_dir=str(directory.root))
    chosen = msgspec.structs.replace(
        chosen,
        port=request.port, store=request.store, token=request.token,
        control_plane_only=request.control_plane_only, runtime_endpoint=request.runtime_endpoint,
    )  # fmt: skip
    if problems := chosen.check():
        raise typer.BadParameter(" ".join(problems))
    if not slots.port_is_free(chosen.port):
        raise Failed(
            f"port {chosen.port} is taken by another program: stop it, or choose another port "
            "with --port."
        )
    if request.control_plane_only:
        return msgspec.structs.replace(chosen, node_ip=slots.node_address())
    networks = slots.networks(slots.claim(directory.root))
    return msgspec.structs.replace(
        chosen,
        **networks,
        node_name=chosen.node_name or slots.host_name(),
        node_ip=slots.node_address(),
        dns_port=slots.free_port(10053, datagrams=True),
        kubelet_port=slots.free_port(10250),
    )


def _wait_server(directory: Directory, chosen: Settings) -> None:
    last = ["it did not start"]

    def ready() -> bool:
        _check_processes(directory)
        if not api.listens(chosen):
            return False
        try:
            answer = api.get(directory, chosen, "/readyz", timeout=2.0)
        except OSError as error:
            last[0] = str(error)
            return False
        last[0] = answer.text
        return answer.status == 200

    if not processes.wait_until(ready, SERVER_TIMEOUT):
        raise Failed(
            f"the API server is not ready after {SERVER_TIMEOUT:.0f} s ({last[0]}): look into "
            f"{directory.logs / 'control-plane.log'}."
        )


def _wait_node(directory: Directory, chosen: Settings) -> None:
    path = (
        f"/api/v1/nodes?watch=1&fieldSelector=metadata.name%3D{chosen.node_name}"
        f"&timeoutSeconds={int(NODE_TIMEOUT)}&sendInitialEvents=true"
        "&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    )
    why = "it has not registered"
    try:
        for event in api.watch(directory, chosen, path, timeout=NODE_TIMEOUT):
            _check_processes(directory)
            ready = _ready_condition(event["object"])
            if ready.get("status") == "True":
                return
            why = ready.get("message") or why
    except OSError as error:
        why = f"{why}; {error}"
    raise Failed(
        f"the node {chosen.node_name} is not Ready after {NODE_TIMEOUT:.0f} s ({why}): look into "
        f"{directory.logs / 'node.log'}."
    )


def _ready_condition(node: dict) -> dict:  # type: ignore[type-arg]
    conditions = (node.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == "Ready"), {})


def _check_processes(directory: Directory) -> None:
    """A process that died at once will not come up by waiting: say what it said."""
    found = processes.find(directory)
    for child in found[1] if found else ():
        if child.restarts:
            said = processes.tail(child.log, 1) or f"it ended with {child.last_exit}"
            raise Failed(f"{child.name} does not start: {said}\nIts log is {child.log}.")


def _hint(directory: Directory, chosen: Settings) -> None:
    say(f"\nThe cluster is at {chosen.server}. To use it:\n")
    sys.stdout.write(f"export KUBECONFIG={directory.admin_kubeconfig}\n")
    sys.stdout.flush()
