#!/usr/bin/env python3
"""Break the store, many times, and judge what its clients saw. Prints a table.

Usage: bench/faults.py [--kills N] [--api-kills N] [--rounds N] [--length SECONDS] [--seed N]
                       [--only WORD]

The short form of the same runs in CI (tests/faults). A row says how much was done while things
broke, and that all of it can be explained; what cannot be ends the run with the seed that shows it.
Needs root for the members of etcd, each of which gets a network namespace.
"""

import argparse
import asyncio
import contextlib
import logging
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvloop
from tests.contracts.store.etcd_fixture import etcd
from tests.faults import breaking, killing
from tests.faults.namespaces import machines

from kybern.lib.clock import SYSTEM

LOOP = asyncio.Runner(loop_factory=uvloop.new_event_loop)  # one for all: grpc stays with its first
LIVES = 25  # of one file; after them the next one begins

HEAD = """\
| what is broken | times | operations | writes answered | unanswered | lists compared | took |
|---|---|---|---|---|---|---|"""


class Row:
    """Figures of one kind of fault, added up."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.times = self.operations = self.answered = self.open = self.lists = 0
        self.began = time.monotonic()

    def add_tally(self, tally: killing.Tally) -> None:
        self.times += tally.kills
        self.operations += tally.operations
        self.answered += tally.answered_writes
        self.open += tally.under_way

    def add_verdict(self, verdict: breaking.Verdict) -> None:
        self.times += 1
        self.operations += verdict.operations
        self.answered += verdict.answered_writes
        self.open += verdict.open_writes
        self.lists += verdict.lists_compared

    def __str__(self) -> str:
        figures = (self.times, self.operations, self.answered, self.open, self.lists)
        cells = " | ".join(f"{figure:,}" if figure else "-" for figure in figures)
        return f"| {self.what} | {cells} | {time.monotonic() - self.began:.0f} s |"


def kill_stores(kills: int, seeds: Iterator[int]) -> Row:
    row = Row("a store's process on SQLite, kill -9 under 32 writers and compaction")
    while row.times < kills:
        with told(seeds) as seed, tempfile.TemporaryDirectory() as directory:
            lives = min(LIVES, kills - row.times)
            row.add_tally(killing.kill_stores(Path(directory) / "store.db", seed, lives))
    return row


def kill_api_servers(kills: int, seeds: Iterator[int]) -> Row:
    row = Row("an API server on SQLite, kill -9 under 32 clients over TLS")
    while row.times < kills:
        with told(seeds) as seed, tempfile.TemporaryDirectory() as directory:
            lives = min(LIVES, kills - row.times)
            run = killing.kill_api_servers(Path(directory), seed, lives)
            row.add_tally(asyncio.run(run))
    return row


def kill_one_of_two(kills: int, seeds: Iterator[int]) -> Row:
    row = Row("one of two API servers on etcd, kill -9 under 32 clients over TLS")
    while row.times < kills:
        with (
            told(seeds) as seed,
            etcd(3, tls=True) as members,
            tempfile.TemporaryDirectory() as directory,
        ):
            lives = min(LIVES, kills - row.times)
            run = killing.kill_api_servers(Path(directory), seed, lives, members.url, 2)
            row.add_tally(asyncio.run(run))
    return row


def break_etcd(name: str, rounds: int, seeds: Iterator[int]) -> Row:
    row = Row(f"three members of etcd: {name.replace('_', ' ')}")
    with machines() as members:
        for _ in range(rounds):
            with told(seeds) as seed:
                row.add_verdict(LOOP.run(breaking.study(members, seed, breaking.NAMED[name])))
    return row


def kill_with_tls(rounds: int, seeds: Iterator[int]) -> Row:
    row = Row("three members of etcd, with TLS: kill one")
    with etcd(3, tls=True) as members:
        for _ in range(rounds):
            with told(seeds) as seed:
                row.add_verdict(LOOP.run(breaking.study(members, seed, breaking.kill_one)))
    return row


def jump(rounds: int, seeds: Iterator[int]) -> Row:
    row = Row("three members of etcd: our clock jumps by an hour, forth or back")
    with machines() as members:
        for number in range(rounds):
            clock = breaking.Jumping(-3600 if number % 2 else 3600)
            with told(seeds) as seed:
                run = breaking.study(members, seed, clock.jump, clock, SYSTEM)
                row.add_verdict(LOOP.run(run))
    return row


@contextlib.contextmanager
def told(seeds: Iterator[int]) -> Iterator[int]:
    """Take the next seed; tell it when things go wrong."""
    seed = next(seeds)
    try:
        yield seed
    except BaseException:
        print(f"FAULTS_SEED={seed}", file=sys.stderr)
        raise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500, help="of the store's process")
    parser.add_argument("--api-kills", type=int, default=500, help="of API servers")
    parser.add_argument("--rounds", type=int, default=10, help="of each fault of etcd")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--only", default="", help="rows in whose name this word is")
    parser.add_argument("--length", type=float, default=15, help="seconds of an outage of etcd")
    args = parser.parse_args()
    breaking.LENGTH = args.length
    logging.disable(logging.WARNING)  # that members do not answer is no news here
    rng = random.Random(args.seed)
    seeds = iter(lambda: rng.randrange(1 << 32), None)
    rows = {
        "store": lambda: kill_stores(args.kills, seeds),
        "api": lambda: kill_api_servers(args.api_kills, seeds),
        "two": lambda: kill_one_of_two(args.api_kills, seeds),
        **{
            f"etcd {name}": lambda name=name: break_etcd(name, args.rounds, seeds)
            for name in breaking.NAMED
        },
        "etcd tls": lambda: kill_with_tls(args.rounds, seeds),
        "etcd clock": lambda: jump(args.rounds, seeds),
    }
    print(f"seed {args.seed}\n\n{HEAD}", flush=True)
    for name, row in rows.items():
        if args.only in name:
            print(row(), flush=True)


if __name__ == "__main__":
    main()
