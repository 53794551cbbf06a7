"""What is asked of a socket beneath a transport.

In:   a transport.
Out:  the peer's address as text; keep-alive probes set; a buffer to receive into.
By:   server and client connections.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_IDLE, _INTERVAL, _PROBES = 30, 10, 3
_RTO_MAX_MS, _AGAIN = 44, 3000  # the option, which `socket` has no name for, and milliseconds


def receive_buffer() -> memoryview:
    """Return a buffer that all connections of one server or client receive into.

    They can share it, as what arrives is taken out before the event loop reads again. Without it
    TLS transports allocate 256 KiB for each read, which costs more than the decryption.
    """
    return memoryview(bytearray(1 << 17))


def peer_address(transport: asyncio.BaseTransport) -> str:
    """Return `1.2.3.4:567` or `[::1]:567`; nothing where the peer has no such address."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return ""
    host, port = peer[0], peer[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def notice_dead_peer(transport: asyncio.BaseTransport) -> None:
    """Let the kernel find out, within a minute, that a silent peer is gone.

    A watch may be silent for hours; without probes a peer that lost its power would stay forever.
    And one that was cut off for a while hears at once what was sent meanwhile: Linux from 6.15 on
    sends again every three seconds, earlier ones wait as long again as it has taken already.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):  # it may be gone already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _INTERVAL)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        sock.setsockopt(socket.IPPROTO_TCP, _RTO_MAX_MS, _AGAIN)
