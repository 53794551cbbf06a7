"""A connection that has ended is freed at once, with its buffers and its TLS state.

What refers to itself waits for the garbage collector, which looks at what has lived for a while
only once in many thousand requests: connections that were broken off in the middle of large
answers then add up to gigabytes.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import pytest

from kybern.lib import pki, tls
from kybern.lib.clock import SYSTEM
from kybern.lib.http.client import HttpClient
from kybern.lib.http.messages import Response, StreamResponse, UpgradeResponse
from kybern.lib.http.server import serve

LARGE = bytes(4 << 20)
WATCHED = frozenset(
    ("ClientConnection", "Connection", "HttpRequestParser", "HttpResponseParser", "Pipe",
     "Request", "RequestReader", "SSLProtocol", "TransportStream", "Writer")
)  # fmt: skip


def alive():
    """How many there are of what a connection is made of."""
    return Counter(name for o in gc.get_objects() if (name := type(o).__name__) in WATCHED)


async def answer(request):
    if request.path == "/upgrade":
        return UpgradeResponse(echo, (("Upgrade", "x"), ("Connection", "Upgrade")))
    if request.path == "/stream":
        return StreamResponse(200, flood())
    return Response(200, LARGE if request.path == "/large" else b"small")


async def echo(stream):
    stream.write(await stream.read())
    await stream.drain()
    await stream.read()


async def flood():
    while True:
        yield LARGE


async def leave_early(client, path):
    response = await client.request("GET", path)
    response.close()


async def read(client, path):
    response = await client.request("GET", path)
    assert await response.read() == b"small"


async def upgrade(client, path):
    stream = await client.upgrade(path, "x")
    stream.write(b"hello")
    assert await stream.read() == b"hello"
    stream.abort()


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    ("talk", "path"),
    [(read, "/small"), (leave_early, "/large"), (leave_early, "/stream"), (upgrade, "/upgrade")],
)
def test_nothing_is_left_for_the_garbage_collector(live, secure, talk, path):
    ours = theirs = None
    if secure:
        ca = pki.make_ca("ca", now=SYSTEM.now())
        here = pki.Subject("here", ip_addresses=("127.0.0.1",))
        pair = pki.issue(ca, here, now=SYSTEM.now(), server=True)
        ours = tls.server_context(pair.certificate, pair.key)
        theirs = tls.client_context(ca.certificate)

    async def main():
        server = await serve(answer, ssl=ours)
        try:
            gc.collect()
            gc.disable()
            before = alive()
            scheme = "https" if secure else "http"
            for _ in range(3):
                client = HttpClient(f"{scheme}://127.0.0.1:{server.port}", ssl=theirs)
                await talk(client, path)
                await client.close()
                del client
            while server.connections:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            return before, alive()
        finally:
            gc.enable()
            await server.close(grace=1)

    before, after = live(main())
    assert after == before
