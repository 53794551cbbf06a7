"""A bus of our own, and what a client of it sends and understands."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from pathlib import Path

import pytest

from kybern.lib import dbus
from kybern.lib.dbus import Bus, BusError, Message, decode, encode

HELLO = (
    b"l\1\0\1\0\0\0\0\1\0\0\0n\0\0\0"
    b"\1\1o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0"
    b"\6\1s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0"
    b"\2\1s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0"
    b"\3\1s\0\5\0\0\0Hello\0\0\0"
)
"""What every client of D-Bus sends first."""


def test_a_message_has_the_bytes_of_the_specification() -> None:
    fields = {
        dbus.PATH: "/org/freedesktop/DBus", dbus.DESTINATION: dbus.BUS,
        dbus.INTERFACE: dbus.BUS, dbus.MEMBER: "Hello",
    }  # fmt: skip
    assert encode(Message(dbus.CALL, fields, [], 1)) == HELLO
    assert decode(HELLO) == (Message(dbus.CALL, fields, [], 1), len(HELLO))
    assert all(decode(HELLO[:size]) is None for size in range(len(HELLO)))


@pytest.mark.parametrize(
    ("signature", "values"),
    [
        ("ssss", ["shutdown", "kubelet", "", "delay"]),
        ("ysbi", [7, "é", True, -1]),
        ("v", [("t", 5_000_000)]),
        ("gou", ["a", "/b", 3]),
    ],
)
def test_what_is_sent_can_be_read(signature: str, values: list[object]) -> None:
    message = Message(dbus.SIGNAL, {dbus.SIGNATURE: signature}, list(values), 9)
    found = decode(encode(message) + b"more")
    assert found is not None
    assert found[0].body == [v[1] if isinstance(v, tuple) else v for v in values]
    assert found[1] == len(encode(message))


def test_arrays_are_refused() -> None:
    data = encode(Message(dbus.SIGNAL, {dbus.SIGNATURE: ""}, [], 1)).replace(b"g\0\0\0", b"g\0\1a")
    with pytest.raises(BusError, match="not understood"):
        decode(data)


class Daemon:
    """One connection's worth of a bus: answers calls by member, sends what it is told to."""

    def __init__(self) -> None:
        self.path = str(Path(tempfile.mkdtemp(prefix="kyb-", dir="/tmp")) / "bus")
        self.calls: list[tuple[str, list[object]]] = []
        self.answers: dict[str, tuple[str, list[object]]] = {}
        self.fds: list[int] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.setblocking(False)
        self.peer: socket.socket | None = None

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        self.peer, _ = await loop.sock_accept(self._listener)
        for answer in (b"OK 1234deadbeef\r\n", b"AGREE_UNIX_FD\r\n"):
            await loop.sock_recv(self.peer, 4096)
            await loop.sock_sendall(self.peer, answer)
        data = bytearray()
        while more := await loop.sock_recv(self.peer, 4096):
            data += more
            if data.startswith(b"BEGIN\r\n"):
                del data[:7]
            while (found := decode(data)) is not None:
                del data[: found[1]]
                self._answer(found[0])
        self.peer.close()

    def _answer(self, call: Message) -> None:
        member = call.fields[dbus.MEMBER]
        self.calls.append((member, call.body))
        signature, values = self.answers.get(member, ("", []))
        fields = {dbus.REPLY: call.serial, dbus.SIGNATURE: signature}
        kind = dbus.RETURN
        if signature == "error":
            kind, fields = dbus.ERROR, {dbus.REPLY: call.serial, dbus.ERROR_NAME: "no.Way",
                                        dbus.SIGNATURE: "s"}  # fmt: skip
        fds = self.fds if "h" in signature else []
        if fds:
            fields[dbus.FDS] = len(fds)
        assert self.peer is not None
        socket.send_fds(self.peer, [encode(Message(kind, fields, values, 1))], fds)

    def signal(self, signature: str, *values: object) -> None:
        fields = {dbus.INTERFACE: "a.b", dbus.MEMBER: "C", dbus.SIGNATURE: signature}
        assert self.peer is not None
        self.peer.send(encode(Message(dbus.SIGNAL, fields, list(values), 2)))

    def close(self) -> None:
        self._listener.close()
        if self.peer is not None:
            self.peer.close()
        Path(self.path).unlink()
        Path(self.path).parent.rmdir()


def test_calls_signals_and_the_end_of_a_bus() -> None:
    async def main() -> None:
        daemon = Daemon()
        reading, writing = os.pipe()
        daemon.answers = {
            "Hello": ("s", [":1.7"]),
            "Get": ("v", [("t", 5_000_000)]),
            "Inhibit": ("h", [0]),
            "KillUnit": ("error", ["not you"]),
        }
        daemon.fds = [writing]
        async with asyncio.TaskGroup() as group:
            group.create_task(daemon.serve())
            bus = await Bus.connect(daemon.path)
            assert await bus.property("a", "/a", "a.A", "Size") == 5_000_000
            [lock] = await bus.call("a", "/a", "a.A", "Inhibit", "s", "what")
            os.close(writing)
            os.write(lock, b"held")
            assert os.read(reading, 10) == b"held"
            os.close(lock)
            assert os.read(reading, 10) == b""
            with pytest.raises(BusError, match=r"no\.Way: not you"):
                await bus.call("a", "/a", "a.A", "KillUnit", "i", -1)
            assert daemon.calls[1:] == [
                ("Get", ["a.A", "Size"]),
                ("Inhibit", ["what"]),
                ("KillUnit", [-1]),
            ]
            seen = []
            daemon.signal("b", True)
            daemon.signal("b", False)
            async for arguments in bus.signals("type='signal'"):
                seen.append(arguments)
                if len(seen) == 2:
                    assert daemon.peer is not None
                    daemon.peer.shutdown(socket.SHUT_RDWR)
            assert seen == [[True], [False]]
            with pytest.raises(BusError):
                await bus.call("a", "/a", "a.A", "Inhibit")
        os.close(reading)
        daemon.close()

    asyncio.run(main())
