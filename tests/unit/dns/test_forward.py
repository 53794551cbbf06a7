"""Asking upstream: real sockets on loopback, played servers, short timeouts."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import asynccontextmanager

import pytest
from tests.ports import free_port

from kybern.dns import forward, wire
from kybern.dns.foreign import Foreign
from kybern.dns.forward import Forwarder, NoUpstream, UpstreamFailed
from kybern.dns.upstreams import Server
from kybern.lib.clock import SYSTEM

QUESTION = wire.encode_name("example.org") + b"\0\1\0\1"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(forward, "ATTEMPT", 0.4)
    monkeypatch.setattr(forward, "OVERALL", 8.0)


class Played(asyncio.DatagramProtocol):
    """A server that answers as it is told."""

    def __init__(self, *, rcode=0, ttl=60, truncate=False, mute=False, forge=False, last=1):
        self.rcode, self.ttl, self.truncate = rcode, ttl, truncate
        self.mute, self.forge, self.last = mute, forge, last
        self.seen = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.seen.append(data)
        if self.forge:
            self.transport.sendto(b"\0\0" + self.answer(data)[2:], addr)
            self.transport.sendto(self.answer(data).replace(b"example", b"exanple"), addr)
        if not self.mute:
            self.transport.sendto(self.answer(data, cut=self.truncate), addr)

    def answer(self, query, *, cut=False):
        found = wire.record(
            wire.POINTER_TO_QUESTION, wire.A, self.ttl, bytes((192, 0, 2, self.last))
        )
        found = b"" if self.rcode or cut else found
        flags = wire.QR | self.rcode | (wire.TC if cut else 0)
        header = query[:2] + struct.pack("!HHHHH", flags, 1, bool(found), 0, 0)
        return header + query[12 : 12 + len(QUESTION)] + found

    async def tcp(self, reader, writer):
        size = int.from_bytes(await reader.readexactly(2), "big")
        answer = self.answer(await reader.readexactly(size))
        writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()


@asynccontextmanager
async def serving(*players):
    loop = asyncio.get_running_loop()
    opened, servers = [], []
    for player in players:
        port = free_port(socket.SOCK_STREAM, socket.SOCK_DGRAM)
        transport, _ = await loop.create_datagram_endpoint(
            lambda player=player: player, local_addr=("127.0.0.1", port)
        )
        server = await asyncio.start_server(player.tcp, "127.0.0.1", port)
        opened += [transport, server]
        servers.append(Server("127.0.0.1", port))
    forwarder = Forwarder(lambda name: servers, SYSTEM, random.Random(1))
    try:
        yield forwarder
    finally:
        forwarder.close()
        for each in opened:
            each.close()


def asked(*players, times=1):
    async def main():
        async with serving(*players) as forwarder:
            return [await forwarder.ask(QUESTION) for _ in range(times)][-1]

    return main()


def test_an_answer(live):
    foreign = live(asked(Played()))
    assert (foreign.rcode, foreign.counts, foreign.lifetime) == (0, (1, 0, 0), 60)


def test_the_next_server_is_asked_when_one_is_silent_or_refuses(live):
    assert live(asked(Played(mute=True), Played(last=2))).sections.endswith(bytes((192, 0, 2, 2)))
    assert live(asked(Played(rcode=5), Played(last=2))).rcode == 0
    assert live(asked(Played(rcode=5), Played(mute=True))).rcode == 5
    assert live(asked(Played(rcode=3), Played())).rcode == wire.NXDOMAIN


def test_a_server_that_failed_is_asked_last_for_a_while(live):
    async def main():
        silent, good = Played(mute=True, ttl=0), Played(ttl=0)
        async with serving(silent, good) as forwarder:
            for _ in range(3):
                await forwarder.ask(QUESTION)
            assert (len(silent.seen), len(good.seen)) == (1, 3)
            forwarder._failed = dict.fromkeys(forwarder._failed, float("-inf"))
            await forwarder.ask(QUESTION)
            return silent

    assert len(live(main()).seen) == 2


def test_nobody_answers(live):
    with pytest.raises(UpstreamFailed):
        live(asked(Played(mute=True)))


def test_forged_answers_are_not_believed(live):
    assert live(asked(Played(forge=True))).sections.endswith(bytes((192, 0, 2, 1)))
    with pytest.raises(UpstreamFailed):
        live(asked(Played(forge=True, mute=True)))


def test_a_truncated_answer_is_fetched_over_tcp(live):
    foreign = live(asked(Played(truncate=True)))
    assert (foreign.truncated, foreign.counts) == (False, (1, 0, 0))


def test_one_question_is_asked_once_however_many_wait_for_it(live):
    async def main():
        player = Played()
        async with serving(player) as forwarder, asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(forwarder.ask(QUESTION))
        return player

    assert len(live(main()).seen) == 1


def test_a_failure_is_told_to_all_who_wait(live):
    async def main():
        async with serving(Played(mute=True)) as forwarder:
            tasks = [asyncio.ensure_future(forwarder.ask(QUESTION)) for _ in range(3)]
            return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result) for result in live(main())] == [UpstreamFailed] * 3


def test_ids_and_sockets_vary(live):
    async def main():
        player = Played(ttl=0)
        async with serving(player) as forwarder:
            for _ in range(10):
                await forwarder.ask(QUESTION)
        return player

    assert len({data[:2] for data in live(main()).seen}) == 10


def test_answers_are_remembered_for_a_while():
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    clock = Clock()
    forwarder = Forwarder(lambda name: (), clock, random.Random(1), keep=30, capacity=2)
    foreign = Foreign(0, False, b"", (1, 0, 0), (), 60)
    forwarder._remember(QUESTION, foreign)
    clock.now = 29.9
    assert forwarder.cached(QUESTION) == (foreign, 29)
    clock.now = 30
    assert forwarder.cached(QUESTION) is None
    forwarder._remember(QUESTION, foreign._replace(lifetime=0))
    forwarder._remember(QUESTION, foreign._replace(rcode=wire.SERVFAIL))
    assert not forwarder._cache
    for i in range(5):
        forwarder._remember(bytes((i,)), foreign)
    assert list(forwarder._cache) == [b"\3", b"\4"]


def test_our_own_addresses_are_never_asked(live):
    forwarder = Forwarder(
        lambda name: (Server("10.96.0.10"),),
        SYSTEM,
        random.Random(1),
        own_addresses=frozenset((Server("10.96.0.10"),)),
    )
    with pytest.raises(NoUpstream):
        live(forwarder.ask(QUESTION))


def test_a_server_that_leads_back_to_us_is_left_out(live):
    async def main():
        async with serving(Played(rcode=3), Played(rcode=3)) as forwarder:
            before = forwarder.upstreams(b"")
            verdicts = iter([True, False])
            await forwarder.find_loops(before, lambda: QUESTION, lambda question: next(verdicts))
            return before, forwarder.upstreams(b"")

    before, after = live(main())
    assert after == before[1:]
