"""The `kybern` command: the list of verbs, and what happens to their failures."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kybern.cli.errors import Failed
from kybern.cluster import directory

if TYPE_CHECKING:
    from kybern.cli.deeds import Deeds

app = typer.Typer(
    name="kybern",
    help="Kubernetes, written in Python: a whole cluster in one command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
images = typer.Typer(name="image", help="Put images into the nodes.", no_args_is_help=True)
snapshots = typer.Typer(
    name="snapshot", help="Save the cluster in a file, and bring it back.", no_args_is_help=True
)
tokens = typer.Typer(name="token", help="Let machines join the cluster.", no_args_is_help=True)
app.add_typer(images)
app.add_typer(snapshots)
app.add_typer(tokens)
stores = typer.Typer(name="store", help="Work on stores.", no_args_is_help=True)
app.add_typer(stores)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="All state; /var/lib/kybern when you are root."),
]
IngressHttp = Annotated[
    int | None, typer.Option(help="Where nodes take HTTP for Ingresses; 0: any.  [80]")
]
IngressHttps = Annotated[
    int | None, typer.Option(help="Where nodes take HTTPS for Ingresses; 0: any.  [443]")
]
DualStack = Annotated[
    bool, typer.Option("--dual-stack", help="IPv6 beside IPv4, for pods, Services and nodes.")
]
ServiceCidr = Annotated[
    str | None,
    typer.Option(
        metavar="NETWORKS", help="Of ClusterIPs: one, or one of IPv4 and one of IPv6 with a comma."
    ),
]
BalancerCidr = Annotated[
    str | None,
    typer.Option(
        "--load-balancer-cidr",
        metavar="NETWORKS",
        help="What LoadBalancer Services get addresses from; the same.  [behind the nodes']",
    ),
]
ClusterCidr = Annotated[str | None, typer.Option(metavar="NETWORKS", help="Of pods; the same.")]
Encryption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help='Encrypt what this EncryptionConfiguration says; "" for nothing.'
    ),
]


def _duration(text: str) -> float:
    from kybern.cli.verbs.token import duration

    return duration(text)


Grace = Annotated[
    float | None,
    typer.Option(
        "--node-monitor-grace-period",
        metavar="TIME",
        parser=_duration,
        help="How long a node may be silent until it counts as lost.  [50s]",
    ),
]
Scaling = Annotated[
    float | None,
    typer.Option(
        "--horizontal-pod-autoscaler-sync-period",
        metavar="TIME",
        parser=_duration,
        help="How often autoscalers look at what is used.  [15s]",
    ),
]


ShutdownGrace = Annotated[
    float | None,
    typer.Option(
        "--shutdown-grace-period",
        metavar="TIME",
        parser=_duration,
        help="What pods have to end before the machine shuts down.  [0s]",
    ),
]
CriticalGrace = Annotated[
    float | None,
    typer.Option(
        "--shutdown-grace-period-critical-pods",
        metavar="TIME",
        parser=_duration,
        help="How much of it is for critical pods alone.  [0s]",
    ),
]


def _directory(path: Path | None) -> directory.Directory:
    chosen = path or os.environ.get("KYBERN_DATA_DIR") or directory.default()
    return directory.Directory(Path(chosen).absolute())


def _absolute(path: str | None) -> str | None:
    """Return a path that means the same in another directory."""
    return path and os.path.abspath(path)


@app.command()
def up(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Port of the API server.  [6443]")] = None,
    store: Annotated[
        str | None,
        typer.Option(help="sqlite (a file in DIR), etcd://HOST:PORT,… or memory.  [sqlite]"),
    ] = None,
    control_plane_only: Annotated[
        bool | None,
        typer.Option(
            "--control-plane-only/--no-control-plane-only",
            help="No node: no root, no containerd needed.",
        ),
    ] = None,
    runtime_endpoint: Annotated[
        str | None,
        typer.Option(metavar="SOCKET", help="Use this CRI runtime, not our own containerd."),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="A static bearer token of system:masters, for scripts.")
    ] = None,
    encryption_provider_config: Encryption = None,
    nodes: Annotated[
        int | None, typer.Option(help="Nodes on this machine, each in its own network.  [1]")
    ] = None,
    dual_stack: DualStack = False,
    service_cidr: ServiceCidr = None,
    cluster_cidr: ClusterCidr = None,
    load_balancer_cidr: BalancerCidr = None,
    ingress_http_port: IngressHttp = None,
    ingress_https_port: IngressHttps = None,
    shutdown_grace: ShutdownGrace = None,
    shutdown_grace_critical: CriticalGrace = None,
    node_monitor_grace: Grace = None,
    autoscaler_period: Scaling = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, log to the terminal, stop on Ctrl-C.")
    ] = False,
) -> None:
    """Start a cluster on this machine; wait for its node.

    What you do not say stays as it was when the cluster in DIR was last started; what was never
    said is the value in brackets.
    """
    from kybern.cli.verbs.up import Request, run

    request = Request(
        port=port, store=store, control_plane_only=control_plane_only,
        runtime_endpoint=runtime_endpoint, token=token, nodes=nodes, foreground=foreground,
        dual_stack=dual_stack, service_cidr=service_cidr, cluster_cidr=cluster_cidr,
        load_balancer_cidr=load_balancer_cidr,
        encryption_provider_config=_absolute(encryption_provider_config),
        ingress_http_port=ingress_http_port, ingress_https_port=ingress_https_port,
        shutdown_grace=shutdown_grace, shutdown_grace_critical=shutdown_grace_critical,
        node_monitor_grace=node_monitor_grace, autoscaler_period=autoscaler_period,
    )  # fmt: skip
    run(_directory(data_dir), request)


@app.command()
def server(
    data_dir: DataDir = None,
    join: Annotated[
        str, typer.Option(metavar="URL", help="Be one more control plane of the cluster there.")
    ] = "",
    token: Annotated[str, typer.Option(help="From `kybern token create --server`.")] = "",
    ca_hash: Annotated[
        str, typer.Option(metavar="HASH", help="sha256:… of the cluster's authority.")
    ] = "",
    port: Annotated[int | None, typer.Option(help="Port of the API server.  [6443]")] = None,
    store: Annotated[
        str | None, typer.Option(help="Where the data is, as for `up`; not with --join.")
    ] = None,
    lease_duration: Annotated[
        str,
        typer.Option(
            "--leader-elect-lease-duration",
            metavar="TIME",
            help="How long the others wait for a silent control plane.  [14s]",
        ),
    ] = "",
    node_monitor_grace: Grace = None,
    autoscaler_period: Scaling = None,
    encryption_provider_config: Encryption = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, log to the terminal, stop on Ctrl-C.")
    ] = False,
) -> None:
    """Start a control plane without a node: the first, or one more over the same etcd."""
    from kybern.cli.verbs.server import Request, run

    request = Request(
        join.rstrip("/"), token, ca_hash, port, store, lease_duration,
        _absolute(encryption_provider_config), foreground, node_monitor_grace,
        autoscaler_period,
    )  # fmt: skip
    run(_directory(data_dir), request)


@app.command()
def agent(
    data_dir: DataDir = None,
    join: Annotated[
        str, typer.Option(metavar="URL", help="API server of the cluster: https://HOST:PORT.")
    ] = "",
    token: Annotated[str, typer.Option(help="A bootstrap token: `kybern token create`.")] = "",
    ca_hash: Annotated[
        str, typer.Option(metavar="HASH", help="sha256:… of the cluster's authority.")
    ] = "",
    node_name: Annotated[str, typer.Option(help="Name of the node.  [the machine's]")] = "",
    node_ip: Annotated[
        str, typer.Option(help="Its address.  [the one from which it reaches the API server]")
    ] = "",
    runtime_endpoint: Annotated[
        str, typer.Option(metavar="SOCKET", help="Use this CRI runtime, not our own containerd.")
    ] = "",
    ingress_http_port: IngressHttp = None,
    ingress_https_port: IngressHttps = None,
    shutdown_grace: ShutdownGrace = None,
    shutdown_grace_critical: CriticalGrace = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, log to the terminal, stop on Ctrl-C.")
    ] = False,
) -> None:
    """Make this machine a node of a cluster elsewhere; wait until it is Ready.

    A machine that has joined needs no flags to start again. Stop it with `kybern down`.
    """
    from kybern.cli.verbs.agent import Request, run

    request = Request(
        server=join, token=token, ca_hash=ca_hash, node_name=node_name, node_ip=node_ip,
        runtime_endpoint=runtime_endpoint, foreground=foreground,
        ingress_http_port=ingress_http_port, ingress_https_port=ingress_https_port,
        shutdown_grace=shutdown_grace, shutdown_grace_critical=shutdown_grace_critical,
    )  # fmt: skip
    run(_directory(data_dir), request)


@app.command()
def down(
    data_dir: DataDir = None,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data too.")] = False,
) -> None:
    """Stop the cluster and its containers. Data stays."""
    from kybern.cli.verbs.down import run

    run(_directory(data_dir), purge=purge)


@app.command()
def status(data_dir: DataDir = None) -> None:
    """Show what runs where, since when, and how it is."""
    from kybern.cli.verbs.status import run

    raise typer.Exit(run(_directory(data_dir)))


@app.command()
def kubeconfig(data_dir: DataDir = None) -> None:
    """Print the kubeconfig of the administrator."""
    from kybern.cli.verbs.kubeconfig import run

    run(_directory(data_dir))


@images.command("load")
def image_load(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="docker save or OCI.")],
    data_dir: DataDir = None,
) -> None:
    """Put image archives into every node."""
    from kybern.cli.verbs.image import load

    load(_directory(data_dir), files, context.obj.load_image)


@snapshots.command("save")
def snapshot_save(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it is replaced.")],
    data_dir: DataDir = None,
) -> None:
    """Save the cluster, running or not: its objects, settings and keys."""
    from kybern.cli.verbs.snapshot import save

    save(_directory(data_dir), file, context.obj)


@snapshots.command("restore")
def snapshot_restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A snapshot.")],
    store: Annotated[
        str, typer.Option(help="sqlite or etcd://…: where the data is from now on.  [as before]")
    ] = "",
    data_dir: DataDir = None,
) -> None:
    """Bring a cluster back, here or on another machine; it must not be running.

    What is in DIR is put aside, not removed.
    """
    from kybern.cli.verbs.snapshot import restore

    restore(_directory(data_dir), file, store, context.obj)


@stores.command("migrate")
def store_migrate(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help="sqlite:PATH or etcd://…")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The same; empty.")],
) -> None:
    """Copy a store to another medium; nobody may write to either meanwhile.

    What was interrupted goes on where it was when you run it again.
    """
    from kybern.cli.verbs.store import migrate

    migrate(source, target, context.obj)


@tokens.command("create")
def token_create(
    token: Annotated[str, typer.Argument(metavar="[TOKEN]", help="Invented if left out.")] = "",
    data_dir: DataDir = None,
    ttl: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="How long it is good, 0 for ever.  [24h; servers: 2h]"),
    ] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    server: Annotated[
        bool, typer.Option("--server", help="For one more control plane, not for nodes.")
    ] = False,
    print_join_command: Annotated[
        bool, typer.Option("--print-join-command", help="Print what to type on the machine.")
    ] = False,
) -> None:
    """Make a token with which machines may join."""
    from kybern.cli.verbs.token import create

    create(
        _directory(data_dir), token, ttl=ttl or ("2h" if server else "24h"),
        description=description, server=server, command=print_join_command,
    )  # fmt: skip


@tokens.command("list")
def token_list(data_dir: DataDir = None) -> None:
    """Show the tokens there are."""
    from kybern.cli.verbs.token import listing

    listing(_directory(data_dir))


@tokens.command("delete")
def token_delete(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Whole, or its first part.")],
    data_dir: DataDir = None,
) -> None:
    """Delete a token; machines that joined with it stay."""
    from kybern.cli.verbs.token import delete

    delete(_directory(data_dir), token)


def version(show: bool) -> None:
    """Print the versions and leave."""
    if show:
        from importlib.metadata import version as of

        typer.echo(f"kybern {of('kybern')} (Kubernetes v1.36)")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Kubernetes, written in Python: a whole cluster in one command."""


def main(deeds: Deeds) -> None:
    """Run a verb; a failure is one sentence and exit code 1, never a traceback.

    Args:
        deeds: what components do for verbs; the command line does not know components.
    """
    try:
        app(prog_name="kybern", obj=deeds)
    except Failed as failure:
        sys.stderr.write(f"kybern: {failure}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        sys.stderr.write("kybern: interrupted.\n")
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:
        sys.stderr.write(f"kybern: {_explain(error)}\n")
        raise SystemExit(1) from None


def _explain(error: OSError) -> str:
    """Say what a system call that failed means to the user."""
    what = error.strerror or str(error)
    if error.filename:
        what = f"{error.filename}: {what}"
    if isinstance(error, PermissionError):
        return f"{what}. It belongs to another user: run this as root, or use another --data-dir."
    return f"{what}."
