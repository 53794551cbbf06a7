"""Reading and following container logs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from kybern.kubelet.server.log_lines import (
    BadLogOptions,
    LogOptions,
    parse_line,
    parse_options,
    tail_offset,
)
from kybern.kubelet.server.logs import LogReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def record(second: int, text: str, *, stream: str = "stdout", partial: bool = False) -> bytes:
    tag = "P" if partial else "F"
    return f"2026-01-01T00:00:{second:02d}.000000001Z {stream} {tag} {text}\n".encode()


LOG = (
    record(0, "one")
    + record(1, "two", stream="stderr")
    + record(2, "three ", partial=True)
    + record(3, "is long")
    + record(4, "")
)


async def read(path: Path, options: LogOptions) -> bytes:
    reader = LogReader(path, options)
    return b"".join([c async for c in reader.chunks(lambda: False, _nobody)])


@contextlib.contextmanager
def _nobody(_: Any) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (LogOptions(), b"one\ntwo\nthree is long\n\n"),
        (LogOptions(tail=2), b"three is long\n\n"),
        (LogOptions(tail=1), b"\n"),
        (LogOptions(tail=0), b""),
        (LogOptions(tail=99), b"one\ntwo\nthree is long\n\n"),
        (LogOptions(limit=6), b"one\ntw"),
        (LogOptions(stream=b"stderr"), b"two\n"),
        (LogOptions(since=NOW + 2), b"three is long\n\n"),
        (
            LogOptions(timestamps=True, tail=2),
            b"2026-01-01T00:00:02.000000001Z three is long\n2026-01-01T00:00:04.000000001Z \n",
        ),
    ],
)
def test_reading(live: Any, tmp_path: Path, options: LogOptions, expected: bytes) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(LOG)
    assert live(read(path, options)) == expected


def test_the_end_of_a_long_log_is_found(live: Any, tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(record(n % 60, f"{n:08d}" + "x" * 50) for n in range(5000)))
    found = live(read(path, LogOptions(tail=3000)))
    assert found.startswith(b"00002000x")
    assert found.count(b"\n") == 3000


def test_a_record_not_yet_complete_is_shown_at_the_end(live: Any, tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(record(0, "one") + record(1, "half").rstrip(b"\n"))
    assert live(read(path, LogOptions())) == b"one\nhalf\n"


def test_following_until_the_container_ends(live: Any, tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "0.log"
        path.write_bytes(record(0, "one"))
        runs = True
        told: list[Any] = []

        @contextlib.contextmanager
        def subscribe(changed: Any) -> Iterator[None]:
            told.append(changed)
            yield
            told.remove(changed)

        seen: list[bytes] = []

        async def follow() -> None:
            reader = LogReader(path, LogOptions(follow=True))
            async for chunk in reader.chunks(lambda: runs, subscribe):
                seen.append(chunk)

        following = asyncio.get_running_loop().create_task(follow())
        await asyncio.sleep(0.05)
        with path.open("ab") as handle:
            handle.write(record(1, "two"))
        await asyncio.sleep(0.05)
        assert seen == [b"one\n", b"two\n"]
        path.rename(tmp_path / "0.log.1")  # rotated
        path.write_bytes(record(2, "three"))
        await asyncio.sleep(0.05)
        assert seen[-1] == b"three\n"
        with path.open("ab") as handle:
            handle.write(record(3, "last"))
        runs = False
        told[0]()
        await asyncio.wait_for(following, 2)
        assert seen[-1] == b"last\n"
        assert told == []

    live(main())


def test_options_come_from_the_query() -> None:
    query = {"follow": ["true"], "tailLines": ["5"], "sinceSeconds": ["60"], "limitBytes": ["9"]}
    options = parse_options(query, NOW)
    assert options == LogOptions(follow=True, tail=5, since=NOW - 60, limit=9)
    options = parse_options({"sinceTime": ["2026-01-01T00:00:00Z"], "stream": ["Stderr"]}, 0)
    assert (options.since, options.stream) == (NOW, b"stderr")
    for bad in ({"tailLines": ["x"]}, {"sinceTime": ["x"]}, {"stream": ["x"]}):
        with pytest.raises(BadLogOptions):
            parse_options(bad, NOW)


def test_what_is_no_record_is_left_out() -> None:
    assert parse_line(b"nonsense") is None
    assert tail_offset(b"nonsense\n" + record(0, "x") + record(1, "y"), 1) == 9 + 42
