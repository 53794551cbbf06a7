"""A line to etcd that can be cut: the fault between two machines, without the machines."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.store.kv.etcd.address import Address


class Link:
    """Listens on a port of the loopback and passes bytes on, both ways."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.up = True
        self.answers = asyncio.Event()
        """While it is not set, nothing comes back; what is sent still arrives."""
        self.answers.set()
        self.port = 0

    async def __aenter__(self) -> Link:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def of(self, address: Address) -> Address:
        """The same etcd, by this line."""
        return replace(address, members=(f"127.0.0.1:{self.port}",))

    def cut(self) -> None:
        """Break all connections and let no new one through, until `mend`."""
        self.up = False
        self.answers.set()
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self.up = True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, back}
        for source, target, gate in ((reader, back, None), (there, writer, self.answers)):
            task = asyncio.create_task(self._pass(source, target, gate))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        gate: asyncio.Event | None,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if gate is not None:
                    await gate.wait()
                if not self.up:
                    break
                target.write(data)
                await target.drain()
        target.close()
        self._writers.discard(target)
