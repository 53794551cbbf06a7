"""Lead, or wait until the one who leads is gone: for programs of which several may run.

In:   `--leader-elect` and its times.
Out:  the work is done by one of them at a time.
By:   the entry points of scheduler and controller manager.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from kybern.client.leases import Election, Elector, LostLease
from kybern.cmd.flags import duration
from kybern.cmd.process import Fatal

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable

    from kybern.client.rest import Client
    from kybern.cmd.flags import Parser


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
        identity=f"{os.uname().nodename}_{uuid.uuid4()}",
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
