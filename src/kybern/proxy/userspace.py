"""Services without nftables: this program listens, and hands bytes on.

In:   Frontends; the addresses of this node.
Out:  listening sockets on ClusterIPs, external addresses and node ports; connections to endpoints.
By:   sync.py, where the kernel or the machine does not let us use nftables.

Slower than the kernel, and endpoints see this node as the client; everything else holds: a choice
by lot, session affinity, traffic policies as to which endpoints are used. An endpoint that refuses
is passed over for the next one. Without endpoints nobody listens, so that the kernel refuses.
ClusterIPs can be had only where the service network is this machine's own (announce.py), which
needs the right to change routes; node ports need nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from kybern.lib import logs
from kybern.proxy.family import IPV4, IPV6, family_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from random import Random

    from kybern.lib.clock import Clock
    from kybern.proxy.endpoints import Target
    from kybern.proxy.model import Frontend

log = logs.get("proxy")

CHUNK = 1 << 16
CONNECT = 5.0  # seconds for an endpoint to take a connection
RESET = struct.pack("ii", 1, 0)  # for SO_LINGER: the end is a reset, as the kernel's would be
IDLE = 60.0  # seconds after which a silent UDP client is forgotten
IPV6_FREEBIND = 78  # of <linux/in6.h>
_SOCKETS = {IPV4: socket.AF_INET, IPV6: socket.AF_INET6}
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Way(NamedTuple):
    """Where somebody may come in."""

    protocol: str
    ip: str
    port: int


class Choice:
    """The endpoints of one way, and which client has which."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self.targets: tuple[Target, ...] = ()
        self.affinity = 0
        self._clock = clock
        self._rng = rng
        self._known: dict[str, tuple[Target, float]] = {}

    def order(self, client: str) -> list[Target]:
        """Return the endpoints to try, the first first."""
        order = self._rng.sample(self.targets, len(self.targets))
        known, since = self._known.get(client, (None, 0.0))
        if self.affinity and known in order and self._clock.monotonic() - since < self.affinity:
            order.sort(key=lambda target: target != known)
        return order

    def took(self, client: str, target: Target) -> None:
        """Remember who serves a client."""
        if self.affinity:
            self._known[client] = (target, self._clock.monotonic())


class Forwarder:
    """All listening sockets."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._ways: dict[str, set[Way]] = {}
        self._choices: dict[Way, Choice] = {}
        self._listening: dict[Way, asyncio.Server | asyncio.DatagramTransport] = {}

    async def update(
        self, services: Mapping[str, Sequence[Frontend]], addresses: Iterable[str]
    ) -> None:
        """Bring some Services to what they are now; an empty one goes."""
        here = tuple(addresses)
        for key, fronts in services.items():
            wanted = {way: front for front in fronts for way in _ways(front, here)}
            for way in self._ways.pop(key, set()) - wanted.keys():
                self._close(way)
            if wanted:
                self._ways[key] = set(wanted)
            for way, front in wanted.items():
                choice = self._choices.setdefault(way, Choice(self._clock, self._rng))
                inside = way.ip in front.cluster_ips
                choice.targets = front.internal_targets if inside else front.external_targets
                choice.affinity = front.affinity
                if way not in self._listening:
                    await self._open(way, choice)

    def close(self) -> None:
        """Stop listening; connections under way go on to their end."""
        for way in list(self._listening):
            self._close(way)

    async def _open(self, way: Way, choice: Choice) -> None:
        try:
            if way.protocol == "tcp":
                self._listening[way] = await asyncio.start_server(
                    lambda reader, writer: _forward(reader, writer, choice), sock=_bound(way)
                )
            elif way.protocol == "udp":
                transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Clients(choice), sock=_bound(way)
                )
                self._listening[way] = transport
        except OSError as error:
            log.debug("cannot listen for a Service", way=way, error=str(error))

    def _close(self, way: Way) -> None:
        self._choices.pop(way, None)
        if (listener := self._listening.pop(way, None)) is not None:
            listener.close()


def _bound(way: Way) -> socket.socket:
    """Return a socket there.

    Raises:
        OSError: it cannot be had.
    """
    family = family_of(way.ip)
    bound = socket.socket(_SOCKETS[family], _KINDS[way.protocol])
    try:
        bound.setblocking(False)
        if way.protocol == "tcp":  # connections that are just ending do not count
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is IPV6:  # a route makes an address ours for IPv4 only
            bound.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        bound.bind((way.ip, way.port))
    except OSError:
        bound.close()
        raise
    return bound


def _ways(front: Frontend, addresses: tuple[str, ...]) -> Iterable[Way]:
    for ip in front.cluster_ips if front.internal_targets else ():
        yield Way(front.protocol, ip, front.port)
    if front.external_targets:
        for ip in (*front.external_ips, *front.balancer_ips):
            yield Way(front.protocol, ip, front.port)
        for ip in addresses if front.node_port else ():
            yield Way(front.protocol, ip, front.node_port)


async def _forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, choice: Choice
) -> None:
    """Hand one connection on to an endpoint, until both sides have ended."""
    client = writer.get_extra_info("peername")[0]
    for target in choice.order(client):
        try:
            async with asyncio.timeout(CONNECT):
                back_reader, back_writer = await asyncio.open_connection(*target)
        except OSError:  # also TimeoutError
            continue
        choice.took(client, target)
        with contextlib.closing(writer), contextlib.closing(back_writer):
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back_writer), name="to the endpoint")
                group.create_task(_pump(back_reader, writer), name="from the endpoint")
        return
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand bytes on in one direction; its end is handed on as well."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:  # either side is gone: let the other know
        writer.transport.abort()


class _Clients(asyncio.DatagramProtocol):
    """The clients of one UDP way; each has a socket of its own towards its endpoint."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._back: dict[tuple[str, int], _Answers] = {}

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._front = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        known = self._back.get(addr)
        if known is None or known.target not in self._choice.targets:
            order = self._choice.order(addr[0])
            if not order:
                return
            if known is not None:
                known.close()
            self._choice.took(addr[0], order[0])
            known = self._back[addr] = _Answers(self, addr, order[0])
        known.send(data)

    def answer(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand an answer back."""
        self._front.sendto(data, addr)

    def forget(self, answers: _Answers, addr: tuple[str, int]) -> None:
        """Forget a client that has been silent."""
        if self._back.get(addr) is answers:
            del self._back[addr]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        for answers in list(self._back.values()):
            answers.close()


class _Answers:
    """One UDP client's socket towards its endpoint."""

    def __init__(self, clients: _Clients, addr: tuple[str, int], target: Target) -> None:
        self.target = target
        self._clients = clients
        self._addr = addr
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        self._socket = socket.socket(_SOCKETS[family_of(target.ip)], kind)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)
        self._used = self._loop.time()
        self._timer = self._loop.call_later(IDLE, self._look)

    def send(self, data: bytes) -> None:
        """Send to the endpoint; what it does not take is lost, as datagrams may be."""
        self._used = self._loop.time()
        with contextlib.suppress(OSError):
            self._socket.sendto(data, self.target)

    def close(self) -> None:
        """End it."""
        self._timer.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._clients.forget(self, self._addr)

    def _read(self) -> None:
        try:
            data, _ = self._socket.recvfrom(CHUNK)
        except OSError:  # the endpoint refused; its client asks again or gives up
            return
        self._used = self._loop.time()
        self._clients.answer(data, self._addr)

    def _look(self) -> None:
        left = self._used + IDLE - self._loop.time()
        if left <= 0:
            self.close()
        else:
            self._timer = self._loop.call_later(left, self._look)
