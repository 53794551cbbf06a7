"""What goes wrong with a file, and whether the sentence says what to do."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys

import pytest

from kybern.store.interface import Corrupt, StoreFailed, StoreFull, StoreLocked
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def write_some(path, count=300):
    async def main():
        engine = await SqliteEngine.open(path)
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(engine.create(f"/{number}", b"%d " % number * 500))
        await engine.close()

    asyncio.run(main())


def opening_fails(path, kind, *words):
    async def main():
        with pytest.raises(kind) as error:
            await SqliteEngine.open(path)
        for word in (str(path), *words):
            assert word in str(error.value)
        assert type(error.value) is kind

    asyncio.run(main())


class TestDiskFull:
    def test_writes_fail_until_there_is_space(self, small_disk):
        async def main():
            ballast = small_disk / "ballast"
            ballast.write_bytes(b"\0" * 1_500_000)
            engine = await SqliteEngine.open(small_disk / "store.db")
            store = Store(engine)
            answered = {}

            async def write(writer):
                for number in range(100):
                    key = f"/registry/pods/{writer}/{number}"
                    answered[key] = await store.create(key, os.urandom(3000))

            results = await asyncio.gather(*map(write, range(8)), return_exceptions=True)
            assert {type(result) for result in results} == {StoreFull}
            assert "no space left" in str(results[0])
            full_at = store.revision
            with pytest.raises(StoreFull):
                await store.create("/registry/pods/x/y", os.urandom(500_000))
            assert store.revision == full_at
            assert store.get("/registry/pods/x/y") is None
            # What was answered can be read, also while the disk is full …
            assert {e.key for e in store.list("/registry/").entries} == set(answered)
            ballast.unlink()
            # … and writing goes on, with the next revision.
            entry = await store.create("/registry/pods/x/y", b"{}")
            answered[entry.key] = entry
            assert entry.revision == full_at + 1
            await store.close()
            engine = await SqliteEngine.open(small_disk / "store.db")
            found = {e.key: (e.revision, e.data) for e in (await engine.list("/")).entries}
            assert found == {key: (e.revision, e.data) for key, e in answered.items()}
            await engine.close()

        asyncio.run(main())

    def test_opening_on_a_full_disk(self, small_disk):
        (small_disk / "ballast").write_bytes(b"\0" * ((3 << 20) - 8192))
        opening_fails(small_disk / "store.db", StoreFull, "no space left")


class TestDamage:
    def test_another_kind_of_file(self, path):
        path.write_bytes(b"This is not a database. " * 1000)
        opening_fails(path, Corrupt, "damaged", "backup")

    def test_another_programs_database(self, path):
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE songs (title TEXT)")
        db.close()
        opening_fails(path, Corrupt, "another program")

    def test_a_newer_format(self, path):
        write_some(path, 1)
        with sqlite3.connect(path) as db:
            db.execute("UPDATE meta SET value = 7 WHERE name = 'format'")
        db.close()
        opening_fails(path, StoreFailed, "format 7", "version of Kybern")

    def test_a_flipped_bit_in_a_value(self, path):
        write_some(path)
        data = bytearray(path.read_bytes())
        data[data.index(b"123 123 123") + 5] ^= 1
        path.write_bytes(data)
        opening_fails(path, Corrupt, "checksum", "backup")

    def test_pages_of_rubbish(self, path):
        write_some(path)
        with path.open("r+b") as file:
            file.seek(3 * 8192)
            file.write(os.urandom(4 * 8192))
        opening_fails(path, Corrupt, "damaged")

    def test_a_file_cut_short(self, path):
        write_some(path)
        os.truncate(path, path.stat().st_size // 2)
        opening_fails(path, Corrupt, "damaged")

    def test_missing_rows(self, path):
        async def main():
            engine = await SqliteEngine.open(path)
            entry = await engine.create("/a", b"1")
            entry = await engine.update("/a", b"2", entry.revision)
            await engine.update("/a", b"3", entry.revision)
            await engine.close()

        asyncio.run(main())
        with sqlite3.connect(path) as db:
            db.execute("DELETE FROM log WHERE revision = 3")
        db.close()
        opening_fails(path, Corrupt, "revision 4")

    def test_a_log_cut_short_is_the_past_not_an_error(self, path):
        """What SQLite had not flushed when the machine died is simply not there."""
        copy = path.with_name("copy.db")

        async def main():
            engine = await SqliteEngine.open(path)
            for number in range(50):
                await engine.create(f"/{number:02}", b"x" * 3000)
            wal = path.with_name("store.db-wal").read_bytes()
            copy.write_bytes(path.read_bytes())
            copy.with_name("copy.db-wal").write_bytes(wal[: len(wal) // 2 + 100])
            await engine.close()
            engine = await SqliteEngine.open(copy)
            keys = [entry.key for entry in (await engine.list("/")).entries]
            assert keys == [f"/{number:02}" for number in range(engine.revision - 1)]
            assert 10 < len(keys) < 40
            await engine.close()

        asyncio.run(main())


class TestAccess:
    def test_one_process_at_a_time(self, path):
        script = (
            "import asyncio, sys; from kybern.store.kv.sqlite import SqliteEngine\n"
            f"asyncio.run(SqliteEngine.open({str(path)!r})); print('open', flush=True)\n"
            "sys.stdin.read()"
        )
        other = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        opening_fails(path, StoreLocked, f"process {other.pid}")
        other.kill()
        other.communicate()
        write_some(path, 1)

    def test_one_engine_at_a_time_in_a_process(self, path):
        async def main():
            engine = await SqliteEngine.open(path)
            with pytest.raises(StoreLocked):
                await SqliteEngine.open(path)
            await engine.close()
            await (await SqliteEngine.open(path)).close()

        asyncio.run(main())

    def test_no_such_directory(self, tmp_path):
        opening_fails(tmp_path / "none" / "store.db", StoreFailed, "No such file or directory")

    def test_only_the_owner_can_read_it(self, path):
        write_some(path, 1)
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_lock_by_another_program_passes(self, path):
        async def main():
            engine = await SqliteEngine.open(path)
            shell = sqlite3.connect(path, isolation_level=None)
            shell.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(engine.create("/a", b"x"))
            await asyncio.sleep(0.05)
            shell.execute("ROLLBACK")
            shell.close()
            assert (await task).revision == 2
            await engine.close()

        asyncio.run(main())


class TestSize:
    def test_the_file_shrinks_when_the_past_is_forgotten(self, path):
        async def main():
            engine = await SqliteEngine.open(path)
            entry = await engine.create("/a", b"")
            for _ in range(100):
                entry = await engine.update("/a", os.urandom(300_000), entry.revision)
            full = path.stat().st_size
            await engine.compact(engine.revision)
            assert full > 25_000_000
            assert path.stat().st_size < 12_000_000
            assert (await engine.get("/a")).revision == entry.revision
            await engine.close()

        asyncio.run(main())
