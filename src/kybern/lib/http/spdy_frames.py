"""SPDY/3.1 framing: no I/O.

In:   bytes, in any pieces; or frames.
Out:  frames; or bytes.
By:   `spdy`. Header blocks are compressed in one zlib stream per direction, begun with the
      dictionary of the specification (www.chromium.org/spdy/spdy-protocol, draft 3.1).
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

VERSION = 3
FIN, UNIDIRECTIONAL = 0x01, 0x02
MOST_HEADERS = 1 << 18  # bytes of one header block, uncompressed
LONGEST_DATA = 1 << 15  # bytes of data we put into one frame
INITIAL_WINDOW_SIZE = 7  # a setting
REFUSED_STREAM, CANCEL, PROTOCOL_ERROR = 3, 5, 1

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _HEADERS, _WINDOW_UPDATE = (
    1, 2, 3, 4, 6, 7, 8, 9,
)  # fmt: skip
_U32 = struct.Struct(">I")
_TWO = struct.Struct(">II")


class SpdyError(ConnectionError):
    """What the other side sent is not SPDY/3.1."""


class SynStream(NamedTuple):
    """A new stream."""

    stream: int
    headers: dict[str, str]
    fin: bool = False
    unidirectional: bool = False
    priority: int = 0


class SynReply(NamedTuple):
    """The other side takes a stream."""

    stream: int
    headers: dict[str, str]
    fin: bool = False


class Reset(NamedTuple):
    """A stream is broken off."""

    stream: int
    status: int


class Settings(NamedTuple):
    """Settings of the connection, by number."""

    values: dict[int, int]


class Ping(NamedTuple):
    """To be sent back as it is."""

    ident: int


class GoAway(NamedTuple):
    """No further streams are taken."""

    last: int
    status: int = 0


class Headers(NamedTuple):
    """More headers of a stream."""

    stream: int
    headers: dict[str, str]
    fin: bool = False


class WindowUpdate(NamedTuple):
    """The other side has read so many bytes; stream 0 is the whole connection."""

    stream: int
    delta: int


class Data(NamedTuple):
    """Bytes of a stream."""

    stream: int
    data: bytes
    fin: bool = False


Frame = SynStream | SynReply | Reset | Settings | Ping | GoAway | Headers | WindowUpdate | Data


class FrameReader:
    """Turns bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes and return the frames they complete; unknown kinds are left out.

        Raises:
            SpdyError: this is not SPDY/3.1, and nothing more can be read.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= 8:
            first, second = _TWO.unpack_from(buffer, start)
            size, flags = second & 0xFF_FFFF, second >> 24
            if first >> 31 and size > MOST_HEADERS:
                raise SpdyError("a control frame is too large")
            if len(buffer) - start - 8 < size:
                break
            payload = bytes(buffer[start + 8 : start + 8 + size])
            start += 8 + size
            if first >> 31:
                frame = self._control(first, flags, payload)
                if frame is not None:
                    frames.append(frame)
            else:
                frames.append(Data(first, payload, bool(flags & FIN)))
        del buffer[:start]
        return frames

    def _control(self, first: int, flags: int, payload: bytes) -> Frame | None:
        if (first >> 16) & 0x7FFF != VERSION:
            raise SpdyError("only version 3 of SPDY is supported")
        try:
            return self._parse(first & 0xFFFF, flags, payload)
        except (struct.error, IndexError, UnicodeDecodeError, zlib.error) as error:
            raise SpdyError(f"malformed frame: {error}") from None

    def _parse(self, kind: int, flags: int, payload: bytes) -> Frame | None:
        fin = bool(flags & FIN)
        number = _U32.unpack_from(payload)[0]
        ident = number & 0x7FFF_FFFF
        if kind == _SYN_STREAM:
            headers, one_way = self._headers(payload[10:]), bool(flags & UNIDIRECTIONAL)
            return SynStream(ident, headers, fin, one_way, payload[8] >> 5)
        if kind == _SYN_REPLY:
            return SynReply(ident, self._headers(payload[4:]), fin)
        if kind == _HEADERS:
            return Headers(ident, self._headers(payload[4:]), fin)
        if kind == _PING:
            return Ping(number)
        if kind == _SETTINGS:
            pairs = (_TWO.unpack_from(payload, 4 + 8 * n) for n in range(min(number, 100)))
            return Settings({key & 0xFF_FFFF: value for key, value in pairs})
        if kind not in (_RST_STREAM, _GOAWAY, _WINDOW_UPDATE):
            return None
        second = _U32.unpack_from(payload, 4)[0]
        if kind == _RST_STREAM:
            return Reset(ident, second)
        if kind == _GOAWAY:
            return GoAway(ident, second)
        return WindowUpdate(ident, second & 0x7FFF_FFFF)

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block, MOST_HEADERS)
        if self._inflate.unconsumed_tail:
            raise SpdyError("a header block is too large")
        if not plain:
            return {}
        position = 4
        headers: dict[str, str] = {}
        for _ in range(_U32.unpack_from(plain)[0]):
            name, position = _text(plain, position)
            value, position = _text(plain, position)
            # Several values of one name come with zero bytes between them.
            headers[name.lower()] = value.replace("\0", ", ")
        return headers


class FrameWriter:
    """Turns frames into bytes; those with headers must be sent in the order they were made."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def syn_stream(self, frame: SynStream) -> bytes:
        """Write a new stream."""
        flags = FIN * frame.fin | UNIDIRECTIONAL * frame.unidirectional
        fixed = _TWO.pack(frame.stream, 0) + bytes((frame.priority << 5, 0))
        return _control(_SYN_STREAM, flags, fixed + self._block(frame.headers))

    def syn_reply(self, stream: int, headers: dict[str, str]) -> bytes:
        """Write that a stream is taken."""
        return _control(_SYN_REPLY, 0, _U32.pack(stream) + self._block(headers))

    def _block(self, headers: dict[str, str]) -> bytes:
        parts = [_U32.pack(len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                parts += (_U32.pack(len(text)), text)
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def data(stream: int, payload: bytes, *, fin: bool = False) -> bytes:
    """Write bytes of a stream, in frames of a size that leaves room for other streams."""
    if len(payload) <= LONGEST_DATA:
        return _TWO.pack(stream, FIN * fin << 24 | len(payload)) + payload
    parts: list[bytes] = []
    for start in range(0, len(payload), LONGEST_DATA):
        piece = payload[start : start + LONGEST_DATA]
        last = fin and start + LONGEST_DATA >= len(payload)
        parts += (_TWO.pack(stream, FIN * last << 24 | len(piece)), piece)
    return b"".join(parts)


def reset(stream: int, status: int) -> bytes:
    """Write that a stream is broken off."""
    return _control(_RST_STREAM, 0, _TWO.pack(stream, status))


def ping(ident: int) -> bytes:
    """Write a ping, or the answer to one."""
    return _control(_PING, 0, _U32.pack(ident))


def go_away(last: int, status: int = 0) -> bytes:
    """Write that no further streams are taken."""
    return _control(_GOAWAY, 0, _TWO.pack(last, status))


def settings(values: dict[int, int]) -> bytes:
    """Write settings."""
    pairs = b"".join(_TWO.pack(key, value) for key, value in values.items())
    return _control(_SETTINGS, 0, _U32.pack(len(values)) + pairs)


def window_update(stream: int, delta: int) -> bytes:
    """Write that so many bytes were read."""
    return _control(_WINDOW_UPDATE, 0, _TWO.pack(stream, delta))


def _control(kind: int, flags: int, payload: bytes) -> bytes:
    return _TWO.pack(1 << 31 | VERSION << 16 | kind, flags << 24 | len(payload)) + payload


def _text(plain: bytes, position: int) -> tuple[str, int]:
    size = _U32.unpack_from(plain, position)[0]
    end = position + 4 + size
    if end > len(plain):
        raise SpdyError("a header block is cut off")
    return plain[position + 4 : end].decode(), end


_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language "
    "accept-ranges age allow authorization cache-control connection content-base "
    "content-encoding content-language content-length content-location content-md5 "
    "content-range content-type date etag expect expires from host if-match if-modified-since "
    "if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer "
    "transfer-encoding upgrade user-agent vary via warning www-authenticate method get status "
    "200_OK version HTTP/1.1 url public set-cookie keep-alive origin"
)
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00"
    " Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,"
    "deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(_U32.pack(len(word)) + word.replace("_", " ").encode() for word in _WORDS.split())
    + _TAIL.encode()
)
