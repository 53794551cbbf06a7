"""Lines of a container's log, as the runtime writes them.

In:   `2026-01-02T03:04:05.123456789Z stdout F text` lines; P instead of F for a part of a line.
Out:  the text, perhaps with its time, of those lines that were asked for.
By:   logs.py. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTIAL = b"P"


class BadLogOptions(ValueError):
    """The query asks for something that cannot be; `str()` says what."""


class Line(NamedTuple):
    """One record."""

    stamp: bytes
    stream: bytes
    partial: bool
    text: bytes


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What was asked for. `tail` is -1 for everything, `limit` 0 for no limit."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int = -1
    since: float = 0.0
    limit: int = 0
    stream: bytes = b""


def parse_line(record: bytes) -> Line | None:
    """Return a record's parts; None for what is no record."""
    parts = record.split(b" ", 3)
    if len(parts) < 4:
        return None
    return Line(parts[0], parts[1], parts[2].startswith(PARTIAL), parts[3])


def parse_options(params: Mapping[str, list[str]], now: float) -> LogOptions:
    """Read the query of a log request.

    Raises:
        BadLogOptions: a value is no number or time.
    """
    since = 0.0
    if seconds := _number(params, "sinceSeconds", 0):
        since = now - seconds
    if text := _first(params, "sinceTime"):
        try:
            since = parse_rfc3339(text)
        except ValueError:
            raise BadLogOptions(f"sinceTime {text!r} is no RFC 3339 time") from None
    stream = _first(params, "stream")
    if stream not in ("", "All", "Stdout", "Stderr"):
        raise BadLogOptions(f"stream {stream!r} is none of All, Stdout, Stderr")
    return LogOptions(
        follow=_truth(params, "follow"),
        previous=_truth(params, "previous"),
        timestamps=_truth(params, "timestamps"),
        tail=_number(params, "tailLines", -1),
        since=since,
        limit=_number(params, "limitBytes", 0),
        stream=b"" if stream in ("", "All") else stream.lower().encode(),
    )


def wanted(line: Line, options: LogOptions) -> bool:
    """Say whether a record was asked for."""
    if options.stream and line.stream != options.stream:
        return False
    return not options.since or parse_rfc3339(line.stamp.decode("ascii")) >= options.since


def shown(line: Line, options: LogOptions, *, continues: bool) -> bytes:
    """Return a record as it is sent; `continues` when the one before was a part of its line."""
    end = b"" if line.partial else b"\n"
    if options.timestamps and not continues:
        return line.stamp + b" " + line.text + end
    return line.text + end


def tail_offset(data: bytes, lines: int) -> int:
    """Return where the last so many whole lines begin; -1 when `data` may not hold them all."""
    at, found = len(data), 0
    while at > 0:
        start = data.rfind(b"\n", 0, at - 1) + 1
        line = parse_line(data[start:at].rstrip(b"\n"))
        if line is not None and not line.partial:
            if found == lines:
                return at
            found += 1
        at = start
    return 0 if found <= lines else -1


def _first(params: Mapping[str, list[str]], name: str) -> str:
    values = params.get(name)
    return values[0] if values else ""


def _truth(params: Mapping[str, list[str]], name: str) -> bool:
    return name in params and _first(params, name).lower() in ("true", "1", "t", "")


def _number(params: Mapping[str, list[str]], name: str, default: int) -> int:
    text = _first(params, name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise BadLogOptions(f"{name} {text!r} is no whole number") from None
