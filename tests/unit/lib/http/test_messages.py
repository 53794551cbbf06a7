from __future__ import annotations

import asyncio

import pytest

from kybern.lib.http.messages import BodyTooLarge, Request, parse_query


def test_query():
    assert parse_query("") == {}
    assert parse_query("a=1&b=&c&a=2&&d=x%20y+z%3D") == {
        "a": ["1", "2"],
        "b": [""],
        "c": [""],
        "d": ["x y z="],
    }


def test_request_in_process():
    request = Request("GET", "/a", "b=1", {"x": "y"}, b"body", remote="[::1]:5", extra="me")
    assert (request.target, request.remote_ip, request.extra) == ("/a?b=1", "::1", "me")
    assert request.param("b") == "1"
    assert request.param("c", "none") == "none"
    assert request.values("x") == ["y"]
    assert request.values("z") == []

    async def read():
        whole = await request.body(10)
        return whole, [piece async for piece in request.stream()]

    assert asyncio.run(read()) == (b"body", [b"body"])
    with pytest.raises(BodyTooLarge):
        asyncio.run(request.body(3))
