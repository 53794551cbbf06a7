"""News from the kernel: links, addresses, routes, and the network configuration's directory.

In:   a rtnetlink socket, an inotify descriptor.
Out:  a callback, when something changed that routes or configuration depend on.
By:   router.py.

A link that goes down takes our routes over it along, of which the kernel tells nobody. When it is
up again it has its own route again, and that is told. Pods' cables come and go all the time and are
not looked at.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import struct
from typing import TYPE_CHECKING

from kybern.network.kernel import PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GROUPS = 0x1 | 0x10 | 0x40  # links; addresses and routes of IPv4
GROUPS6 = 0x100 | 0x400  # addresses and routes of IPv6
BY_KERNEL, ON_LINK = 2, 253  # a route's protocol, an address's scope
NEW_LINK, DELETE_LINK, NEW_ADDRESS, DELETE_ADDRESS, NEW_ROUTE, DELETE_ROUTE = 16, 17, 20, 21, 24, 25
MAIN = 254  # the routing table
HEADER = struct.Struct("=IHHII")
# IN_CLOSE_WRITE, IN_MOVED_FROM, IN_MOVED_TO, IN_DELETE
CHANGED = 0x8 | 0x40 | 0x80 | 0x200
IN_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class KernelEvents:
    """Calls back when an address, a route or one of the devices named changed."""

    def __init__(self, changed: Callable[[], None], *, ipv6: bool = False) -> None:
        self.devices: frozenset[int] = frozenset()
        self._changed = changed
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, GROUPS | (GROUPS6 if ipv6 else 0)))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: some news was lost
            self._changed()
            return
        if any(concerns(kind, body, self.devices) for kind, body in messages(data)):
            self._changed()


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """Return type and body of each message in a datagram."""
    found, at = [], 0
    while at + HEADER.size <= len(data):
        length, kind, *_ = HEADER.unpack_from(data, at)
        if length < HEADER.size:
            break
        found.append((kind, data[at + HEADER.size : at + length]))
        at += (length + 3) & ~3
    return found


def concerns(kind: int, body: bytes, devices: frozenset[int]) -> bool:
    """Say whether routes may depend on a message: not on those we made ourselves."""
    if kind in (NEW_LINK, DELETE_LINK):
        return int(struct.unpack_from("=i", body, 4)[0]) in devices
    if kind in (NEW_ROUTE, DELETE_ROUTE):
        table, protocol = body[4], body[5]
        if body[0] == socket.AF_INET6 and protocol == BY_KERNEL:
            return False  # it comes with an address, of which we hear
        return table == MAIN and not (kind == NEW_ROUTE and protocol == int(PROTOCOL))
    # in IPv6 each pod's cable has an address of its own
    return kind in (NEW_ADDRESS, DELETE_ADDRESS) and body[3] != ON_LINK


class DirectoryEvents:
    """Calls back when a file in a directory was written, moved or removed."""

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(IN_FLAGS)
        self._changed = changed
        if (
            self._descriptor < 0
            or libc.inotify_add_watch(self._descriptor, os.fsencode(directory), CHANGED) < 0
        ):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(directory))
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> None:
        try:
            os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return
        self._changed()
