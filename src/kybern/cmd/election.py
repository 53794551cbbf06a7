"""Lead, or wait until the one who leads is gone: for programs of which several may run.

In:   `--leader-elect` and its times; or an Election.
Out:  the work is done by one of them at a time.
By:   the entry points of scheduler and controller manager; the control plane's components.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from typing import TYPE_CHECKING

from kybern.client.leases import Election, Elector, LostLease
from kybern.cmd.flags import duration
from kybern.cmd.process import Fatal
from kybern.lib import logs

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from kybern.client.rest import Client
    from kybern.cmd.flags import Parser

log = logs.get("election")


def add_flags(parser: Parser, lease: str) -> None:
    """Add upstream's flags about leading."""
    parser.switch("--leader-elect", "work only while no other of us does", default=True)
    for name, default, text in (
        ("lease-duration", 15.0, "how long the others wait for a silent leader"),
        ("renew-deadline", 10.0, "when a leader that cannot renew gives up"),
        ("retry-period", 2.0, "how often the lease is looked at"),
    ):
        parser.option(
            f"--leader-elect-{name}", text, type=duration, default=default, metavar="TIME"
        )
    parser.option("--leader-elect-resource-name", "name of the Lease", default=lease)
    parser.option(
        "--leader-elect-resource-namespace", "namespace of the Lease", default="kube-system"
    )


def check(args: Namespace) -> list[str]:
    """Return what is wrong with the times."""
    lease, renew, retry = times = (
        args.leader_elect_lease_duration,
        args.leader_elect_renew_deadline,
        args.leader_elect_retry_period,
    )
    if lease > renew > retry > 0 and lease >= 1:
        return []
    shown = ", ".join(f"{seconds:g}s" for seconds in times)
    return [
        "--leader-elect-lease-duration must be longer than --leader-elect-renew-deadline, and that "
        f"longer than --leader-elect-retry-period, not {shown}"
    ]


async def lead(args: Namespace, client: Client, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work for as long as we lead.

    Raises:
        Fatal: somebody else leads now.
    """
    if not args.leader_elect:
        await work()
        return
    election = Election(
        name=args.leader_elect_resource_name,
        identity=_new_identity(),
        namespace=args.leader_elect_resource_namespace,
        duration=args.leader_elect_lease_duration,
        renew=args.leader_elect_renew_deadline,
        retry=args.leader_elect_retry_period,
    )
    try:
        await Elector(client, election).run(work)
    except LostLease:
        raise Fatal(
            f"the lease {election.namespace}/{election.name} could not be renewed within "
            f"{election.renew:g} s, so somebody else may lead now: start this program again."
        ) from None


async def take_turns(
    client: Client, election: Election, work: Callable[[], Awaitable[None]]
) -> None:
    """Do the work whenever we lead, for ever."""
    while True:
        try:
            await Elector(client, election).run(work)
        except LostLease:
            log.warning(
                "somebody else may lead now: waiting for the next turn", lease=election.name
            )
        else:
            return


def own_identity(path: Path) -> str:
    """Return the identity of whoever works in a directory, the same after every start.

    Who is killed and started again so takes its lease up where it left it, and nobody waits for it
    to run out. That is safe because the file stays locked while its owner lives: a second process
    gets an identity of its own.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # until we end
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return _new_identity()
    identity = os.read(descriptor, 1024).decode()
    if not identity:
        identity = _new_identity()
        os.write(descriptor, identity.encode())
    return identity


def _new_identity() -> str:
    return f"{os.uname().nodename}_{uuid.uuid4()}"
