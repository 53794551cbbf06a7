"""`kybern scheduler`: the scheduler alone, against any API server.

In:   flags with upstream's names, a kubeconfig.
Out:  pods get nodes; health and metrics over HTTPS.
By:   the command line; whoever swaps one part of a cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.cmd import election, flags
from kybern.cmd.process import run
from kybern.scheduler.config import SchedulerConfig

if TYPE_CHECKING:
    from argparse import Namespace

PORT = 10259


def main() -> None:
    """Run a scheduler."""
    args = parse()
    run(lambda: scheduler(args), "scheduler")


def parse(words: list[str] | None = None) -> Namespace:
    """Read the flags."""
    parser = flags.Parser("scheduler", "Find nodes for pods.")
    flags.add_client(parser)
    flags.add_window(parser, PORT)
    election.add_flags(parser, "kube-scheduler")
    parser.option("--scheduler-name", "the pods which are its own", default="default-scheduler")
    parser.refuse("--config", "use the flags")
    args = parser.parse_args(words)
    parser.check([*election.check(args), *config_of(args).check()])
    return args


def config_of(args: Namespace) -> SchedulerConfig:
    """Return the scheduler's settings."""
    return SchedulerConfig(name=args.scheduler_name)


async def scheduler(args: Namespace) -> None:
    """Schedule until cancelled."""
    from kybern.client.rest import Client
    from kybern.client.tls import TlsTransport
    from kybern.cmd.serving import Window, open_tls_window
    from kybern.lib.clock import SYSTEM
    from kybern.scheduler.loop import Scheduler

    flags.configure_logs(args)
    client = Client(TlsTransport(flags.client_config(args)), SYSTEM, user_agent="kube-scheduler")
    scheduler = Scheduler(config_of(args), client)
    window = Window(scheduler.ready.is_set, client)
    try:
        async with open_tls_window(args, window, "kube-scheduler"):
            await election.lead(args, client, scheduler.run)
    finally:
        await client.transport.close()


if __name__ == "__main__":
    main()
