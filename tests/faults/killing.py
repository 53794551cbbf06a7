"""Kill a store's process again and again under load, and judge what it leaves behind.

In:   a file, a seed, how often.
Out:  how much was written, or an AssertionError that says what was lost.
By:   the tests in CI, briefly; `bench/faults.py`, for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.faults import linearizability, victim
from tests.faults.api import ApiClient, ApiServer, Unanswered
from tests.faults.history import (
    Operation,
    Outcome,
    Recorder,
    audit,
    from_pipe,
    name_of,
    some_work,
)

from kybern.store.interface import DELETED
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.lib.http.client import HttpClient
    from kybern.store.kv.interface import Engine

ROOT = Path(__file__).resolve().parents[2]


class Tally(NamedTuple):
    """What was done, and judged."""

    kills: int
    operations: int
    answered_writes: int
    under_way: int
    """Writes which had no answer when the process was killed."""
    happened: int
    """So many of them had happened."""


class Judge:
    """Knows everything that was asked and answered, over all lives of a store."""

    def __init__(self, keys: list[str]) -> None:
        self.operations: list[Operation] = []
        self.lives = 0
        self._keys = keys
        self._revision = 1
        self._written: dict[int, tuple[str, str]] = {}

    async def look(self, engine: Engine, operations: list[Operation]) -> None:
        """Compare what a new life finds with what was answered in those before it."""
        self.lives += 1
        writes = [op for op in operations if op.outcome is Outcome.DONE and op.verb != "read"]
        self._revision = max([self._revision, *(op.revision for op in writes)])
        assert engine.revision >= self._revision, "revisions that were answered are gone"
        self._revision = engine.revision
        await self._check_history(engine)
        recorder = Recorder()
        await audit(Store(engine), recorder, f"audit-{self.lives}", self._keys)
        self.operations += operations + recorder.operations

    def verdict(self) -> Tally:
        """Check all histories, over all lives."""
        return tally(self.lives, self.operations, {name for _, name in self._written.values()})

    async def _check_history(self, engine: Engine) -> None:
        """Every revision is there once, and is the same write as in earlier lives."""
        revisions, names = [], []
        since = engine.compacted
        while since < engine.revision:
            page = await engine.history("/", since, engine.revision)
            for event in page.events:
                what = "-" if event.type == DELETED else name_of(event.entry.data)
                written = event.entry.key, what
                assert self._written.setdefault(event.revision, written) == written, "used again"
                revisions.append(event.revision)
                names += [what] if what != "-" else []
            since = page.upto
        assert revisions == list(range(engine.compacted + 1, engine.revision + 1))
        assert len(names) == len(set(names)), "a write happened twice"


def tally(kills: int, operations: list[Operation], written: Iterable[str] = ()) -> Tally:
    """Check the histories, and count."""
    linearizability.check(operations)
    writes = [op for op in operations if op.verb != "read"]
    open_ = [op for op in writes if op.outcome is Outcome.UNKNOWN]
    seen = {op.saw for op in operations}.union(written)
    return Tally(
        kills,
        len(operations),
        sum(op.outcome is Outcome.DONE for op in writes),
        len(open_),
        sum(op.wrote in seen for op in open_ if op.wrote),
    )


def kill_stores(path: Path, seed: int, kills: int) -> Tally:
    """Kill a process with 32 writers, many times."""
    rng = random.Random(seed)
    judge = Judge(victim.KEYS)

    async def look(operations: list[Operation]) -> None:
        engine = await SqliteEngine.open(path)
        try:
            await judge.look(engine, operations)
        finally:
            await engine.close()

    for life in range(kills):
        lines = run_and_kill(path, f"{seed}-{life}", str(life), rng)
        asyncio.run(look(from_pipe(lines)))
    return judge.verdict()


async def kill_api_servers(
    directory: Path, seed: int, kills: int, store: str = "", servers: int = 1
) -> Tally:
    """Kill one of some API servers over one store, with 32 clients spread over them, many times."""
    rng = random.Random(seed)
    keys = [f"map-{number}" for number in range(40)]
    recorder = Recorder()
    store = store or f"sqlite://{directory}/store.db"
    directory.mkdir(exist_ok=True)
    running = [ApiServer(directory / str(number), store) for number in range(servers)]

    async def work(http: HttpClient, name: str) -> None:
        client_rng = random.Random(f"{seed} {name}")
        client = ApiClient(name, http, recorder, client_rng)
        with contextlib.suppress(Unanswered):
            while True:
                await some_work(client, keys, client_rng)

    async def live(life: int, clients: list[HttpClient]) -> None:
        """Kill one a random moment after a random number of answers."""
        before, wanted = len(recorder.operations), rng.randrange(10, 400)
        tasks = [
            asyncio.create_task(work(clients[number % servers], f"{life}-{number}"))
            for number in range(victim.CLIENTS)
        ]
        while len(recorder.operations) < before + wanted:
            assert not all(task.done() for task in tasks), "no server answers"
            await asyncio.sleep(0.002)
        await asyncio.sleep(rng.random() * 0.02)
        rng.choice(running).kill()
        await asyncio.sleep(0.05 if servers > 1 else 0)  # the others go on
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    try:
        for life in range(kills + 1):
            for server in running:
                await server.start()
            async with contextlib.AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(s.client()) for s in running]
                for number, http in enumerate(clients):
                    auditor = ApiClient(f"audit-{life}-{number}", http, recorder, rng)
                    for key in keys:
                        await auditor.read(key)
                if life < kills:
                    await live(life, clients)
    finally:
        for server in running:
            server.stop()
    return tally(kills, recorder.operations)


def run_and_kill(path: Path, seed: str, run: str, rng: random.Random) -> bytes:
    """Let the clients work for a moment, kill them, and return what they reported."""
    process = subprocess.Popen(
        [sys.executable, "-m", victim.__name__, str(path), seed, run],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    lines = bytearray(os.read(pipe, 1 << 16))
    assert lines, "the process ended before it did anything"
    until = time.monotonic() + rng.random() ** 2 * 0.3
    while (left := until - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            lines += os.read(pipe, 1 << 16)
    process.kill()
    lines += process.stdout.read()
    process.stdout.close()
    assert process.wait() == -9
    return bytes(lines)
