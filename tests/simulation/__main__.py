"""`python -m tests.simulation --seed 7 --trace`, or `--seeds 0:1000`."""

from __future__ import annotations

import argparse
import faulthandler
import functools
import gc
import sys
import time
from collections import Counter

from tests.simulation.run import Outcome, fresh, simulate

LIMIT = 15  # real seconds for one seed
say = functools.partial(print, flush=True)


def main() -> int:
    """Run seeds; the exit code says whether all were well."""
    parser = argparse.ArgumentParser("simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run one seed")
    parser.add_argument("--seeds", default="0:100", metavar="A:B", help="run seeds A up to B")
    parser.add_argument("--trace", action="store_true", help="tell everything that happens")
    parser.add_argument("--digests", action="store_true", help="tell the digest of each seed")
    parser.add_argument("--stop", action="store_true", help="stop at the first that fails")
    args = parser.parse_args()
    if args.seed is not None:
        outcome = simulate(args.seed, trace=args.trace)
        say(*outcome.lines, sep="\n")
        report(outcome)
        return int(bool(outcome.violations))
    first, last = map(int, args.seeds.split(":"))
    return many(range(first, last), stop=args.stop, tell=args.digests)


def many(seeds: range, *, stop: bool = False, tell: bool = False) -> int:
    """Run seeds one after the other."""
    fresh()
    gc.collect()
    gc.freeze()
    failed: list[int] = []
    checked: Counter[str] = Counter()
    writes = 0
    began = time.process_time()
    for seed in seeds:
        faulthandler.dump_traceback_later(
            LIMIT, exit=True
        )  # what never waits never lets virtual time pass
        outcome = simulate(seed)
        faulthandler.cancel_dump_traceback_later()
        writes += outcome.writes
        checked += outcome.checked
        gc.collect()
        if outcome.violations or tell:
            report(outcome)
        if outcome.violations:
            failed.append(seed)
            if stop:
                break
    spent = time.process_time() - began
    say(
        f"{len(seeds)} seeds, {len(failed)} failed {failed or ''}; {writes} writes, "
        f"{spent:.1f} s of processor, {1000 * spent / len(seeds):.0f} ms a seed; {dict(checked)}"
    )
    return int(bool(failed))


def report(outcome: Outcome) -> None:
    """Say what became of a seed."""
    say(f"seed {outcome.seed} {outcome.digest} {outcome.writes} writes, {outcome.profile}")
    for violation in outcome.violations:
        say("   ", violation)


if __name__ == "__main__":
    sys.exit(main())
