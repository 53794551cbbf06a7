"""Encryption as a user sees it: not at all, until a key is missing."""

from __future__ import annotations

import asyncio

from tests.unit.apiserver.harness import DEFAULT, Server, config_map

from kybern.lib.clock import SYSTEM
from kybern.store.encryption.ciphers import IDENTITY, AesGcm, Secretbox
from kybern.store.encryption.rules import Resource, Rules
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

SECRETS = f"{DEFAULT}/secrets"
KEY = "/registry/secrets/default/s"
OLD, NEW = AesGcm("old", bytes(32)), Secretbox("new", bytes(32))


def rules(*ciphers):
    return Rules({Resource("secrets", ""): ciphers})


def test_replacing_everything_encrypts_everything():
    async def story():
        engine = MemoryEngine()
        store = Store(engine, SYSTEM, encryption=rules(IDENTITY))
        async with Server(store=store) as server:
            await server.post(SECRETS, {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
            made = (await server.get(f"{SECRETS}/s")).tree
            again = (await server.put(f"{SECRETS}/s", made)).tree
            assert again == made  # nothing to do
            for chain in ((OLD, IDENTITY), (NEW, OLD), (IDENTITY, NEW)):
                store.encrypt(rules(*chain))
                before = (await server.get(f"{SECRETS}/s")).tree
                after = (await server.put(f"{SECRETS}/s", before)).tree
                assert after["data"] == {"a": "Yg=="}
                assert after["metadata"]["resourceVersion"] > before["metadata"]["resourceVersion"]
                assert engine._state.current[KEY].data.startswith(chain[0].prefix)
                assert (await server.put(f"{SECRETS}/s", after)).tree == after

    asyncio.run(story())


def test_a_missing_key_is_an_error_and_nothing_else():
    async def story():
        engine = MemoryEngine()
        store = Store(engine, SYSTEM, encryption=rules(OLD))
        async with Server(store=store) as server:
            await server.post(SECRETS, {"metadata": {"name": "s"}, "stringData": {"a": "b"}})
        store = Store(engine, SYSTEM, encryption=rules(NEW))
        async with Server(store=store) as server:
            why = f'Internal error occurred: unable to transform key "{KEY}": '
            for answer in (
                await server.get(f"{SECRETS}/s"),
                await server.get(SECRETS),
                await server.get(f"{SECRETS}?labelSelector=a=b"),
                await server.get("/api/v1/secrets?fieldSelector=type=Opaque"),
                await server.get(SECRETS, accept="application/json;as=Table;v=v1;g=meta.k8s.io"),
                await server.put(f"{SECRETS}/s", {"metadata": {"name": "s"}}),
                await server.patch(f"{SECRETS}/s", {"data": {"a": None}}),
                await server.delete(f"{SECRETS}/s"),
            ):
                assert answer.status == 500, answer.body
                assert answer.message == f"{why}no matching prefix found"
            taken = await server.post(SECRETS, {"metadata": {"name": "s"}})
            assert taken.status == 409
            maps = f"{DEFAULT}/configmaps"
            assert (await server.post(maps, config_map("c"))).status == 201
            other = await server.post(SECRETS, {"metadata": {"name": "t"}})
            assert other.status == 201
            assert (await server.get(f"{SECRETS}/t")).status == 200
            store.encrypt(rules(NEW, OLD))
            assert (await server.get(f"{SECRETS}/s")).tree["data"] == {"a": "Yg=="}
            assert len((await server.get(SECRETS)).tree["items"]) == 2

    asyncio.run(story())
