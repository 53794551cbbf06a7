"""What somebody sees whose disk is full, read-only or damaged: one sentence that says what to do.

The engine alone is broken in `tests/unit/store/kv/test_sqlite_faults.py`; here it is the program.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.faults import linearizability
from tests.faults.api import MAPS, ApiClient, ApiServer, Unanswered
from tests.faults.history import PADDING, Recorder, some_work
from tests.faults.test_damage import some_store

from kybern.store.interface import StoreFailed
from kybern.store.kv.sqlite import SqliteEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """Make small file systems, which are gone afterwards."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        where = tmp_path_factory.mktemp("disk")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", where], check=True)
        mounted.append(where)
        return where

    yield mount
    for where in mounted:
        subprocess.run(["umount", "-l", where], check=True)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, disk: Callable[..., Path]) -> Any:
    """What API servers say that are started on media which cannot be used: all at once."""
    root = tmp_path_factory.mktemp("media")
    good = root / "good.db"
    asyncio.run(some_store(good))
    whole = good.read_bytes()
    broken = bytearray(whole)
    middle = len(whole) // 2 // 4096 * 4096 + 2048
    broken[middle : middle + 64] = bytes(64)
    paths = {name: root / f"{name}.db" for name in ("other", "short", "flipped", "busy")}
    paths["other"].write_bytes(b"This is a letter, not a database.\n" * 400)
    paths["short"].write_bytes(whole[: len(whole) // 2])
    paths["flipped"].write_bytes(broken)
    paths["directory"] = root / "directory.db"
    paths["directory"].mkdir()
    paths["readonly"] = disk("1m") / "store.db"
    remount = ["mount", "-o", "remount,ro", paths["readonly"].parent]
    subprocess.run(remount, check=True)
    paths["full"] = disk("32k") / "store.db"

    async def start() -> dict[str, tuple[int, str]]:
        holder = await SqliteEngine.open(paths["busy"])
        servers = {
            name: subprocess.Popen(
                ApiServer(root / name, f"sqlite://{path}").command,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name, path in paths.items()
        }
        ended = {name: (server.communicate()[1], server) for name, server in servers.items()}
        await holder.close()
        return {name: (server.returncode, text) for name, (text, server) in ended.items()}

    return asyncio.run(start())


@pytest.mark.parametrize(
    ("medium", "words"),
    [
        ("other", ["other.db is damaged (file is not a database): move it", "backup"]),
        ("short", ["short.db is damaged (", "): move it", "backup"]),
        ("flipped", ["flipped.db is damaged (", "): move it", "backup"]),
        ("directory", ["directory.db cannot be used (Is a directory): ", "choose another place"]),
        ("readonly", ["store.db cannot be used (Read-only file system): ", "make it writable"]),
        ("full", ["no space left for ", "store.db: free some"]),
        ("busy", [f"busy.db is in use by process {os.getpid()}: stop that one first"]),
    ],
)
def test_an_api_server_says_in_one_sentence_why_it_does_not_start(said, medium, words):
    code, text = said[medium]
    assert code == 1
    assert "Traceback" not in text
    last = text.splitlines()[-1]
    for word in words:
        assert word in last
    assert " ERROR " not in text


def test_a_directory_that_somebody_else_owns(tmp_path):
    """Root may write everywhere, so be somebody else for a moment."""

    async def main() -> None:
        with pytest.raises(StoreFailed, match=r"cannot be used \(Permission denied\): make it"):
            await SqliteEngine.open(tmp_path / "store.db")

    tmp_path.chmod(0o555)
    for parent in tmp_path.parents:
        parent.chmod(parent.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        asyncio.run(main())
    finally:
        os.seteuid(0)


def test_a_full_disk_stops_writing_and_nothing_else(disk, tmp_path, seed):
    small = disk("6m")
    ballast = small / "ballast"
    ballast.write_bytes(bytes(3 << 20))
    recorder = Recorder()
    keys = [f"map-{number}" for number in range(300)]
    server = ApiServer(tmp_path / "server", f"sqlite://{small}/store.db")
    full = f"Internal error occurred: no space left for {small}/store.db: free some; writes then"

    async def fill(client: ApiClient, rng: random.Random) -> None:
        with pytest.raises(Unanswered, match=re.escape(f"500 {full} work again")):
            while True:
                await some_work(client, keys, rng)

    async def main() -> None:
        await server.start()
        rng = random.Random(seed)
        async with server.client() as http:
            clients = [ApiClient(f"c{number}", http, recorder, rng) for number in range(32)]
            async with asyncio.TaskGroup() as group:
                for client in clients:
                    group.create_task(fill(client, rng))
            # Reading goes on, of one and of all, and nothing that was refused is there.
            for key in keys:
                await clients[0].read(key)
            answer = await http.request("GET", MAPS)
            listed = msgspec.json.decode(await answer.read())
            assert answer.status == 200
            big = {"metadata": {"name": "big"}, "data": {str(n): PADDING for n in range(400)}}
            answer = await http.request("POST", MAPS, body=msgspec.json.encode(big))
            status = msgspec.json.decode(await answer.read())
            assert (answer.status, status["kind"], status["status"]) == (500, "Status", "Failure")
            assert (status["reason"], status["code"]) == ("InternalError", 500)
            ballast.unlink()
            answer = await http.request("POST", MAPS, body=msgspec.json.encode(big))
            assert answer.status == 201, await answer.read()
            made = msgspec.json.decode(await answer.read())["metadata"]["resourceVersion"]
            assert int(made) == int(listed["metadata"]["resourceVersion"]) + 1
            for _ in range(100):
                await some_work(clients[1], keys, rng)
        server.kill()
        await server.start()
        async with server.client() as http:
            auditor = ApiClient("audit", http, recorder, rng)
            for key in keys:
                await auditor.read(key)

    try:
        asyncio.run(main())
    finally:
        server.stop()
    assert linearizability.check(recorder.operations) > 300


def test_up_says_it_too_and_works_again_with_a_good_file(tmp_path):
    port = ApiServer(tmp_path / "unused", "memory").port

    def kybern(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kybern.cmd.main", *words]

        return subprocess.run(
            [*command, "--data-dir", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig")},
        )

    up = ("up", "--control-plane-only", "--port", str(port))
    try:
        first = kybern(*up)
        assert first.returncode == 0, first.stderr
        assert kybern("down").returncode == 0
        file = tmp_path / "data/store/state.db"
        good = file.read_bytes()
        file.write_bytes(good[: len(good) // 2])
        broken = kybern(*up)
        assert broken.returncode == 1
        assert f"control-plane does not start: {file} is damaged (" in broken.stderr
        assert "move it and its -wal file away" in broken.stderr
        assert "Traceback" not in broken.stderr + broken.stdout
        file.write_bytes(good)
        again = kybern(*up)
        assert again.returncode == 0, again.stderr
    finally:
        kybern("down", "--purge")
