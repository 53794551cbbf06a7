from __future__ import annotations

import asyncio
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kybern.lib.http import spdy
from kybern.lib.http import spdy_frames as f
from kybern.lib.http.client import HttpClient
from kybern.lib.http.messages import Request
from kybern.lib.http.stream import StreamClosed, memory_pair


def test_the_dictionary_is_the_one_of_the_specification():
    assert (len(f.DICTIONARY), zlib.adler32(f.DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_frames_survive_any_split():
    writer = f.FrameWriter()
    frames = [
        f.SynStream(1, {"streamtype": "stdin", "x": "é"}, priority=3),
        f.SynStream(3, {}, fin=True, unidirectional=True),
        f.Data(1, b"hello"),
        f.Data(1, b"", fin=True),
        f.Reset(3, f.CANCEL),
        f.Ping(7),
        f.Settings({f.INITIAL_WINDOW_SIZE: 100_000}),
        f.WindowUpdate(0, 5),
        f.GoAway(3),
    ]
    wire = b"".join(
        [
            writer.syn_stream(frames[0]),
            writer.syn_stream(frames[1]),
            f.data(1, b"hello"),
            f.data(1, b"", fin=True),
            f.reset(3, f.CANCEL),
            f.ping(7),
            f.settings({f.INITIAL_WINDOW_SIZE: 100_000}),
            f.window_update(0, 5),
            f.go_away(3),
        ]
    )
    for size in (1, 3, 7, 1000):
        reader = f.FrameReader()
        got = []
        for start in range(0, len(wire), size):
            got += reader.feed(wire[start : start + size])
        assert got == frames


def test_large_data_is_cut():
    frames = f.FrameReader().feed(f.data(1, b"x" * 100_000, fin=True))
    assert [(len(frame.data), frame.fin) for frame in frames] == [
        (32768, False),
        (32768, False),
        (32768, False),
        (1696, True),
    ]


@pytest.mark.parametrize(
    "wire",
    [
        "8002000100000000",  # version 2
        "8003000101000000",  # larger than any control frame
        "800300030000000400000001",  # a reset without a status
        "800300010000000e00000001000000000000deadbeef",  # not zlib
    ],
)
def test_malformed_frames(wire):
    with pytest.raises(f.SpdyError):
        f.FrameReader().feed(bytes.fromhex(wire))


def test_a_zlib_bomb_is_refused():
    writer = f.FrameWriter()
    wire = writer.syn_stream(f.SynStream(1, {"a": "x" * 10_000_000}))
    assert len(wire) < 20_000
    with pytest.raises(f.SpdyError, match="too large"):
        f.FrameReader().feed(wire)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes(pieces):
    reader = f.FrameReader()
    try:
        for piece in pieces:
            reader.feed(b"\x80\x03" + piece)
    except f.SpdyError:
        pass


async def echo(session):
    """Answer each stream with its own bytes, in capitals."""

    async def serve(stream):
        while data := await stream.read():
            stream.write(data.upper())
            await stream.drain()
        stream.close()

    async with asyncio.TaskGroup() as group:
        while (stream := await session.accept()) is not None:
            group.create_task(serve(stream))


async def pair(handle, use):
    """Run a server's handler and a client's on two ends of a connection."""
    here, there = memory_pair()

    async def server():
        async with spdy.SpdySession(here) as session:
            await handle(session)

    async with asyncio.TaskGroup() as group:
        group.create_task(server())
        async with spdy.SpdySession(there, client=True) as session:
            return await use(session)


async def rest(stream):
    data = b""
    while piece := await stream.read():
        data += piece
    return data


def test_streams_with_headers(virtual):
    seen = []

    async def handle(session):
        while (stream := await session.accept()) is not None:
            seen.append(stream.headers)
            stream.write(b"for " + stream.headers["streamtype"].encode())
            stream.close()

    async def use(session):
        streams = [await session.open({"streamType": kind}) for kind in ("error", "stdout")]
        return [await rest(stream) for stream in streams]

    assert virtual(pair(handle, use)) == [b"for error", b"for stdout"]
    assert seen == [{"streamtype": "error"}, {"streamtype": "stdout"}]


def test_both_directions_and_half_close(virtual):
    async def use(session):
        stream = await session.open({})
        stream.write(b"hello")
        first = await stream.read()
        stream.write(b" there")
        stream.write_eof()
        with pytest.raises(StreamClosed):
            stream.write(b"late")
        return first + await rest(stream), len(session._streams)

    assert virtual(pair(echo, use)) == (b"HELLO THERE", 0)


def test_much_data_on_many_streams(virtual):
    async def use(session):
        async def one(n):
            stream = await session.open({"n": str(n)})

            async def send():
                for _ in range(30):
                    stream.write(b"x" * 40_000)
                    await stream.drain()
                stream.write_eof()

            async with asyncio.TaskGroup() as group:
                group.create_task(send())
                return len(await rest(stream))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(n)) for n in range(5)]
        return [task.result() for task in tasks]

    assert virtual(pair(echo, use)) == [1_200_000] * 5


def test_without_window_updates_data_flows(virtual):
    """As with Go's spdystream, which never sends any."""

    async def main():
        here, there = memory_pair()
        async with spdy.SpdySession(here) as session:
            there.write(f.FrameWriter().syn_stream(f.SynStream(1, {})))
            stream = await session.accept()
            stream.write(b"x" * 200_000)
            await asyncio.sleep(0)
            total = 0
            reader = f.FrameReader()
            while total < 200_000:
                for frame in reader.feed(await there.read()):
                    total += len(frame.data) if isinstance(frame, f.Data) else 0
            there.close()
        return total

    assert virtual(main()) == 200_000


def test_a_window_is_kept_once_it_was_spoken_of(virtual):
    async def main():
        here, there = memory_pair()
        reader = f.FrameReader()

        async def received():
            await asyncio.sleep(0.1)
            total = 0
            while there.incoming.size:
                for frame in reader.feed(await there.read()):
                    total += len(frame.data) if isinstance(frame, f.Data) else 0
            return total

        async with spdy.SpdySession(here) as session:
            there.write(
                f.settings({f.INITIAL_WINDOW_SIZE: 1000})
                + f.FrameWriter().syn_stream(f.SynStream(1, {}))
            )
            stream = await session.accept()
            stream.write(b"x" * 5000)
            amounts = [await received()]
            drained = asyncio.create_task(stream.drain())
            for update in (
                f.window_update(1, 500),
                f.window_update(0, 10),
                f.window_update(1, 9000),
            ):
                there.write(update)
                amounts.append(await received())
            await drained
            there.close()
        return amounts

    assert virtual(main()) == [1000, 500, 0, 3500]


def test_what_is_read_is_reported(virtual):
    async def main():
        here, there = memory_pair()
        async with spdy.SpdySession(here) as session:
            there.write(f.FrameWriter().syn_stream(f.SynStream(1, {})) + f.data(1, b"x" * 60_000))
            stream = await session.accept()
            total = 0
            while total < 60_000:
                total += len(await stream.read())
            await asyncio.sleep(0)
            wire = b""
            while there.incoming.size:
                wire += await there.read()
            frames = f.FrameReader().feed(wire)
            there.close()
        return {frame.stream: frame.delta for frame in frames if isinstance(frame, f.WindowUpdate)}

    assert set(virtual(main())) == {0, 1}


def test_reset_ends_both_sides(virtual):
    async def handle(session):
        stream = await session.accept()
        with pytest.raises(StreamClosed):
            await stream.read()
        with pytest.raises(StreamClosed):
            stream.write(b"x")
        other = await session.accept()
        other.abort()

    async def use(session):
        stream = await session.open({})
        stream.abort()
        other = await session.open({})
        with pytest.raises(StreamClosed):
            await other.read()

    virtual(pair(handle, use))


def test_the_end_of_the_connection_ends_the_streams(virtual):
    async def main():
        here, there = memory_pair()
        async with spdy.SpdySession(here) as session:
            there.write(f.FrameWriter().syn_stream(f.SynStream(1, {})))
            stream = await session.accept()
            there.close()
            with pytest.raises(StreamClosed):
                await stream.read()
            assert await session.accept() is None
            await session.wait_closed()
            with pytest.raises(StreamClosed):
                await session.open({})

    virtual(main())


def test_pings_come_back(virtual):
    async def main():
        here, there = memory_pair()
        async with spdy.SpdySession(here):
            there.write(f.ping(1) + f.ping(2) + f.ping(3))  # an even one would be our own
            await asyncio.sleep(0.1)
            frames = f.FrameReader().feed(await there.read() + await there.read())
            there.close()
        return frames

    assert virtual(main()) == [f.Ping(1), f.Ping(3)]


def test_breaking_the_rules_ends_the_session(virtual):
    async def main():
        here, there = memory_pair()
        async with spdy.SpdySession(here) as session:
            there.write(f.FrameWriter().syn_stream(f.SynStream(2, {})))
            assert await session.accept() is None
            frames = f.FrameReader().feed(await there.read())
            there.close()
        return frames

    assert virtual(main()) == [f.GoAway(0, f.PROTOCOL_ERROR)]


def test_a_slow_reader_holds_the_sender_back(virtual):
    async def main():
        here, there = memory_pair()
        async with spdy.SpdySession(here) as session:
            there.write(f.FrameWriter().syn_stream(f.SynStream(1, {})))
            stream = await session.accept()
            sent = 0

            async def flood():
                nonlocal sent
                for _ in range(100):
                    there.write(f.data(1, b"x" * 50_000))
                    await there.drain()
                    sent += 1
                there.write(f.data(1, b"", fin=True))

            async with asyncio.TaskGroup() as group:
                group.create_task(flood())
                await asyncio.sleep(1)
                assert sent < 30
                total = len(await rest(stream))
            there.close()
        return total

    assert virtual(main()) == 5_000_000


def test_over_http(live, served):
    async def app(request):
        assert spdy.is_spdy(request)
        return spdy.accept(echo, (("X-Stream-Protocol-Version", "v4"),))

    async def main():
        async with served(app) as (server, _):
            client = HttpClient(f"http://127.0.0.1:{server.port}")
            async with client, await spdy.connect(client, "/exec") as session:
                stream = await session.open({"streamtype": "stdin"})
                stream.write(b"over the wire")
                stream.write_eof()
                return await rest(stream)

    assert live(main()) == b"OVER THE WIRE"


def test_is_spdy():
    headers = {"connection": "Upgrade", "upgrade": "SPDY/3.1"}
    assert spdy.is_spdy(Request("POST", "/", headers=headers))
    assert not spdy.is_spdy(Request("POST", "/", headers={"upgrade": "SPDY/3.1"}))
    assert not spdy.is_spdy(Request("POST", "/", headers={**headers, "upgrade": "websocket"}))
