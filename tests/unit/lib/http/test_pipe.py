from __future__ import annotations

import asyncio

import pytest

from kybern.lib.http.pipe import HIGH_WATER, Pipe, TooLarge


class Source:
    def __init__(self):
        self.calls = []

    def is_closing(self):
        return False

    def pause_reading(self):
        self.calls.append("pause")

    def resume_reading(self):
        self.calls.append("resume")


def test_the_source_waits_while_the_reader_lags(virtual):
    async def main():
        source = Source()
        pipe = Pipe(source)
        pipe.feed(b"x" * HIGH_WATER)
        assert source.calls == []
        pipe.feed(b"y")
        assert source.calls == ["pause"]
        while pipe.size:
            await pipe.read()
        return source.calls

    assert virtual(main()) == ["pause", "resume"]


def test_collecting_never_waits_for_itself(virtual):
    async def main():
        source = Source()
        pipe = Pipe(source)
        pipe.feed(b"x" * (HIGH_WATER + 1))
        task = asyncio.create_task(pipe.read_all())
        await asyncio.sleep(0)
        pipe.feed(b"y" * HIGH_WATER)
        pipe.finish()
        return len(await task), source.calls

    assert virtual(main()) == (2 * HIGH_WATER + 1, ["pause", "resume"])


def test_the_end_lets_the_source_go_on(virtual):
    source = Source()
    pipe = Pipe(source)
    pipe.feed(b"x" * (HIGH_WATER + 1))
    pipe.finish()
    pipe.feed(b"ignored")
    assert source.calls == ["pause", "resume"]
    assert len(virtual(pipe.read_all())) == HIGH_WATER + 1


def test_limits_and_errors(virtual):
    async def main():
        pipe = Pipe()
        pipe.feed(b"12345")
        with pytest.raises(TooLarge):
            await pipe.read_all(4)
        pipe.finish(KeyError("why"))
        assert await pipe.read(2) == b"12"
        assert await pipe.read() == b"345"
        for _ in range(2):
            with pytest.raises(KeyError):
                await pipe.read()

    virtual(main())


def test_one_reader_only(virtual):
    async def main():
        pipe = Pipe()
        task = asyncio.create_task(pipe.read())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            await pipe.read()
        pipe.discard()
        return await task

    assert virtual(main()) == b""
