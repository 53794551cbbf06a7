"""`kybern up`: start a cluster on this machine and return when its node is Ready.

In:   the flags, and what an earlier `up` left in the data directory.
Out:  a running supervisor; the line that points kubectl at the cluster.
By:   cli/main.py. A cluster that runs is left alone; what is not said stays as it was last time.
"""

from __future__ import annotations

import contextlib
import errno
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from kybern.lib.clock import SYSTEM, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.cluster.directory import Directory

SERVER_TIMEOUT = 60.0  # seconds; a cold disk and a large store may need it
NODE_TIMEOUT = 120.0
LOOK_AGAIN = 2  # seconds; meanwhile a program may have ended


@dataclass(frozen=True, slots=True)
class Request:
    """The flags of `kybern up`; None for what was not said."""

    port: int | None = None
    store: str | None = None
    control_plane_only: bool | None = None
    runtime_endpoint: str | None = None
    token: str | None = None
    nodes: int = 1
    foreground: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """The settings that were said."""
        names = ("port", "store", "control_plane_only", "runtime_endpoint", "token")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def run(directory: Directory, request: Request) -> None:
    """Start the cluster unless it runs already."""
    if request.nodes != 1:
        raise typer.BadParameter(
            "several nodes on one machine are not supported yet: leave --nodes out."
        )
    began = SYSTEM.now()
    if processes.find(directory) is not None:
        _accept(directory, request)
        return
    chosen = _check(directory, request)
    with _telling(directory), directory.locked():
        slower = processes.find(directory) is not None  # than another `up`
        if not slower:
            chosen = prepare(directory, chosen)
            _start(directory, chosen)
    if slower:
        _accept(directory, request)
        return
    try:
        with step("Waiting for the API server", f"API server answers at {chosen.server}"):
            _wait_server(directory, chosen)
        if not chosen.control_plane_only:
            with step("Waiting for the node", f"Node {chosen.node_name} is Ready"):
                _wait_node(directory, chosen, began)
    except BaseException:
        say("Stopping what was started …")
        with contextlib.suppress(processes.StopTimeoutError):
            processes.stop(directory)
        raise
    _hint(directory, chosen)
    if request.foreground:
        follow(directory)


def _accept(directory: Directory, request: Request) -> None:
    """Take a cluster that runs for the one asked for, if it is, as soon as it is ready."""
    chosen = settings_of(directory)
    for name, value in request.said.items():
        if getattr(chosen, name) != value:
            flag = f"--{name.replace('_', '-')}"
            raise Failed(
                f"the cluster in {directory.root} is running already, with another {flag}: stop "
                f"it with `kybern down --data-dir {shlex.quote(str(directory.root))}` first."
            )
    _wait_server(directory, chosen)
    if not chosen.control_plane_only:
        _wait_node(directory, chosen)
    say(f"The cluster in {directory.root} is running already; nothing to do.")
    _hint(directory, chosen)


def _check(directory: Directory, request: Request) -> Settings:
    """Return what is asked for, when this machine can do it; nothing is written yet."""
    with _telling(directory):
        chosen = _asked_for(directory, request)
    if problems := prerequisites.missing(
        node=not chosen.control_plane_only, runtime=chosen.runtime_endpoint
    ):
        raise Failed(" ".join(problems))
    if not slots.port_is_free(chosen.port):
        raise Failed(
            f"port {chosen.port} is taken by another program: stop it, or choose another port "
            "with --port."
        )
    with _telling(directory):
        directory.make()
    return chosen


def prepare(directory: Directory, chosen: Settings) -> Settings:
    """Write everything the processes need."""
    chosen = _settle(directory, chosen)
    settings_file.save(chosen, directory.settings)
    with step("Preparing certificates", "Certificates are in place"):
        certificates.ensure(directory, chosen)
        kubeconfigs.write(directory, chosen)
    return chosen


def _start(directory: Directory, chosen: Settings) -> None:
    try:
        with step("Starting the processes", "Started the processes"):
            processes.start(directory, *programs.of(directory, chosen))
    except processes.StartError as error:
        raise Failed(str(error)) from None
    except KeyboardInterrupt:
        processes.stop(directory)
        raise


@contextlib.contextmanager
def _telling(directory: Directory) -> Iterator[None]:
    """Say in one sentence what went wrong with the data directory."""
    try:
        yield
    except (settings_file.SettingsError, slots.NoSlotError, certificates.DamagedError) as error:
        raise Failed(str(error)) from None
    except OSError as error:
        space = "Free some space or choose" if error.errno == errno.ENOSPC else "Choose"
        raise Failed(
            f"cannot write to {error.filename or directory.root}: {error.strerror}. "
            f"{space} another directory with --data-dir."
        ) from None


def _asked_for(directory: Directory, request: Request) -> Settings:
    """Return the settings of the last time, with what is said now."""
    chosen = msgspec.structs.replace(
        _earlier(directory) or Settings(data_dir=str(directory.root)), **request.said
    )
    if problems := chosen.check():
        raise typer.BadParameter(" ".join(problems))
    return chosen


def _earlier(directory: Directory) -> Settings | None:
    try:
        return settings_file.load(directory.settings) if directory.settings.exists() else None
    except (PermissionError, NotADirectoryError):
        return None  # what comes next is refused as well, and can say more


def _settle(directory: Directory, chosen: Settings) -> Settings:
    """Return the settings with what the machine decides."""
    if chosen.control_plane_only:
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


def _wait_node(directory: Directory, chosen: Settings, since: float = 0.0) -> None:
    """Wait until the node says that it is Ready; what it said before `since` does not count."""
    path = (
        f"/api/v1/nodes?watch=1&fieldSelector=metadata.name%3D{chosen.node_name}"
        f"&timeoutSeconds={LOOK_AGAIN}&sendInitialEvents=true"
        "&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    )
    why, earliest = "it has not registered", rfc3339(since)
    deadline = SYSTEM.now() + NODE_TIMEOUT
    while SYSTEM.now() < deadline:
        try:
            for event in api.watch(directory, chosen, path, timeout=LOOK_AGAIN + 5):
                ready = _ready_condition(event["object"])
                if (ready.get("lastHeartbeatTime") or "") < earliest:
                    continue
                if ready.get("status") == "True":
                    return
                why = ready.get("message") or why
        except OSError as error:
            _check_processes(directory)
            why = f"{why}; {error}"
            break
        _check_processes(directory)
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
    if found is None:
        raise Failed("the cluster was stopped while it started.")
    for child in found[1]:
        if child.restarts:
            said = processes.tail(child.log, 1) or f"it ended with {child.last_exit}"
            raise Failed(f"{child.name} does not start: {said}\nIts log is {child.log}.")


def _hint(directory: Directory, chosen: Settings) -> None:
    say(f"\nThe cluster is at {chosen.server}. To use it:\n")
    sys.stdout.write(f"export KUBECONFIG={shlex.quote(str(directory.admin_kubeconfig))}\n")
    sys.stdout.flush()
