"""Snapshots: taken under load, identical when restored, refused when damaged."""

from __future__ import annotations

import asyncio
import sqlite3
import stat

import pytest

from kybern.store import snapshot
from kybern.store.interface import Compacted, Corrupt, StoreFailed
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store

NOW = 1_800_000_000.0
PODS = "/registry/pods/"
FILES = {"cluster.json": b"{}", "pki/ca.key": b"a key"}


def quiet(_done, _all):
    pass


def body(text):
    return b'{"metadata":{},"data":"%b"}' % text


def contents(store):
    return {e.key: (e.data, e.revision, e.created, e.expires) for e in store.list(PODS).entries}


async def opened(path):
    return Store(await SqliteEngine.open(path))


async def filled(path, objects=50):
    """A store with updates, deletions, and history that is forgotten in part."""
    store = await opened(path)
    for number in range(objects):
        entry = await store.create(f"{PODS}a/{number:03}", body(b"x" * number), ttl=1e9)
        if number % 3 == 0:
            await store.update(entry.key, body(b"changed"), entry)
        if number % 5 == 0:
            await store.delete(entry.key, store.get(entry.key))
        if number == objects // 2:
            await store.compact(store.revision)
    return store


def save(tmp_path, **more):
    return snapshot.save(
        tmp_path / "store.db", tmp_path / "saved", more.get("files", FILES), "now", quiet
    )


def unpack(tmp_path, known=0, now=NOW):
    return snapshot.unpack(
        tmp_path / "saved", tmp_path / "new.db", now=now, known=known, report=quiet
    )


def test_a_restored_store_is_the_same_and_goes_on_beyond(tmp_path, live):
    async def main():
        store = await filled(tmp_path / "store.db")
        before, revision = contents(store), store.revision
        await store.close()
        saved = save(tmp_path)
        assert (saved.objects, saved.revision) == (len(before), revision)
        assert snapshot.verify(tmp_path / "saved") == (saved, FILES)
        first = unpack(tmp_path)
        assert first == 1_800_000_000_000_000
        store = await opened(tmp_path / "new.db")
        assert contents(store) == before
        assert store.revision == first
        for known in (1, revision, first - 1):
            with pytest.raises(Compacted):
                store.watch(PODS, known)
        entry = await store.create(f"{PODS}a/new", body(b"n"))
        assert entry.revision == first + 1
        await store.compact(store.revision)
        await store.close()
        store = await opened(tmp_path / "new.db")
        assert contents(store).keys() == {*before, f"{PODS}a/new"}
        await store.close()

    live(main())


def test_one_moment_of_a_store_under_load(tmp_path, live):
    """Every write is of one round: a snapshot holds whole rounds, and perhaps one more in part."""

    async def main():
        store = await opened(tmp_path / "store.db")
        keys = [f"{PODS}a/{number}" for number in range(20)]
        for key in keys:
            await store.create(key, body(b"0" * 4000))
        rounds = 0

        async def write():
            nonlocal rounds
            while True:
                rounds += 1
                for key in keys:
                    await store.update(key, body(b"%d " % rounds * 1000), store.get(key))
                await store.compact(max(store.revision - 50, 1))

        task = asyncio.ensure_future(write())
        while rounds < 5:
            await asyncio.sleep(0)
        saved = await asyncio.to_thread(save, tmp_path)
        until = rounds + 2
        while rounds < until:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.close()
        snapshot.verify(tmp_path / "saved")
        unpack(tmp_path)
        store = await opened(tmp_path / "new.db")
        found = [int(store.get(key).data.split(b'"')[5].split()[0]) for key in keys]
        assert saved.objects == 20
        assert found == sorted(found, reverse=True)
        assert max(found) - min(found) <= 1
        await store.close()

    live(main())


def test_restored_twice_no_revision_comes_again(tmp_path, live):
    async def main():
        store = await filled(tmp_path / "store.db")
        await store.close()

    live(main())
    save(tmp_path)
    first = unpack(tmp_path)
    assert unpack(tmp_path, now=NOW + 1) > first + 100_000
    assert unpack(tmp_path, now=0.0, known=first + 7) == first + 8
    assert snapshot.known_revision(tmp_path / "new.db") == first + 8
    assert snapshot.known_revision(tmp_path / "none.db") == 0


def test_only_its_owner_reads_it_and_nothing_is_left_beside(tmp_path, live):
    async def main():
        await (await filled(tmp_path / "store.db", 3)).close()

    live(main())
    save(tmp_path)
    save(tmp_path)
    assert stat.S_IMODE((tmp_path / "saved").stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("saved")] == ["saved"]


@pytest.mark.parametrize("part", ["object", "key", "manifest", "page", "end"])
def test_a_damaged_snapshot_is_refused(tmp_path, live, part):
    async def main():
        await (await filled(tmp_path / "store.db")).close()

    live(main())
    save(tmp_path)
    path = tmp_path / "saved"
    if part in {"page", "end"}:
        data = path.read_bytes()
        path.write_bytes(
            data.replace(b"changed", b"chanced", 1) if part == "page" else data[:-9000]
        )
    else:
        statement = {
            "object": "UPDATE log SET key = key || 'x' WHERE revision = (SELECT max(revision) FROM"
            " log)",
            "key": "UPDATE snapshot SET content = x'00' WHERE name = 'pki/ca.key'",
            "manifest": "DELETE FROM snapshot WHERE name = 'manifest'",
        }[part]
        with sqlite3.connect(path) as db:
            db.execute(statement)
        db.close()
    with pytest.raises(Corrupt, match="damaged snapshot"):
        snapshot.verify(path)


def test_what_is_no_snapshot_is_refused(tmp_path, live):
    async def main():
        await (await filled(tmp_path / "store.db", 3)).close()

    live(main())
    with pytest.raises(StoreFailed, match="is not a snapshot"):
        snapshot.verify(tmp_path / "store.db")
    (tmp_path / "text").write_text("hello " * 100)
    with pytest.raises(StoreFailed, match="damaged snapshot"):
        snapshot.verify(tmp_path / "text")
    with pytest.raises(StoreFailed):
        snapshot.verify(tmp_path / "none")
    save(tmp_path)
    with sqlite3.connect(tmp_path / "saved") as db:
        (manifest,) = db.execute("SELECT content FROM snapshot WHERE name = 'manifest'").fetchone()
        newer = manifest.replace(b'"format":1', b'"format":99')
        db.execute("UPDATE snapshot SET content = ? WHERE name = 'manifest'", (newer,))
    db.close()
    with pytest.raises(StoreFailed, match="format 99"):
        snapshot.verify(tmp_path / "saved")


def test_a_damaged_store_is_not_saved(tmp_path, live):
    async def main():
        await (await filled(tmp_path / "store.db")).close()

    live(main())
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.execute(
            "UPDATE log SET value = x'7b7d' WHERE revision = (SELECT max(revision) FROM log)"
        )
    db.close()
    with pytest.raises(Corrupt, match=r"store\.db is damaged"):
        save(tmp_path)
    assert not (tmp_path / "saved").exists()
