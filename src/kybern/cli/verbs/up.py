"""`kybern up`: start a cluster on this machine and return when its nodes are Ready.

In:   the flags, and what an earlier `up` left in the data directory.
Out:  a running supervisor; the line that points kubectl at the cluster.
By:   cli/main.py. A cluster that runs is left alone, but for the number of its nodes; what is not
      said stays as it was last time.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import typer

from kybern.cli import readiness
from kybern.cli.errors import Failed
from kybern.cli.loading import settings_of
from kybern.cli.output.progress import say, step
from kybern.cli.telling import telling
from kybern.cli.verbs import scaling
from kybern.cli.verbs.foreground import follow
from kybern.cluster import (
    certificates,
    fleet,
    kubeconfigs,
    networks,
    prerequisites,
    processes,
    programs,
    slots,
)
from kybern.cluster import settings as settings_file
from kybern.cluster.settings import Settings
from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory


FLAGS = {
    "shutdown_grace": "--shutdown-grace-period",
    "shutdown_grace_critical": "--shutdown-grace-period-critical-pods",
    "lease_duration": "--leader-elect-lease-duration",
    "node_monitor_grace": "--node-monitor-grace-period",
    "autoscaler_period": "--horizontal-pod-autoscaler-sync-period",
}
"""Of the settings that have another name than their flag."""


@dataclass(frozen=True, slots=True)
class Request:
    """The flags of `kybern up`; None for what was not said."""

    port: int | None = None
    store: str | None = None
    control_plane_only: bool | None = None
    runtime_endpoint: str | None = None
    token: str | None = None
    encryption_provider_config: str | None = None
    nodes: int | None = None
    lease_duration: float | None = None
    node_monitor_grace: float | None = None
    autoscaler_period: float | None = None
    shutdown_grace: float | None = None
    shutdown_grace_critical: float | None = None
    ingress_http_port: int | None = None
    ingress_https_port: int | None = None
    service_cidr: str | None = None
    cluster_cidr: str | None = None
    load_balancer_cidr: str | None = None
    dual_stack: bool = False
    foreground: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """The settings that were said."""
        names = (
            "shutdown_grace", "shutdown_grace_critical",
            "port", "store", "control_plane_only", "runtime_endpoint", "token", "nodes",
            "service_cidr", "cluster_cidr", "load_balancer_cidr",
            "lease_duration", "node_monitor_grace", "autoscaler_period",
            "encryption_provider_config", "ingress_http_port", "ingress_https_port",
        )  # fmt: skip
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def run(directory: Directory, request: Request) -> None:
    """Start the cluster unless it runs already."""
    began = SYSTEM.now()
    if processes.find(directory) is not None:
        _accept(directory, request)
        return
    chosen = _check(directory, request)
    with telling(directory), directory.locked():
        slower = processes.find(directory) is not None  # than another `up`
        if not slower:
            chosen = prepare(directory, chosen)
            _start(directory, chosen)
    if slower:
        _accept(directory, request)
        return
    try:
        with step("Waiting for the API server", f"API server answers at {chosen.server}"):
            readiness.wait_server(directory, chosen)
        _wait_nodes(directory, chosen, began)
        if fleet.surplus(directory, chosen):  # there were more the last time
            with directory.locked():
                scaling.scale(directory, chosen, chosen.nodes)
    except BaseException:
        say("Stopping what was started …")
        with contextlib.suppress(processes.StopTimeoutError):
            fleet.stop_all(directory, chosen)
        raise
    _hint(directory, chosen)
    if request.foreground:
        follow(directory)


def _accept(directory: Directory, request: Request) -> None:
    """Take a cluster that runs for the one asked for, if it is, as soon as it is ready."""
    chosen = settings_of(directory)
    for name, value in request.said.items():
        if name != "nodes" and getattr(chosen, name) != value:
            flag = FLAGS.get(name) or f"--{name.replace('_', '-')}"
            raise Failed(
                f"the cluster in {directory.root} is running already, with another {flag}: stop "
                f"it with `kybern down --data-dir {shlex.quote(str(directory.root))}` first."
            )
    if request.dual_stack and not chosen.dual_stack:
        raise Failed(other_networks(directory))
    nodes = [fleet.directory_of(directory, index) for index in range(2, chosen.nodes + 1)]
    before = readiness.restarts(directory, *nodes)
    readiness.wait_server(directory, chosen, before)
    with telling(directory), directory.locked():
        changed = scaling.scale(directory, chosen, request.nodes or chosen.nodes)
    readiness.wait_nodes(directory, settings_of(directory), before=before)
    say(f"The cluster in {directory.root} is running already; {changed or 'nothing to do'}.")
    _hint(directory, chosen)


def _wait_nodes(directory: Directory, chosen: Settings, began: float) -> None:
    if chosen.control_plane_only:
        return
    names = fleet.names(directory, chosen)
    said = f"Node {names[0]} is" if len(names) == 1 else f"{len(names)} nodes are"
    with step("Waiting for the nodes", f"{said} Ready"):
        readiness.wait_nodes(directory, chosen, began)


def _check(directory: Directory, request: Request) -> Settings:
    """Return what is asked for, when this machine can do it; nothing is written yet."""
    with telling(directory):
        chosen = _asked_for(directory, request)
    if problems := prerequisites.missing(
        node=not chosen.control_plane_only, runtime=chosen.runtime_endpoint
    ):
        raise Failed(" ".join(problems))
    if chosen.dual_stack and (problem := prerequisites.no_ipv6()):
        raise Failed(problem)
    if not slots.port_is_free(chosen.port):
        raise Failed(
            f"port {chosen.port} is taken by another program: stop it, or choose another port "
            "with --port."
        )
    with telling(directory):
        directory.make()
    return chosen


def prepare(directory: Directory, chosen: Settings) -> Settings:
    """Write everything the processes need."""
    chosen = _settle(directory, chosen)
    settings_file.save(chosen, directory.settings)
    with step("Preparing certificates", "Certificates are in place"):
        certificates.ensure(directory, chosen)
        kubeconfigs.write(directory, chosen)
        fleet.prepare(directory, chosen)
    return chosen


def _start(directory: Directory, chosen: Settings) -> None:
    try:
        with step("Starting the processes", "Started the processes"):
            processes.start(directory, *programs.of(directory, chosen))
            fleet.start(directory, chosen)
    except processes.StartError as error:
        fleet.stop_all(directory, chosen)
        raise Failed(str(error)) from None
    except KeyboardInterrupt:
        fleet.stop_all(directory, chosen)
        raise


def _asked_for(directory: Directory, request: Request) -> Settings:
    """Return the settings of the last time, with what is said now."""
    earlier = _earlier(directory)
    chosen = msgspec.structs.replace(
        earlier or Settings(data_dir=str(directory.root)), **request.said
    )
    chosen = networks.asked_for(chosen, request.service_cidr, request.cluster_cidr,
                                dual_stack=request.dual_stack)  # fmt: skip
    if problems := chosen.check():
        raise typer.BadParameter(" ".join(problems))
    if earlier is not None and networks.are_kept(earlier) and networks.differ(earlier, chosen):
        raise Failed(other_networks(directory))
    return chosen


def other_networks(directory: Directory) -> str:
    """Return what is said of a cluster that is to get other networks than it has."""
    return (
        f"the cluster in {directory.root} has its networks for good, as Services and nodes have "
        "addresses of them: make another one with --data-dir, or remove this one with `kybern "
        f"down --purge --data-dir {shlex.quote(str(directory.root))}` first."
    )


def _earlier(directory: Directory) -> Settings | None:
    try:
        earlier = settings_file.load(directory.settings) if directory.settings.exists() else None
    except (PermissionError, NotADirectoryError):
        return None  # what comes next is refused as well, and can say more
    if earlier is not None and earlier.node_only:
        raise Failed(
            f"{directory.root} holds a node of the cluster at {earlier.api_server}: start it with "
            "`kybern agent`, or choose another directory with --data-dir."
        )
    return earlier


def _settle(directory: Directory, chosen: Settings) -> Settings:
    """Return the settings with what the machine decides."""
    if chosen.control_plane_only:
        chosen = networks.of_slot(chosen, chosen.slot)
        return msgspec.structs.replace(chosen, node_ip=slots.node_address())
    kept = chosen.slot if networks.are_kept(chosen) else None
    chosen = networks.of_slot(chosen, slots.claim(directory.root, earlier=kept))
    if problems := networks.problems(chosen):
        raise Failed(" ".join(problems))
    here = slots.node_address()
    return msgspec.structs.replace(
        chosen,
        node_name=chosen.node_name or slots.host_name(),
        # other nodes cannot reach this one's loopback
        node_ip=chosen.gateway if here == slots.LOOPBACK and chosen.nodes > 1 else here,
        node_ip6=slots.node_address6() if chosen.dual_stack else "",
        dns_port=slots.free_port(10053, datagrams=True),
        kubelet_port=slots.free_port(10250),
    )


def _hint(directory: Directory, chosen: Settings) -> None:
    say(f"\nThe cluster is at {chosen.server}. To use it:\n")
    sys.stdout.write(f"export KUBECONFIG={shlex.quote(str(directory.admin_kubeconfig))}\n")
    sys.stdout.flush()
