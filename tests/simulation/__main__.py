"""`python -m tests.simulation --seed 7 --trace`, or `--seeds 0:1000`."""

from __future__ import annotations

import argparse
import functools
import sys

from tests.simulation.many import Summary, run_many
from tests.simulation.run import Outcome, simulate

say = functools.partial(print, flush=True)


def main() -> int:
    """Run seeds; the exit code says whether all were well."""
    parser = argparse.ArgumentParser("simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run one seed")
    parser.add_argument("--seeds", default="0:1000", metavar="A:B", help="run seeds A up to B")
    parser.add_argument("--trace", action="store_true", help="tell everything that happens")
    parser.add_argument("--digests", action="store_true", help="tell of every seed")
    parser.add_argument("--jobs", type=int, default=0, help="processes; one per processor")
    args = parser.parse_args()
    if args.seed is not None:
        outcome = simulate(args.seed, trace=args.trace)
        if args.trace:
            say(*outcome.lines, sep="\n")
        report(outcome)
        return int(bool(outcome.violations))
    first, last = map(int, args.seeds.split(":"))
    summary = Summary()
    for outcome, seconds in run_many(range(first, last), args.jobs):
        summary.add(outcome, seconds)
        if outcome.violations or args.digests:
            report(outcome)
    say(summary)
    return int(bool(summary.failed))


def report(outcome: Outcome) -> None:
    """Say what became of a seed."""
    say(f"seed {outcome.seed} {outcome.digest} {outcome.writes} writes, {outcome.profile}")
    for violation in outcome.violations:
        say("   ", violation)


if __name__ == "__main__":
    sys.exit(main())
