"""Snapshots of clusters that are only files, and of clusters whose store is in etcd."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from tests.contracts.store.etcd_fixture import etcd

from kybern.cli.errors import Failed
from kybern.cluster import certificates
from kybern.cluster import settings as settings_file
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings
from kybern.cmd.snapshots import restore, save
from kybern.store import etcd_note
from kybern.store.interface import Compacted
from kybern.store.kv.file_lock import FileLock
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store

MAPS = "/registry/configmaps/"


def quiet(_done, _all):
    pass


def made(root, store="sqlite"):
    directory = Directory(root)
    directory.make()
    settings = Settings(data_dir=str(root), port=1, control_plane_only=True, store=store)
    settings_file.save(settings, directory.settings)
    certificates.ensure(directory, settings)
    return directory


async def with_store(open_, body):
    store = Store(await open_)
    try:
        return await body(store)
    finally:
        await store.close()


async def fill(store):
    for number in range(30):
        await store.create(f"{MAPS}a/{number}", b'{"metadata":{},"n":%d}' % number)
    return contents(store), store.revision


async def spoil(store):
    await store.delete(f"{MAPS}a/1", store.get(f"{MAPS}a/1"))
    await store.create(f"{MAPS}a/lost", b'{"metadata":{}}')
    return store.revision


async def read(store):
    return contents(store), store.revision


def contents(store):
    return {e.key: e.data for e in store.list(MAPS).entries}


def in_file(directory, body):
    async def run():
        return await with_store(SqliteEngine.open(directory.store), body)

    return asyncio.run(run())


@pytest.fixture
def address():
    with etcd() as members:
        yield members.address


def in_etcd(address, body):
    async def run():
        return await with_store(etcd_note.opened(address), body)

    return asyncio.run(run())


def test_keys_of_another_cluster_are_put_aside(tmp_path):
    directory, other = made(tmp_path / "a"), made(tmp_path / "b")
    before, _ = in_file(directory, fill)
    in_file(other, spoil_nothing)
    save(directory, tmp_path / "saved", quiet)
    old = (other.pki / "ca.key").read_bytes()
    done = restore(other, tmp_path / "saved", "", quiet)
    assert (other.pki / "ca.key").read_bytes() == (directory.pki / "ca.key").read_bytes()
    assert (other.pki / "sa.key").read_bytes() == (directory.pki / "sa.key").read_bytes()
    assert (done.aside / "pki/ca.key").read_bytes() == old
    assert (other.pki / "ca.key").stat().st_mode & 0o777 == 0o600
    assert json.loads(other.settings.read_bytes())["data_dir"] == str(other.root)
    assert in_file(other, read)[0] == before


async def spoil_nothing(store):
    await store.create(f"{MAPS}a/other", b'{"metadata":{}}')


def test_certificates_are_not_in_it_and_stay_when_the_keys_are_the_same(tmp_path):
    directory = made(tmp_path / "a")
    in_file(directory, fill)
    save(directory, tmp_path / "saved", quiet)
    data = (tmp_path / "saved").read_bytes()
    assert (directory.pki / "ca.key").read_bytes() in data
    assert (directory.pki / "admin.key").read_bytes() not in data
    admin = (directory.pki / "admin.crt").read_bytes()
    restore(directory, tmp_path / "saved", "", quiet)
    assert (directory.pki / "admin.crt").read_bytes() == admin


def test_a_store_in_use_is_not_replaced(tmp_path):
    directory = made(tmp_path / "a")
    in_file(directory, fill)
    save(directory, tmp_path / "saved", quiet)
    lock = FileLock(directory.store)
    with pytest.raises(Failed, match="is in use by process"):
        restore(directory, tmp_path / "saved", "", quiet)
    lock.release()
    assert list(directory.root.glob("*restore-*")) == []


@pytest.mark.parametrize("step", ["_stage_files", "_swap"])
def test_interrupted_the_old_store_is_there_and_again_works(tmp_path, monkeypatch, step):
    from kybern.cmd import snapshots

    directory = made(tmp_path / "a")
    before, _ = in_file(directory, fill)
    save(directory, tmp_path / "saved", quiet)
    in_file(directory, spoil)
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, step, killed)
        with pytest.raises(KeyboardInterrupt):
            restore(directory, tmp_path / "saved", "", quiet)
    assert f"{MAPS}a/lost" in in_file(directory, read)[0]
    done = restore(directory, tmp_path / "saved", "", quiet)
    assert in_file(directory, read)[0] == before
    assert f"{MAPS}a/lost" in in_file(Directory(done.aside), read)[0]


def killed(*_):
    raise KeyboardInterrupt


def test_keys_of_what_is_encrypted_are_not_in_it(tmp_path):
    directory = made(tmp_path / "a")
    in_file(directory, fill)
    keys = tmp_path / "encryption.yaml"
    keys.write_text("secret: very-secret-key")
    settings = settings_file.load(directory.settings)
    settings = msgspec.structs.replace(settings, encryption_provider_config=str(keys))
    settings_file.save(settings, directory.settings)
    save(directory, tmp_path / "saved", quiet)
    assert b"very-secret-key" not in (tmp_path / "saved").read_bytes()
    assert restore(directory, tmp_path / "saved", "", quiet).missing == ""
    keys.unlink()
    assert restore(directory, tmp_path / "saved", "", quiet).missing == str(keys)


def test_memory_and_nothing_cannot_be_saved(tmp_path):
    with pytest.raises(Failed, match="keeps its data in memory"):
        save(made(tmp_path / "m", "memory"), tmp_path / "saved", quiet)
    node = made(tmp_path / "n")
    settings = settings_file.load(node.settings)
    there = msgspec.structs.replace(settings, api_server="https://there:6443")
    settings_file.save(there, node.settings)
    with pytest.raises(Failed, match="a node of the cluster at https://there:6443"):
        save(node, tmp_path / "saved", quiet)
    with pytest.raises(Failed, match="there is no store yet"):
        save(made(tmp_path / "n"), tmp_path / "saved", quiet)
    assert [path.name for path in tmp_path.iterdir() if path.name not in "mn"] == []


def test_etcd_is_saved_and_replaced(tmp_path, address):
    directory = made(tmp_path / "a", f"etcd://{address}")
    before, revision = in_etcd(address, fill)
    assert save(directory, tmp_path / "saved", quiet) == (30, revision)
    known = in_etcd(address, spoil)
    done = restore(directory, tmp_path / "saved", "", quiet)
    found, now = in_etcd(address, read)
    assert found == before
    assert now > max(known, 1_700_000_000_000_000)

    async def watch(store):
        with pytest.raises(Compacted):
            store.watch(MAPS, known)

    in_etcd(address, watch)
    aside = Directory(done.aside)
    old = asyncio.run(with_store_at(aside.root / "etcd/state.db"))
    assert f"{MAPS}a/lost" in old
    again = restore(directory, tmp_path / "saved", "", quiet)
    assert in_etcd(address, read)[0] == before
    assert in_etcd(address, read)[1] > now
    assert again.aside != done.aside


async def with_store_at(path):
    return await with_store(SqliteEngine.open(path), keys)


async def keys(store):
    return contents(store).keys()


def test_from_a_file_to_etcd_and_back(tmp_path, address):
    directory = made(tmp_path / "a")
    before, _ = in_file(directory, fill)
    save(directory, tmp_path / "saved", quiet)
    there = Directory(tmp_path / "b")
    restore(there, tmp_path / "saved", f"etcd://{address}", quiet)
    found, revision = in_etcd(address, read)
    assert found == before
    save(there, tmp_path / "saved-2", quiet)
    restore(directory, tmp_path / "saved-2", "sqlite", quiet)
    found, later = in_file(directory, read)
    assert found == before
    assert later > revision
