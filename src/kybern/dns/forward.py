"""Asking other servers: names that are not the cluster's.

In:   questions, in wire form.
Out:  the answers of upstream servers; `NoUpstream` or `UpstreamFailed` when there is none.
By:   resolve.

Which servers there are for a name is said by `upstreams`. Addresses this server itself answers on
are left out, since asking oneself is a loop; one that failed is asked last for a while. The same
question is asked upstream once at a time, however many clients wait for it. Answers are kept for a
short while, positive and negative ones alike.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.dns import wire
from kybern.dns.foreign import Foreign, parse_foreign
from kybern.lib import logs

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from kybern.dns.upstreams import Server
    from kybern.lib.clock import Clock

log = logs.get("dns.forward")

ATTEMPT = 2.0  # seconds one server gets before the next is asked
OVERALL = 4.5  # clients commonly give up after five
SOCKET_LIFE = 10.0  # a new source port every so often, so that it cannot be guessed for long
SHUNNED = 10.0  # after a failure others are asked first for so long


class NoUpstream(Exception):
    """There is no server to ask."""


class UpstreamFailed(Exception):
    """No server gave a usable answer in time."""


class Forwarder:
    """Asks upstream servers, one question at a time per question, and remembers the answers."""

    def __init__(
        self,
        servers: Callable[[bytes], Sequence[Server]],
        clock: Clock,
        rng: random.Random,
        *,
        own_addresses: frozenset[Server] = frozenset(),
        keep: int = 30,
        capacity: int = 2000,
    ) -> None:
        """Make a forwarder.

        Args:
            servers: returns the servers to ask about a name, as of now.
            clock: measures the age of answers.
            rng: makes message ids; must not be predictable.
            own_addresses: where this server itself answers; never asked.
            keep: the longest an answer is kept, in seconds.
            capacity: how many answers are kept.
        """
        self._servers = servers
        self._clock = clock
        self._rng = rng
        self._own = own_addresses
        self._keep = keep
        self._capacity = capacity
        self._cache: dict[bytes, tuple[Foreign, float]] = {}
        self._asking: dict[bytes, asyncio.Future[Foreign]] = {}
        self._links: dict[Server, _Link] = {}
        self._looping: set[Server] = set()
        self._failed: dict[Server, float] = {}
        self.asked = self.failed = self.hits = 0

    def cached(self, question: bytes) -> tuple[Foreign, int] | None:
        """Return a remembered answer and its age, if there is one that is still good."""
        entry = self._cache.get(question)
        if entry is None:
            return None
        foreign, since = entry
        age = self._clock.monotonic() - since
        if age >= min(foreign.lifetime, self._keep):
            del self._cache[question]
            return None
        self.hits += 1
        return foreign, int(age)

    async def ask(self, question: bytes) -> Foreign:
        """Ask upstream; `question` is name, type and class, the name in lower case.

        Raises:
            NoUpstream: there is no server to ask.
            UpstreamFailed: none gave a usable answer in time.
        """
        waiting = self._asking.get(question)
        if waiting is not None:
            return await asyncio.shield(waiting)
        servers = self.upstreams(question[:-4])
        if not servers:
            raise NoUpstream
        future: asyncio.Future[Foreign] = asyncio.get_running_loop().create_future()
        self._asking[question] = future
        try:
            foreign = await self._ask_each(servers, question)
        except UpstreamFailed as error:
            self.failed += 1
            future.set_exception(error)
            future.exception()  # perhaps nobody else waits
            raise
        except BaseException:
            future.cancel()
            raise
        else:
            future.set_result(foreign)
        finally:
            del self._asking[question]
        self._remember(question, foreign)
        return foreign

    def upstreams(self, name: bytes) -> list[Server]:
        """Return the servers that may be asked about a name, best first."""
        allowed = [
            server
            for server in self._servers(name)
            if server not in self._own and server not in self._looping
        ]
        if self._failed and len(allowed) > 1:
            since = self._clock.monotonic() - SHUNNED
            allowed.sort(key=lambda server: self._failed.get(server, since) > since)
        return allowed

    def forget(self) -> None:
        """Forget every answer: they may have come from servers that are not asked any more."""
        self._cache.clear()

    async def find_loops(
        self,
        servers: Sequence[Server],
        probe: Callable[[], bytes],
        seen: Callable[[bytes], bool],
    ) -> None:
        """Ask each server something only we would ask; leave out those that ask us back.

        A node whose resolv.conf leads, over whatever detour, to this server would otherwise
        multiply every unknown name until something breaks.
        """
        for server in servers:
            if server in self._own:
                continue
            self._looping.discard(server)
            question = probe()
            try:
                async with asyncio.timeout(ATTEMPT):
                    await self._link(server).exchange(question, self._rng)
            except (TimeoutError, OSError, wire.Malformed) as error:
                log.debug("probe unanswered", server=server.host, reason=str(error))
            if seen(question):
                self._looping.add(server)
                log.error("upstream leads back to this server, not using it", server=server.host)

    def close(self) -> None:
        """Close every socket."""
        for link in self._links.values():
            link.close()
        self._links.clear()

    async def _ask_each(self, servers: Sequence[Server], question: bytes) -> Foreign:
        refusal: Foreign | None = None
        try:
            async with asyncio.timeout(OVERALL):
                for server in (*servers, *servers):
                    foreign = await self._ask_one(server, question)
                    if foreign is None:
                        continue
                    if foreign.rcode in (wire.NOERROR, wire.NXDOMAIN):
                        return foreign
                    refusal = foreign
        except TimeoutError:
            pass
        if refusal is None:
            raise UpstreamFailed(", ".join(server.host for server in servers))
        return refusal

    async def _ask_one(self, server: Server, question: bytes) -> Foreign | None:
        self.asked += 1
        try:
            async with asyncio.timeout(ATTEMPT):
                foreign = await self._link(server).exchange(question, self._rng)
                if foreign.truncated:
                    foreign = await _over_tcp(server, question, self._rng)
        except (TimeoutError, OSError, EOFError, wire.Malformed) as error:
            log.debug("upstream failed", server=server.host, reason=repr(error))
            self._failed[server] = self._clock.monotonic()
            return None
        self._failed.pop(server, None)
        return foreign

    def _link(self, server: Server) -> _Link:
        link = self._links.get(server)
        if link is None:
            link = self._links[server] = _Link(server, self._clock)
        return link

    def _remember(self, question: bytes, foreign: Foreign) -> None:
        if foreign.rcode not in (wire.NOERROR, wire.NXDOMAIN) or not foreign.lifetime:
            return
        if len(self._cache) >= self._capacity:
            # The oldest insertion goes: what is asked for often soon comes back.
            del self._cache[next(iter(self._cache))]
        self._cache[question] = (foreign, self._clock.monotonic())


class _Link(asyncio.DatagramProtocol):
    """A connected UDP socket to one server, renewed now and then."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._transport: asyncio.DatagramTransport | None = None
        self._opened = 0.0
        self._opening = asyncio.Lock()
        self._waiting: dict[bytes, tuple[bytes, asyncio.Future[Foreign]]] = {}

    async def exchange(self, question: bytes, rng: random.Random) -> Foreign:
        """Send a question and wait for its answer."""
        transport = await self._socket()
        id_ = rng.randbytes(2)
        while id_ in self._waiting:
            id_ = rng.randbytes(2)
        future: asyncio.Future[Foreign] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = (question, future)
        try:
            transport.sendto(wire.query(id_, question))
            return await future
        finally:
            del self._waiting[id_]

    def datagram_received(self, data: bytes, _addr: object) -> None:
        """Match an answer to its question; what matches none is not for us."""
        entry = self._waiting.get(data[:2])
        if entry is None or entry[1].done():
            return
        try:
            entry[1].set_result(parse_foreign(data, entry[0]))
        except wire.Malformed as error:
            # Perhaps forged: keep waiting for the true one.
            log.debug("unusable answer", server=self._server.host, reason=str(error))

    def error_received(self, error: Exception) -> None:
        """Fail what waits: nobody listens there."""
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(error)

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    async def _socket(self) -> asyncio.DatagramTransport:
        async with self._opening:
            now = self._clock.monotonic()
            old = self._transport
            if old is not None and (self._waiting or now - self._opened < SOCKET_LIFE):
                return old
            self.close()
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                lambda: self, remote_addr=(self._server.host, self._server.port)
            )
            self._transport = transport
            self._opened = now
            return transport


async def _over_tcp(server: Server, question: bytes, rng: random.Random) -> Foreign:
    id_ = rng.randbytes(2)
    message = wire.query(id_, question)
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(message).to_bytes(2, "big") + message)
        size = int.from_bytes(await reader.readexactly(2), "big")
        data = await reader.readexactly(size)
    finally:
        writer.close()
    if data[:2] != id_:
        raise wire.Malformed("an answer to something else")
    return parse_foreign(data, question)
