"""A hundred times: kill -9 under load, open again, and find every answered write."""

from __future__ import annotations

import asyncio
import os
import random
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.contracts.store.killed_writer import WRITERS, key_of, value_of, verb_of

from kybern.store.kv.sqlite import SqliteEngine

SCRIPT = Path(__file__).with_name("killed_writer.py")


class Reports:
    """What the killed processes had been answered, and what may have been under way."""

    def __init__(self) -> None:
        self.next = [1] * WRITERS
        self.values: dict[str, tuple[int, bytes | None]] = {}
        self.revision = 1
        self.answered = 0

    def take(self, lines: bytes) -> None:
        for line in lines[: lines.rfind(b"\n") + 1].splitlines():
            writer, number, verb, revision = line.decode().split()
            self._answer(int(writer), int(number), verb, int(revision))

    def _answer(self, writer: int, number: int, verb: str, revision: int) -> None:
        assert number == self.next[writer]
        value = None if verb == "delete" else value_of(writer, number)
        self.values[key_of(writer, number)] = (revision, value)
        self.next[writer] = number + 1
        self.revision = max(self.revision, revision)
        self.answered += 1

    async def check(self, path: Path) -> None:
        """Compare the file with what was answered; adopt the writes that were under way."""
        engine = await SqliteEngine.open(path)
        try:
            assert engine.revision >= self.revision
            found = {entry.key: entry for entry in (await engine.list("/")).entries}
            for writer, number in enumerate(self.next):
                self._adopt(writer, number, found)
            expected = {key: pair for key, pair in self.values.items() if pair[1] is not None}
            assert {key: (e.revision, e.data) for key, e in found.items()} == expected
            await self._check_history(engine)
            self.revision = engine.revision
        finally:
            await engine.close()

    def _adopt(self, writer, number, found) -> None:
        # One write of each writer may have happened without being answered.
        key = key_of(writer, number)
        before = self.values.get(key, (0, None))
        entry = found.get(key)
        now = (0, None) if entry is None else (entry.revision, entry.data)
        verb = verb_of(before[1] is not None, number)
        if now == before or (now[1] is None and before[1] is None):
            pass
        elif verb == "delete":
            assert entry is None
            self.values[key] = now
        else:
            assert now[0] > before[0]
            assert now[1] == value_of(writer, number)
            self.values[key] = now
        self.next[writer] = number + 1

    async def _check_history(self, engine) -> None:
        revisions, values = [], []
        since = engine.compacted
        while since < engine.revision:
            page = await engine.history("/", since, engine.revision)
            revisions += [event.revision for event in page.events]
            values += [event.entry.data for event in page.events if event.type != "DELETED"]
            since = page.upto
        assert revisions == list(range(engine.compacted + 1, engine.revision + 1))
        assert len(values) == len(set(values)), "a write happened twice"


def run_and_kill(path: Path, numbers: list[int], rng: random.Random) -> bytes:
    """Let the writers write for a moment, kill them, and return what they reported."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), str(rng.random()), *map(str, numbers)],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    lines = bytearray(os.read(pipe, 1 << 16))
    until = time.monotonic() + rng.random() ** 2 * 0.3
    while (left := until - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            lines += os.read(pipe, 1 << 16)
    process.kill()
    lines += process.stdout.read()
    process.stdout.close()
    assert process.wait() == -9
    return bytes(lines)


@pytest.mark.slow
def test_kill_9_a_hundred_times_loses_nothing_that_was_answered(tmp_path):
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    path = tmp_path / "store.db"
    reports = Reports()
    try:
        for _ in range(100):
            reports.take(run_and_kill(path, reports.next, rng))
            asyncio.run(reports.check(path))
    except AssertionError as error:
        error.add_note(f"seed {seed}, after {reports.answered} answered writes")
        raise
    assert reports.answered > 10_000
