"""Any bytes, in any pieces, become requests or one refusal; nothing is ever raised."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from kybern.lib.http.messages import ClientGone, Request, Response
from kybern.lib.http.pipe import Pipe
from kybern.lib.http.reading import Input, RequestReader


class Source:
    def is_closing(self):
        return False

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


def read(pieces, head_limit=1000):
    reader = RequestReader(Source(), head_limit)
    for piece in pieces:
        reader.feed(piece)
    return reader


def split(data, cuts):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def contents(reader):
    async def body(request):
        try:
            return await request.body()
        except ClientGone:
            return None

    reader.stop("end")
    return [
        item.status
        if isinstance(item, Response)
        else (item.method, item.target, item.headers, asyncio.run(body(item)))
        for item in reader.queue
    ]


tokens = st.text("abcXYZ-", min_size=1, max_size=8)
values = st.text("abc 123,;", max_size=20).map(str.strip)


@st.composite
def messages(draw):
    method = draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]))
    target = "/" + draw(st.text("abc/%?=&", max_size=20))
    names = {
        "x-" + name.lower(): value for name, value in draw(st.dictionaries(tokens, values)).items()
    }
    headers = {"host": "h", **names}
    body = draw(st.binary(max_size=300)) if method != "GET" else b""
    lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    if draw(st.booleans()):
        headers["content-length"] = str(len(body))
        lines.append(f"Content-Length: {len(body)}")
        framed = body
    elif body:
        headers["transfer-encoding"] = "chunked"
        lines.append("Transfer-Encoding: chunked")
        parts = split(body, draw(st.lists(st.integers(0, 300), max_size=3)))
        framed = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts if p) + b"0\r\n\r\n"
    else:
        framed = b""
    wire = "\r\n".join(lines).encode() + b"\r\n\r\n" + framed
    if target.endswith("?") and target.count("?") == 1:
        target = target[:-1]
    return wire, (method, target, headers, body)


@settings(max_examples=150, deadline=None)
@given(st.lists(messages(), min_size=1, max_size=4), st.lists(st.integers(0, 3000), max_size=12))
def test_pieces_do_not_matter(exchange, cuts):
    wire = b"".join(message for message, _ in exchange)
    assert contents(read(split(wire, cuts))) == [expected for _, expected in exchange]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes(pieces):
    reader = read(pieces, head_limit=100)
    refusals = [item for item in reader.queue if isinstance(item, Response)]
    assert len(refusals) <= 1
    if refusals:
        assert reader.queue[-1] is refusals[0]
        assert reader.input is Input.DISCARD
        assert refusals[0].status in (400, 431, 505)
    contents(reader)


@settings(max_examples=200, deadline=None)
@given(messages(), st.integers(0, 400), st.binary(min_size=1, max_size=5), st.data())
def test_mutated_requests(message, at, junk, data):
    wire = message[0][:at] + junk + message[0][at + len(junk) :]
    reader = read(split(wire * 2, data.draw(st.lists(st.integers(0, 800), max_size=4))))
    for item in reader.queue:
        if isinstance(item, Request):
            assert item.method.isupper() or item.method == "M-SEARCH"
            assert type(item.source) in (bytes, Pipe)
    contents(reader)


def test_bytes_after_a_request_to_upgrade_are_held():
    head = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    reader = read([head + b"a", b"bc"])
    assert reader.input is Input.HOLD
    assert b"".join(reader.held) == b"abc"
