"""What the medium holds is encrypted; what the store says is not."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from kybern.lib.clock import SYSTEM, VirtualClock, run_virtual
from kybern.store.encryption import reload
from kybern.store.encryption.ciphers import IDENTITY, AesCbc, AesGcm, Secretbox
from kybern.store.encryption.rules import Resource, Rules
from kybern.store.interface import Corrupt, KeyExists, KeyMissing, Mismatch
from kybern.store.kv.memory import MemoryEngine
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store

AT = "/registry/secrets/default/a"
OTHER = "/registry/configmaps/default/a"
OLD, NEW = AesCbc("old", bytes(32)), Secretbox("new", bytes(range(32)))
NEEDLE = b"correct horse battery staple"


def rules(*ciphers):
    return Rules({Resource("secrets", ""): ciphers})


def value(text):
    return b'{"metadata":{"name":"a"},"data":"%b"}' % text


def stored(engine, key=AT):
    return engine._state.current[key].data


def test_a_value_is_not_in_the_file_not_even_as_history(tmp_path):
    async def story():
        path = tmp_path / "state.db"
        store = Store(await SqliteEngine.open(path), SYSTEM, encryption=rules(NEW))
        entry = await store.create(AT, value(NEEDLE))
        for number in range(5):
            entry = await store.update(AT, value(NEEDLE + b"%d" % number), entry)
        await store.delete(AT, entry)
        await store.create(AT, value(NEEDLE))
        await store.create(OTHER, value(b"in the open"))
        for _ in range(2):
            found = b"".join(each.read_bytes() for each in tmp_path.iterdir())
            assert NEEDLE not in found
            assert b"k8s:enc:secretbox:v1:new:" in found
            assert b"in the open" in found
            await store.close()
        store = Store(await SqliteEngine.open(path), SYSTEM, encryption=rules(NEW))
        assert store.get(AT).data == value(NEEDLE)
        assert b'"resourceVersion":"9"' in store.get(AT).wire
        past = await store.list_at("/registry/secrets/", 3)
        assert [entry.data for entry in past.entries] == [value(NEEDLE + b"0")]
        watcher = store.watch("/registry/secrets/", 2)
        seen = []
        while len(seen) < 7:
            seen += await anext(watcher)
        assert [event.entry.data for event in seen[:2]] == [
            value(NEEDLE + b"0"), value(NEEDLE + b"1"),
        ]  # fmt: skip
        assert seen[1].previous.data == value(NEEDLE + b"0")
        assert seen[5].type == "DELETED"
        assert seen[5].entry.data == value(NEEDLE + b"4")
        watcher.close()
        await store.close()

    asyncio.run(story())


def test_watchers_and_losers_see_what_is_plain():
    async def story():
        engine = MemoryEngine()
        store = Store(engine, SYSTEM, encryption=rules(OLD))
        watcher = store.watch("/registry/secrets/", 1)
        first = await store.create(AT, value(b"1"))
        assert store.get(AT) is first
        second = await store.update(AT, value(b"2"), first)
        with pytest.raises(KeyExists) as exists:
            await store.create(AT, value(b"3"))
        assert exists.value.current is second
        with pytest.raises(Mismatch) as lost:
            await store.update(AT, value(b"3"), first)
        assert lost.value.current is second
        gone = await store.delete(AT, second)
        assert gone.data == value(b"2")
        with pytest.raises(KeyMissing):
            await store.delete(AT, second)
        events = []
        while len(events) < 3:
            events += await anext(watcher)
        assert [event.entry.data for event in events] == [value(b"1"), value(b"2"), value(b"2")]
        assert events[1].previous is first
        assert events[2].previous is second
        assert engine._log[0].entry.held.startswith(OLD.prefix)
        assert store.statistics()["engine"]["encrypted"] == 0
        await store.close()

    asyncio.run(story())


def test_keys_are_rotated():
    async def story():
        engine = MemoryEngine()
        store = Store(engine, SYSTEM, encryption=rules(IDENTITY))
        entry = await store.create(AT, value(b"1"))
        await store.create(OTHER, value(b"1"))
        assert stored(engine) == value(b"1")
        assert not store.stale(AT)
        for chain in ((OLD, IDENTITY), (NEW, OLD), (IDENTITY, NEW)):
            store.encrypt(rules(*chain))
            assert store.get(AT).data == value(b"1")
            assert store.stale(AT)
            entry = await store.update(AT, value(b"1"), store.get(AT))
            assert stored(engine).startswith(chain[0].prefix)
            assert not store.stale(AT)
            assert entry.data == value(b"1")
        assert not store.stale(OTHER)
        assert not store.stale("/registry/secrets/default/none")
        await store.close()

    asyncio.run(story())


def test_a_new_key_of_the_old_name_is_another_key():
    async def story():
        engine = MemoryEngine()
        store = Store(engine, SYSTEM, encryption=rules(OLD))
        await store.create(AT, value(b"1"))
        namesake = AesCbc("old", bytes(range(32)))
        store = Store(engine, SYSTEM, encryption=rules(namesake, OLD))
        assert store.get(AT).data == value(b"1")
        assert store.stale(AT)

    asyncio.run(story())


def test_without_the_key_there_is_no_answer():
    async def story():
        engine = MemoryEngine()
        store = Store(engine, SYSTEM, encryption=rules(OLD))
        await store.create(AT, value(b"1"))
        await store.create(OTHER, value(b"1"))
        store = Store(engine, SYSTEM, encryption=rules(NEW))
        entry = store.get(AT)
        assert entry.revision == 2
        for read in ("wire", "data", "held", "size"):
            with pytest.raises(Corrupt, match=f'transform key "{AT}": no matching prefix found'):
                getattr(entry, read)
        assert store.get(OTHER).data == value(b"1")
        store.encrypt(rules(NEW, OLD))
        assert b'"resourceVersion":"2"' in entry.wire
        assert store.stale(AT)
        again = await store.update(AT, value(b"2"), entry)
        assert again.data == value(b"2")
        assert not store.stale(AT)

    asyncio.run(story())


def test_without_any_configuration_the_answer_says_what_is_missing():
    async def story():
        engine = MemoryEngine()
        store = Store(engine, SYSTEM, encryption=rules(OLD))
        await store.create(AT, value(b"1"))
        store = Store(engine, SYSTEM)
        with pytest.raises(Corrupt, match="--encryption-provider-config"):
            _ = store.get(AT).wire
        assert not store.stale(AT)

    asyncio.run(story())


def test_a_value_cannot_be_moved():
    async def story():
        engine = MemoryEngine()
        gcm = AesGcm("k", bytes(32))
        store = Store(engine, SYSTEM, encryption=rules(gcm))
        await store.create(AT, value(b"1"))
        await engine.create("/registry/secrets/default/b", stored(engine))
        with pytest.raises(Corrupt, match="message authentication failed"):
            _ = store.get("/registry/secrets/default/b").wire

    asyncio.run(story())


CONFIG = """
kind: EncryptionConfiguration
apiVersion: apiserver.config.k8s.io/v1
resources:
- resources: [secrets]
  providers:
  - aesgcm: {keys: [{name: %s, secret: c2VjcmV0IGlzIHNlY3VyZQ==}]}
  - identity: {}
"""


def test_the_file_is_followed(tmp_path):
    async def story():
        path = tmp_path / "encryption.yaml"
        path.write_text(CONFIG % "one")
        engine, clock = MemoryEngine(), VirtualClock()
        store = Store(engine, clock, encryption=reload.config.load(path))
        task = asyncio.create_task(reload.follow(path, store, clock))
        entry = await store.create(AT, value(b"1"))
        for text, name in (
            (CONFIG % "two", b"two"),
            ("nonsense", b"two"),
            (CONFIG % "three", b"three"),
        ):
            path.write_text(text)
            await clock.sleep(61)
            entry = await store.update(AT, value(b"1"), entry)
            assert stored(engine).startswith(b"k8s:enc:aesgcm:v1:%b:" % name)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    run_virtual(story())


def test_what_upstream_wrote_ends_with_a_newline_that_is_no_part_of_it():
    sealed = NEW.prefix + NEW.seal(value(NEEDLE) + b"\n", AT)
    assert rules(NEW).open(AT, sealed) == (value(NEEDLE), NEW)
