"""Response heads and chunk framing as bytes.

In:   status, headers, lengths.
Out:  the bytes to write.
By:   `connection`. What repeats is encoded once: status lines with their content type, and the
      date, which changes once a second.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from kybern.lib.http.messages import Headers

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_CLOSE = "Connection: close\r\n"
_KEEP_ALIVE = "Connection: keep-alive\r\n"
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOST_STARTS = 512

_starts: dict[tuple[int, str], str] = {}
_date: tuple[int, str] = (-1, "")


class BadHeader(ValueError):
    """The application gave a header that would break the message."""


def head(
    status: int,
    content_type: str,
    headers: Headers,
    length: int | None,
    close: bool = False,
    old: bool = False,
) -> bytes:
    """Write the head of a final response.

    Args:
        status: the status code.
        content_type: may be empty: then there is no such header.
        headers: further headers.
        length: of the body; None for a body in chunks (or, to an old client, up to the end);
            -1 for no body and no word about it.
        close: tell the client that the connection ends after this response.
        old: the client speaks HTTP/1.0.
    """
    start = _starts.get((status, content_type)) or _start(status, content_type)
    if length is None:
        framing = "" if old else "Transfer-Encoding: chunked\r\n"
    else:
        framing = f"Content-Length: {length}\r\n" if length >= 0 else ""
    persistence = _CLOSE if close else _KEEP_ALIVE if old else ""
    extra = _lines(headers) if headers else ""
    return f"{start}{_today()}{framing}{extra}{persistence}\r\n".encode("utf-8", "replace")


def upgrade_head(status: int, headers: Headers) -> bytes:
    """Write the head of a response which ends HTTP on this connection."""
    return f"{_start(status, '')}{_lines(headers)}\r\n".encode("utf-8", "replace")


def chunk(pieces: list[bytes], size: int) -> bytes:
    """Frame pieces, of this size together, as one chunk."""
    return b"".join((b"%x\r\n" % size, *pieces, b"\r\n"))


def _start(status: int, content_type: str) -> str:
    line = f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}\r\n"
    if content_type:
        line += _lines((("Content-Type", content_type),))
    if len(_starts) < _MOST_STARTS:
        _starts[status, content_type] = line
    return line


def _lines(headers: Headers) -> str:
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise BadHeader("a header contains a line break")
    return text


def _today() -> str:
    global _date  # a cache of one
    now = int(SYSTEM.now())
    second, text = _date
    if second != now:
        year, month, day, hour, minute, sec, weekday = time.gmtime(now)[:7]
        text = (
            f"Date: {_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year} "
            f"{hour:02}:{minute:02}:{sec:02} GMT\r\n"
        )
        _date = (now, text)
    return text
