"""A client of D-Bus: calls, and signals one waits for. No more of it than a daemon needs.

In:   the socket of a bus; calls with their arguments and signatures.
Out:  answers, file descriptors among them; signals.
By:   kubelet/node/logind.py.

The format is that of the D-Bus specification, version 1. Arguments can be of the basic types and
variants of these; nobody here needs arrays.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kybern.lib.channels import Channel, Overflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY, DESTINATION, SENDER, SIGNATURE, FDS = range(1, 10)
FIELD_TYPES = {PATH: "o", INTERFACE: "s", MEMBER: "s", ERROR_NAME: "s", REPLY: "u",
               DESTINATION: "s", SENDER: "s", SIGNATURE: "g", FDS: "u"}  # fmt: skip
FIXED = {"y": ("B", 1), "b": ("I", 4), "u": ("I", 4), "i": ("i", 4), "h": ("I", 4), "t": ("Q", 8)}
BUS = "org.freedesktop.DBus"
FDS_MAX = 16
SIGNALS_MAX = 64


class BusError(Exception):
    """The bus, or who was asked, would not; or the bus is gone."""


@dataclass(slots=True)
class Message:
    """One message: its kind, its header's fields by number, its arguments."""

    kind: int
    fields: dict[int, Any]
    body: list[Any] = field(default_factory=list)
    serial: int = 0


def encode(message: Message) -> bytes:
    """Return a message's bytes; the signature is among its fields."""
    body = bytearray()
    for code, value in zip(message.fields.get(SIGNATURE, ""), message.body, strict=True):
        _put(body, code, value)
    listed = bytearray()
    for number, value in message.fields.items():
        _align(listed, 8)
        listed.append(number)
        _put(listed, "v", (FIELD_TYPES[number], value))
    head = struct.pack("<cBBBIII", b"l", message.kind, 0, 1, len(body), message.serial, len(listed))
    whole = bytearray(head + listed)
    _align(whole, 8)
    return bytes(whole + body)


def decode(data: bytes | bytearray) -> tuple[Message, int] | None:
    """Return the first message and its length; None while it has not all arrived."""
    if len(data) < 16:
        return None
    order = "<" if data[:1] == b"l" else ">"
    size, serial, fields_size = struct.unpack_from(f"{order}III", data, 4)
    start = 16 + (fields_size + 7) // 8 * 8
    if len(data) < start + size:
        return None
    fields: dict[int, Any] = {}
    at = 16
    while at < 16 + fields_size:
        at = (at + 7) // 8 * 8
        number = data[at]
        fields[number], at = _take(data, at + 1, "v", order)
    body, at = [], start
    for code in fields.get(SIGNATURE, ""):
        value, at = _take(data, at, code, order)
        body.append(value)
    return Message(data[1], fields, body, serial), start + size


def _align(data: bytearray, to: int) -> None:
    data.extend(bytes(-len(data) % to))


def _put(data: bytearray, code: str, value: Any) -> None:
    if code in FIXED:
        form, size = FIXED[code]
        _align(data, size)
        data += struct.pack(f"<{form}", int(value))
    elif code == "v":
        kind, inner = value
        _put(data, "g", kind)
        _put(data, kind, inner)
    else:
        text = value.encode()
        if code == "g":
            data.append(len(text))
        else:
            _put(data, "u", len(text))
        data += text + b"\0"


def _take(data: bytes | bytearray, at: int, code: str, order: str) -> tuple[Any, int]:
    if code in FIXED:
        form, size = FIXED[code]
        at += -at % size
        (value,) = struct.unpack_from(f"{order}{form}", data, at)
        return (bool(value) if code == "b" else value), at + size
    if code == "v":
        kind, at = _take(data, at, "g", order)
        return _take(data, at, kind, order)
    if code == "g":
        size, at = data[at], at + 1
    elif code in "so":
        size, at = _take(data, at, "u", order)
    else:
        raise BusError(f"arguments of type {code!r} are not understood here")
    return bytes(data[at : at + size]).decode(), at + size + 1


class Bus:
    """A connection to a bus."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = bytearray()
        self._fds: list[int] = []
        self._serial = 0
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._signals: Channel[Message] = Channel(SIGNALS_MAX, Overflow.DROP_NEWEST)

    @classmethod
    async def connect(cls, path: str) -> Bus:
        """Connect to the bus at a socket, as the user one is.

        Raises:
            OSError: there is none.
            BusError: it lets nobody in.
        """
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, path)
            who = str(os.getuid()).encode().hex()
            for words in (f"\0AUTH EXTERNAL {who}", "NEGOTIATE_UNIX_FD"):
                await loop.sock_sendall(sock, f"{words}\r\n".encode())
                answer = await loop.sock_recv(sock, 4096)
                if not answer.startswith((b"OK", b"AGREE_UNIX_FD")):
                    raise BusError(f"the bus says {answer.decode(errors='replace').strip()!r}")
            await loop.sock_sendall(sock, b"BEGIN\r\n")
        except BaseException:
            sock.close()
            raise
        bus = cls(sock)
        loop.add_reader(sock, bus._readable)
        await bus.call(BUS, "/org/freedesktop/DBus", BUS, "Hello")
        return bus

    def close(self, why: str = "the connection is closed") -> None:
        """End the connection; who waits is told."""
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BusError(why))
        self._waiting.clear()
        self._signals.close()

    async def call(
        self, to: str, path: str, interface: str, member: str, signature: str = "", *args: Any
    ) -> list[Any]:
        """Call a method and return what it answers; of file descriptors, the numbers are ours.

        Raises:
            BusError: it was refused, or the bus is gone.
        """
        self._serial += 1
        fields = {PATH: path, INTERFACE: interface, MEMBER: member, DESTINATION: to}
        if signature:
            fields[SIGNATURE] = signature
        message = Message(CALL, fields, list(args), self._serial)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Message] = loop.create_future()
        self._waiting[self._serial] = future
        try:
            await loop.sock_sendall(self._sock, encode(message))
            answer = await future
        except OSError as error:
            raise BusError(str(error)) from None
        finally:
            self._waiting.pop(message.serial, None)
        if answer.kind == ERROR:
            said = answer.body[0] if answer.body else ""
            raise BusError(f"{answer.fields.get(ERROR_NAME)}: {said}")
        return answer.body

    async def property(self, to: str, path: str, interface: str, name: str) -> Any:
        """Return a property of an object.

        Raises:
            BusError: it was refused, or the bus is gone.
        """
        properties = "org.freedesktop.DBus.Properties"
        return (await self.call(to, path, properties, "Get", "ss", interface, name))[0]

    async def signals(self, rule: str) -> AsyncIterator[Sequence[Any]]:
        """Yield the arguments of the signals of a rule; it ends when the bus is gone.

        One rule per connection: signals are not told apart.
        """
        await self.call(BUS, "/org/freedesktop/DBus", BUS, "AddMatch", "s", rule)
        async for message in self._signals:
            yield message.body

    def _readable(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._sock, 65536, FDS_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(str(error))
            return
        if not data:
            self.close("the bus has ended the connection")
            return
        self._data += data
        self._fds += fds
        while (found := decode(self._data)) is not None:
            message, size = found
            del self._data[:size]
            self._got(message)

    def _got(self, message: Message) -> None:
        count = message.fields.get(FDS, 0)
        fds, self._fds = self._fds[:count], self._fds[count:]
        signature = message.fields.get(SIGNATURE, "")
        for index, code in enumerate(signature):
            if code == "h":
                message.body[index] = fds[message.body[index]]
        future = self._waiting.get(message.fields.get(REPLY, 0))
        if message.kind in (RETURN, ERROR) and future is not None and not future.done():
            future.set_result(message)
        elif message.kind == SIGNAL and message.fields.get(INTERFACE) != BUS:
            self._signals.try_send(message)
