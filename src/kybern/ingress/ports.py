"""The sockets at which clients come in.

In:   port numbers by name.
Out:  sockets that listen, for haproxy to inherit; which ports cannot be had, and why.
By:   haproxy.py.
"""

from __future__ import annotations

import errno
import os
import socket
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKLOG = 4096


class Ports:
    """Sockets by name; all addresses, a socket for each family."""

    def __init__(self, wanted: Mapping[str, int]) -> None:
        self._wanted = wanted
        self._sockets: dict[str, list[socket.socket]] = {}

    @property
    def numbers(self) -> dict[str, int]:
        """The ports that are open."""
        return {name: found[0].getsockname()[1] for name, found in self._sockets.items()}

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a process has to inherit."""
        return tuple(each.fileno() for each in chain(*self._sockets.values()))

    def names(self, name: str) -> tuple[str, ...]:
        """Return what haproxy calls the sockets."""
        return tuple(f"fd@{each.fileno()}" for each in self._sockets.get(name, ()))

    def open(self) -> dict[int, str]:
        """Open what is not open yet; return the ports that cannot be had, and why."""
        refused = {}
        for name, port in self._wanted.items():
            if name not in self._sockets:
                try:
                    self._sockets[name] = _open(port)
                except OSError as error:
                    refused[port] = os.strerror(error.errno or 0)
        return refused

    def close(self) -> None:
        """Listen no more."""
        for each in chain(*self._sockets.values()):
            each.close()
        self._sockets.clear()


def _open(port: int) -> list[socket.socket]:
    """Listen on all addresses, with a socket for each family the kernel has."""
    first = socket.create_server(("", port), backlog=BACKLOG)
    if not socket.has_dualstack_ipv6():
        return [first]
    port = first.getsockname()[1]
    try:
        second = socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:  # IPv6 is turned off
            return [first]
        first.close()
        raise
    return [first, second]
