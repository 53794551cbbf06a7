from __future__ import annotations

import ssl

import pytest

from kybern.lib import pki, tls
from kybern.lib.clock import SYSTEM
from kybern.lib.http.client import HttpClient
from kybern.lib.http.messages import Response
from kybern.lib.http.server import serve
from kybern.lib.pki import Subject

HERE = Subject("s", (), (), ("127.0.0.1",))


def test_pairs_from_bytes_and_from_files(tmp_path):
    ca = pki.make_ca("ca", now=SYSTEM.now())
    pair = pki.issue(ca, HERE, now=SYSTEM.now(), server=True)
    pair.save(tmp_path / "a.crt", tmp_path / "a.key")
    tls.server_context(pair.certificate, pair.key)
    tls.server_context(tmp_path / "a.crt", str(tmp_path / "a.key"))
    with pytest.raises(ssl.SSLError):
        tls.server_context(pair.certificate, ca.key)
    with pytest.raises(OSError):
        tls.server_context(tmp_path / "none.crt", tmp_path / "a.key")


def test_a_new_certificate_is_used_without_a_restart(live):
    async def app(request):
        return Response(200, b"ok")

    async def main():
        old, new = (pki.make_ca(name, now=SYSTEM.now()) for name in ("old", "new"))
        first, second = (pki.issue(ca, HERE, now=SYSTEM.now(), server=True) for ca in (old, new))
        context = tls.server_context(first.certificate, first.key)
        server = await serve(app, ssl=context)

        async def trusts(ca):
            url = f"https://127.0.0.1:{server.port}"
            async with HttpClient(url, ssl=tls.client_context(ca.certificate)) as client:
                try:
                    return (await client.request("GET", "/")).status
                except OSError:
                    return None

        results = [await trusts(old), await trusts(new)]
        tls.load_pair(context, second.certificate, second.key)
        results += [await trusts(old), await trusts(new)]
        await server.close()
        return results

    assert live(main()) == [200, None, None, 200]
