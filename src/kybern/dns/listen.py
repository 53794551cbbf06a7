"""Sockets: datagrams and streams in front of a resolver.

In:   addresses to listen on; messages.
Out:  responses.
By:   server.

What the resolver can answer at once is answered in the same callback. Only what has to wait for an
upstream server becomes a task; their number is bounded, and beyond it queries are refused.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from kybern.dns import wire
from kybern.dns.resolve import MAX_MESSAGE
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from kybern.dns.resolve import Resolver
    from kybern.dns.wire import Query
    from kybern.lib.tasks import Tasks

log = logs.get("dns.listen")

STREAM_IDLE: Final = 10.0  # seconds a TCP client may be silent
MAX_STREAMS: Final = 512
PORT_TRIES: Final = 20


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int = 53

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Listeners:
    """Every socket of one server. Leaving `async with` closes them."""

    def __init__(self, resolver: Resolver, tasks: Tasks, max_waiting: int) -> None:
        self.resolver = resolver
        self.waiting = 0
        self.streams: set[_Stream] = set()
        self._tasks = tasks
        self._max_waiting = max_waiting
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._servers: list[asyncio.Server] = []

    async def open(self, addresses: Sequence[Address]) -> tuple[Address, ...]:
        """Listen everywhere; return the addresses with the ports that were taken.

        Raises:
            OSError: an address cannot be bound; it says which.
        """
        return tuple([await self._open(address) for address in addresses])

    async def __aenter__(self) -> Listeners:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for transport in self._datagrams:
            transport.close()
        for server in self._servers:
            server.close()
        for stream in tuple(self.streams):
            stream.close()

    def later(self, query: Query, limit: int, send: Callable[[bytes], object]) -> None:
        """Answer a query that needs an upstream server, when there is room."""
        if self.waiting >= self._max_waiting:
            answer = wire.Answer(wire.REFUSED, authoritative=False)
            send(wire.respond(query, answer, limit))
            return
        self.waiting += 1
        self._tasks.spawn(self._finish(query, limit, send), name="dns forward")

    async def _finish(self, query: Query, limit: int, send: Callable[[bytes], object]) -> None:
        try:
            send(await self.resolver.finish(query, limit))
        finally:
            self.waiting -= 1

    async def _open(self, address: Address) -> Address:
        # With port 0 the kernel picks the UDP port; the TCP one of that number may be taken.
        for attempt in range(PORT_TRIES):
            datagram = await self._open_datagram(address)
            bound = Address(address.host, datagram.get_extra_info("sockname")[1])
            try:
                await self._open_stream(bound)
            except OSError:
                datagram.close()
                if address.port or attempt == PORT_TRIES - 1:
                    raise
            else:
                self._datagrams.append(datagram)
                return bound
        raise AssertionError("unreachable")

    async def _open_datagram(self, address: Address) -> asyncio.DatagramTransport:
        # A socket of our own: the loop would hide why it cannot be bound.
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.bind((address.host, address.port))
        except OSError as error:
            sock.close()
            problem = f"cannot listen on UDP {address}: {error.strerror}"
            raise OSError(error.errno, problem) from error
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=sock)
        return transport

    async def _open_stream(self, address: Address) -> None:
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: _Stream(self), address.host, address.port, reuse_address=True
            )
        except OSError as error:
            problem = f"cannot listen on TCP {address}: {error.strerror}"
            raise OSError(error.errno, problem) from error
        self._servers.append(server)


class _Datagrams(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._answer = listeners.resolver.answer_datagram
        self._send: Callable[[bytes, Any], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket into use."""
        self._send = cast("asyncio.DatagramTransport", transport).sendto

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer at once if possible."""
        try:
            answer = self._answer(data)
        except Exception:  # a bug in one answer must not end the server
            log.exception("query failed", query=data.hex())
            self._send(wire.refuse(data, wire.SERVFAIL), addr)
            return
        if isinstance(answer, bytes):
            self._send(answer, addr)
        elif answer is not None:
            send = self._send
            self._listeners.later(answer, answer.payload, lambda packed: send(packed, addr))

    def error_received(self, exc: Exception) -> None:
        """Ignore that a client closed its socket before the answer came."""


class _Stream(asyncio.Protocol):
    """One TCP client: messages preceded by their length, answered as they become ready."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._buffer = b""
        self._transport: asyncio.Transport
        self._idle: asyncio.TimerHandle | None = None
        self._heard = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or turn it away when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        if len(self._listeners.streams) >= MAX_STREAMS:
            self._transport.abort()
            return
        self._listeners.streams.add(self)
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        self._idle = loop.call_later(STREAM_IDLE, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._listeners.streams.discard(self)
        if self._idle is not None:
            self._idle.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer every message that is complete."""
        self._heard = asyncio.get_running_loop().time()
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(buffer) - at >= 2:
            size = int.from_bytes(buffer[at : at + 2], "big")
            if len(buffer) - at - 2 < size:
                break
            self._message(buffer[at + 2 : at + 2 + size])
            at += 2 + size
        self._buffer = buffer[at:]

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _message(self, data: bytes) -> None:
        try:
            answer = self._listeners.resolver.answer_stream(data)
        except Exception:  # a bug in one answer must not end the server
            log.exception("query failed", query=data.hex())
            answer = wire.refuse(data, wire.SERVFAIL) if len(data) >= 12 else None
        if isinstance(answer, bytes):
            self._write(answer)
        elif answer is not None:
            self._listeners.later(answer, MAX_MESSAGE, self._write)
        else:
            self._transport.close()  # not DNS: over TCP there is no reason to keep listening

    def _write(self, packed: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(len(packed).to_bytes(2, "big") + packed)

    def _check_idle(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._heard + STREAM_IDLE - loop.time()
        if left <= 0:
            self._transport.close()
        else:
            self._idle = loop.call_later(left, self._check_idle)
