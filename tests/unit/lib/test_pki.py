from __future__ import annotations

import asyncio
import logging
import os
import ssl

import pytest

from kybern.lib import pki, tls
from kybern.lib.clock import SYSTEM
from kybern.lib.http.client import HttpClient
from kybern.lib.http.messages import Response
from kybern.lib.http.server import serve
from kybern.lib.pki import KeyPair, Subject

NOW = 1_767_225_600.0


@pytest.fixture(scope="module")
def ca():
    return pki.make_ca("test-ca", now=NOW)


def test_authority(ca):
    subject, start, end = pki.parse_certificate(ca.certificate)
    assert subject == Subject("test-ca")
    assert (start, end) == (NOW - 300, NOW + 3650 * 86_400)
    assert pki.signed_by(ca.certificate, ca.certificate)
    assert "BEGIN EC PRIVATE KEY" not in repr(ca)


def test_issue(ca):
    asked = Subject(
        "system:node:n1", ("system:nodes", "x"), ("n1", "n1.local"), ("10.0.0.1", "::1")
    )
    pair = pki.issue(ca, asked, now=NOW, lifetime=3600, server=True, client=True)
    subject, _, end = pki.parse_certificate(pair.certificate)
    assert (subject, end) == (asked, NOW + 3600)
    assert pki.key_matches(pair)
    assert not pki.key_matches(KeyPair(pair.certificate, ca.key))
    assert pki.signed_by(pair.certificate, ca.certificate)
    assert not pki.signed_by(ca.certificate, pair.certificate)


def test_serials_differ(ca):
    from cryptography import x509

    pairs = [pki.issue(ca, Subject("x"), now=NOW) for _ in range(2)]
    serials = {x509.load_pem_x509_certificate(pair.certificate).serial_number for pair in pairs}
    assert len(serials) == 2


def test_nothing_outlives_its_authority(ca):
    pair = pki.issue(ca, Subject("x"), now=NOW, lifetime=1e10)
    assert pki.parse_certificate(pair.certificate)[2] == pki.parse_certificate(ca.certificate)[2]


def test_identity(ca):
    pair = pki.issue(ca, Subject("alice", ("b", "a")), now=NOW, client=True)
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.decode())
    assert pki.parse_identity(der) == ("alice", ("b", "a"))
    with pytest.raises(pki.PkiError):
        pki.parse_identity(b"junk")


def test_requests(ca):
    key = pki.make_key()
    asked = Subject("bob", ("o",), ("d",), ("1.2.3.4",), ("b@x.org",), ("spiffe://x/y",))
    request = pki.make_request(asked, key)
    assert pki.parse_request(request) == asked
    certificate = pki.sign_request(ca, request, now=NOW, lifetime=600, client=True)
    assert pki.parse_certificate(certificate)[::2] == (asked, NOW + 600)
    assert pki.key_matches(KeyPair(certificate, key))
    with pytest.raises(pki.PkiError):
        pki.parse_request(b"junk")
    with pytest.raises(pki.PkiError):
        pki.make_request(asked, b"junk")


def test_long_common_names(ca):
    name = "system:serviceaccount:" + "x" * 100
    pair = pki.issue(ca, Subject(name), now=NOW)
    assert pki.parse_certificate(pair.certificate)[0].common_name == name


def test_files(ca, tmp_path):
    certificate, key = tmp_path / "pki" / "ca.crt", tmp_path / "pki" / "ca.key"
    before = os.umask(0)
    try:
        ca.save(certificate, key)
        ca.save(certificate, key)  # replaces
    finally:
        os.umask(before)
    assert key.stat().st_mode & 0o777 == 0o600
    assert certificate.stat().st_mode & 0o777 == 0o644
    assert KeyPair.load(certificate, key) == ca
    assert {path.name for path in (tmp_path / "pki").iterdir()} == {"ca.crt", "ca.key"}


def test_tls_with_client_certificates(live, caplog):
    """The certificates do what they are for: both sides of a connection trust each other."""

    async def app(request):
        if request.peer_certificate is None:
            return Response(401, b"who?")
        return Response(200, repr(pki.parse_identity(request.peer_certificate)).encode())

    async def main():
        now = SYSTEM.now()
        ca, other = pki.make_ca("ca", now=now), pki.make_ca("other", now=now)
        server_pair = pki.issue(ca, Subject("s", (), (), ("127.0.0.1",)), now=now, server=True)
        alice = pki.issue(ca, Subject("alice", ("admins",)), now=now, client=True)
        mallory = pki.issue(other, Subject("alice", ("admins",)), now=now, client=True)
        context = tls.server_context(server_pair.certificate, server_pair.key, ca.certificate)
        server = await serve(app, ssl=context)
        results = []

        async def ask(client_context):
            url = f"https://127.0.0.1:{server.port}"
            async with HttpClient(url, ssl=client_context) as client:
                for _ in range(2):
                    response = await client.request("GET", "/")
                    results.append((response.status, await response.read()))

        await ask(tls.client_context(ca.certificate, alice.certificate, alice.key))
        await ask(tls.client_context(ca.certificate))
        await ask(tls.client_context(verify=False))
        with pytest.raises(OSError):
            await ask(tls.client_context(other.certificate))
        with pytest.raises(OSError):
            await ask(tls.client_context(ca.certificate, mallory.certificate, mallory.key))
        await server.close()
        return results

    with caplog.at_level(logging.WARNING):
        _check_who(live, main)
    assert caplog.records == []  # failed handshakes are the clients' business


def _check_who(live, main):
    assert live(main()) == [(200, b"('alice', ('admins',))")] * 2 + [(401, b"who?")] * 4


def test_large_bodies_over_tls(live):
    parts = [b"%07d" % n for n in range(200_000)]

    async def app(request):
        body = await request.body()
        return Response(200, parts if request.path == "/list" else body)

    async def main():
        ca = pki.make_ca("ca", now=SYSTEM.now())
        pair = pki.issue(ca, Subject("s", (), (), ("127.0.0.1",)), now=SYSTEM.now(), server=True)
        server = await serve(app, ssl=tls.server_context(pair.certificate, pair.key))
        url = f"https://127.0.0.1:{server.port}"
        async with HttpClient(url, ssl=tls.client_context(ca.certificate)) as client:
            whole = b"".join(parts)
            first = await (await client.request("POST", "/echo", body=whole)).read()
            response = await client.request("GET", "/list")
            await asyncio.sleep(0.05)
            second = await response.read()
        await server.close()
        return first == whole, second == whole

    assert live(main()) == (True, True)


def test_tls_stream_is_cancelled_when_the_client_leaves(live):
    from kybern.lib.http.messages import StreamResponse

    async def main():
        left = asyncio.Event()

        async def endless():
            try:
                yield b"x"
                await asyncio.sleep(1e6)
            finally:
                left.set()

        async def app(request):
            return StreamResponse(200, endless())

        ca = pki.make_ca("ca", now=SYSTEM.now())
        pair = pki.issue(ca, Subject("s", (), ("localhost",)), now=SYSTEM.now(), server=True)
        server = await serve(app, ssl=tls.server_context(pair.certificate, pair.key))
        context = tls.client_context(ca.certificate)
        async with HttpClient(
            f"https://127.0.0.1:{server.port}", ssl=context, server_hostname="localhost"
        ) as client:
            response = await client.request("GET", "/")
            assert [piece async for piece in _first(response)] == [b"x"]
            response.close()
            await left.wait()
        await server.close()

    live(main())


async def _first(response):
    async for piece in response:
        yield piece
        return
