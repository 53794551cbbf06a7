"""Requests out of bytes: no I/O.

In:   bytes in any pieces.
Out:  a queue of requests, whose bodies are filled as more bytes arrive; and, as the last entry,
      the refusal of something that is not HTTP.
By:   `connection`.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import TYPE_CHECKING

import httptools

from kybern.lib.http.messages import ClientGone, Request, Response
from kybern.lib.http.pipe import Pipe

if TYPE_CHECKING:
    from kybern.lib.http.pipe import Source

_MOST_NAMES = 512
_names: dict[bytes, str] = {}  # header names seen, in lower case


class Input(enum.Enum):
    """What becomes of the bytes that arrive."""

    PARSE = enum.auto()  # they are requests
    HOLD = enum.auto()  # they follow a request to upgrade; kept until it is answered
    DISCARD = enum.auto()  # they follow the last request that will be answered


class RequestReader:
    """Turns the bytes of one connection into requests.

    Attributes:
        queue: what is to be answered, in order; a `Response` stands for a refused request and
            is the last entry.
        input: what becomes of further bytes.
        held: the bytes after a request to upgrade.
        in_head: whether the head of a request has begun but not ended.
    """

    __slots__ = (
        "_body",
        "_certificate",
        "_head_limit",
        "_head_size",
        "_parser",
        "_refused",
        "_remote",
        "_request",
        "_source",
        "_url",
        "held",
        "in_head",
        "input",
        "queue",
    )

    def __init__(
        self,
        source: Source,
        head_limit: int,
        remote: str = "",
        certificate: bytes | None = None,
    ) -> None:
        self.queue: deque[Request | Response] = deque()
        self.input = Input.PARSE
        self.held: list[bytes] = []
        self.in_head = False
        self._parser = httptools.HttpRequestParser(self)
        self._source = source
        self._head_limit = head_limit
        self._head_size = 0
        self._refused = False
        self._remote = remote
        self._certificate = certificate
        self._url = b""
        self._request: Request | None = None
        self._body: Pipe | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes; nothing is raised, what cannot be understood is refused in the queue."""
        if self.input is not Input.PARSE:
            if self.input is Input.HOLD:
                self.held.append(data)
            return
        if self.in_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.input = Input.HOLD
            self.held = [data[upgrade.args[0] :]]
        except httptools.HttpParserError as error:
            self._refuse(400, str(error) or "malformed request")
        else:
            if self.in_head:
                self._head_size = self._head_size or len(data)
                if self._head_size > self._head_limit:
                    self._refuse(431, "the head of the request is too large")

    @property
    def sending(self) -> bool:
        """Whether the client is, for all we know, in the middle of sending."""
        return self._body is not None or self.in_head or self._refused

    def stop(self, why: str) -> None:
        """Take no more; a body which is not complete ends with `ClientGone`."""
        self.input = Input.DISCARD
        self.in_head = False
        if self._body is not None:
            self._body.finish(ClientGone(why))
            self._body = None

    def release(self) -> None:
        """Let go of what refers back to us; nothing can be fed any more."""
        self.input = Input.DISCARD
        self._request = None
        del self._parser, self._source

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self.in_head = True
        self._head_size = 0
        self._request = Request("", "", "", None, b"", self._remote, self._certificate)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; those after the body (trailers) are ignored."""
        request = self._request
        if request is None or not self.in_head:
            return
        key = _names.get(name) or _lower(name)
        if key in request.headers:
            request.add_header(key, value.decode("utf-8", "replace"))
        else:
            request.headers[key] = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        """Queue the request; its body may still be on the way."""
        self.in_head = False
        request, parser = self._request, self._parser
        if request is None or self.input is not Input.PARSE:
            return
        request.method = parser.get_method().decode()
        target = self._url.decode("latin-1")
        if target[:1] != "/":
            target = _origin_form(target)
        request.path, _, request.query = target.partition("?")
        request.keep_alive = parser.should_keep_alive()
        headers = request.headers
        if "host" not in headers or "connection" in headers or not request.keep_alive:
            request.version = parser.get_http_version()
        if self._head_size > self._head_limit and _size(request) > self._head_limit:
            self._refuse(431, "the head of the request is too large")
        elif request.version not in ("1.1", "1.0"):
            self._refuse(505, "unsupported protocol version")
        elif "host" not in headers and request.version == "1.1":
            self._refuse(400, "missing required Host header")
        else:
            if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
                request.source = self._body = Pipe(self._source)
            self.queue.append(request)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self._body is not None:
            self._body.feed(body)

    def on_message_complete(self) -> None:
        """End the request, and reading too when the client asked for that."""
        if self._body is not None:
            self._body.finish()
            self._body = None
        if self._request is not None and not self._request.keep_alive:
            self.input = Input.DISCARD
        self._request = None

    def _refuse(self, status: int, why: str) -> None:
        if self.input is Input.DISCARD:
            return  # it follows what was said to be the last request
        self._refused = True
        if self._body is None:  # else the request it belongs to is answered, and nothing more
            text = f"{status} {why}\n".encode("utf-8", "replace")
            self.queue.append(Response(status, text, "text/plain; charset=utf-8"))
        self.stop(f"the request is malformed: {why}")


def _lower(name: bytes) -> str:
    text = name.decode("latin-1").lower()
    if len(_names) < _MOST_NAMES:
        _names[name] = text
    return text


def _origin_form(target: str) -> str:
    """Cut scheme and authority off an absolute target; `*` and such stay as they are."""
    _, separator, rest = target.partition("://")
    if not separator:
        return target
    start = min((at for mark in "/?" if (at := rest.find(mark)) >= 0), default=len(rest))
    path = rest[start:]
    return path if path.startswith("/") else f"/{path}"


def _size(request: Request) -> int:
    return len(request.target) + sum(len(k) + len(v) + 4 for k, v in request.headers.items())
