"""A server with a given application, and raw sockets to speak to it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from kybern.lib.http.server import serve


class Raw:
    """A raw connection: write bytes, read responses."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def head(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines)

    async def response(self):
        status, headers = await self.head()
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return status, headers, body

    async def chunk(self):
        size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
        data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def rest(self):
        return await self.reader.read()


@pytest.fixture
def served():
    """`async with served(app) as (server, connect)`."""

    @contextlib.asynccontextmanager
    async def start(app, **options):
        server = await serve(app, "127.0.0.1", 0, **options)
        writers = []

        async def connect():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writers.append(writer)
            return Raw(reader, writer)

        try:
            yield server, connect
        finally:
            for writer in writers:
                writer.close()
            await server.close(grace=1)

    return start
