"""A stream to a member that is left before it answered anything ends, and says so."""

from __future__ import annotations

import asyncio
import socket

import pytest

from kybern.lib.clock import SYSTEM
from kybern.store.interface import StoreFailed
from kybern.store.kv.etcd.address import Address
from kybern.store.kv.etcd.connection import Connection
from kybern.store.kv.etcd.watch import watch


@pytest.mark.parametrize("turns", [1, 2, 5, 50])
def test_a_stream_that_is_left_while_it_connects(live, turns):
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:  # it never says a word
            where = f"127.0.0.1:{silent.getsockname()[1]}"
            connection = Connection(Address((where, "127.0.0.1:1")), SYSTEM)

            async def follow() -> None:
                async for _ in watch(connection, 1):
                    pass

            following = asyncio.create_task(follow())
            for _ in range(turns):
                await asyncio.sleep(0)
            connection.leave(0)
            with pytest.raises(StoreFailed, match=where):
                await following
            await connection.close()

    live(main())
