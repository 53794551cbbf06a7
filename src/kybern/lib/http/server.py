"""The HTTP server: listens, and closes gracefully.

In:   an application, an address, perhaps a TLS context.
Out:  a `Server` that answers until it is closed.
By:   the API server, the kubelet, health and metrics end points.

What happens on one connection is in `connection`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.lib.http.connection import Connection
from kybern.lib.http.sockets import receive_buffer
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    import socket
    import ssl as tls
    from collections.abc import Sequence

    from kybern.lib.http.messages import App

SWEEP = 15.0
LAST_BYTES = 0.5  # seconds for what was written last to leave the machine
HANDSHAKE = 60.0  # seconds: a thousand clients at once keep a small machine busy for some of them


class Server:
    """A listening server; made by `serve`.

    Attributes:
        port: the port it listens on, also when 0 was asked for.
        connections: those that are open.
    """

    def __init__(
        self, app: App, *, head_limit: int, idle_timeout: float, head_timeout: float
    ) -> None:
        self.app = app
        self.head_limit = head_limit
        self.loop = asyncio.get_running_loop()
        self.tasks = Tasks("http server")
        self.connections: set[Connection] = set()
        self.buffer = receive_buffer()
        self.port = 0
        self._idle_timeout = idle_timeout
        self._head_timeout = head_timeout
        self._empty: asyncio.Event | None = None  # while closing: set once no connection is left
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(
        self,
        host: str | Sequence[str],
        port: int,
        *,
        ssl: tls.SSLContext | None,
        sock: socket.socket | None,
    ) -> None:
        """Start accepting connections."""
        options = {"ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": 2.0} if ssl else {}
        where = {"sock": sock} if sock is not None else {"host": host, "port": port}
        self._listener = await self.loop.create_server(  # type: ignore[call-overload]
            lambda: Connection(self), backlog=4096, ssl=ssl, **where, **options
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        self._sweep()

    async def close(self, grace: float = 10.0) -> None:
        """Stop listening, let answers be finished and streams be ended, then close.

        Args:
            grace: seconds after which what is still open is broken off.
        """
        if self._listener is not None:
            self._listener.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self.connections):
            connection.shut_down()
        try:
            async with asyncio.timeout(grace):
                await self.tasks.wait()
        except TimeoutError:
            pass
        await self.tasks.close()
        await self._wait_closed()

    def statistics(self) -> dict[str, int]:
        """Return how many connections are open."""
        return {"connections": len(self.connections)}

    async def _wait_closed(self) -> None:
        if not self.connections:
            return
        self._empty = asyncio.Event()
        try:
            async with asyncio.timeout(LAST_BYTES):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self.connections):
                connection.abort()
            await self._empty.wait()

    def disconnected(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        if self._empty is not None and not self.connections:
            self._empty.set()

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self.connections):
            connection.close_if_stale(now - self._idle_timeout, now - self._head_timeout)
        self._sweeper = self.loop.call_later(SWEEP, self._sweep)


async def serve(
    app: App,
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 0,
    *,
    ssl: tls.SSLContext | None = None,
    sock: socket.socket | None = None,
    head_limit: int = 1 << 20,
    idle_timeout: float = 180.0,
    head_timeout: float = 32.0,
) -> Server:
    """Serve an application until `close` is called on the result.

    Args:
        app: called once for each request; see `messages`.
        host: the address or addresses to listen on.
        port: 0 lets the system choose.
        ssl: with it the server speaks TLS; client certificates as the context asks.
        sock: a bound socket to listen on instead of host and port.
        head_limit: bytes of request line and headers before 431.
        idle_timeout: seconds a kept connection may wait for its next request.
        head_timeout: seconds in which the head of a request must be complete.
    """
    server = Server(
        app, head_limit=head_limit, idle_timeout=idle_timeout, head_timeout=head_timeout
    )
    await server.listen(host, port, ssl=ssl, sock=sock)
    return server
