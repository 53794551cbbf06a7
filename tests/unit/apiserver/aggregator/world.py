"""Our API server, another one on a port of this machine, and the way to it."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

from tests.unit.apiserver.aggregator.other import GROUP, VERSION, Other
from tests.unit.apiserver.harness import DEFAULT, Server

from kybern.lib import pki, tls
from kybern.lib.clock import SYSTEM
from kybern.lib.http.messages import Response
from kybern.lib.http.server import serve

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
NAME = f"{VERSION}.{GROUP}"


class World:
    """Our server, the other one on a port of this machine, and the way to it."""

    def __init__(self, server: Server, other: Other, port: int, authority: pki.KeyPair) -> None:
        self.server, self.other, self.port = server, other, port
        self.bundle = base64.b64encode(authority.certificate).decode()

    async def register(self, *, bundle: str | None = None, **spec: Any) -> None:
        service = {
            "metadata": {"name": "wardle"},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }
        assert (await self.server.post(f"{DEFAULT}/services", service)).status == 201
        made = {
            "metadata": {"name": NAME},
            "spec": {
                "group": GROUP, "version": VERSION, "groupPriorityMinimum": 2000,
                "versionPriority": 200, "caBundle": self.bundle if bundle is None else bundle,
                "service": {"namespace": "default", "name": "wardle", "port": self.port}, **spec,
            },
        }  # fmt: skip
        answer = await self.server.post(SERVICES, made)
        assert answer.status == 201, answer.body

    async def condition(self, **wanted: str) -> dict[str, str]:
        """Wait until the condition Available is as wanted."""
        async with asyncio.timeout(20):
            while True:
                tree = (await self.server.get(f"{SERVICES}/{NAME}")).tree
                for each in tree["status"].get("conditions", ()):
                    if wanted.items() <= each.items():
                        return each
                await asyncio.sleep(0.01)

    async def ask(self, path: str, method: str = "GET", body: Any = None, **more: Any) -> Any:
        answer = await self.server.raw(method, path, body, **more)
        if isinstance(answer, Response):
            return answer.status, answer.body
        return answer.status, b"".join([piece async for piece in answer.chunks])


def player(tmp_path: Path) -> Any:
    """Return what runs a story in a world of its own."""
    now = SYSTEM.now()
    authority, proxies = pki.make_ca("wardle", now=now), pki.make_ca("front proxies", now=now)
    names = pki.Subject("wardle", (), ("wardle.default.svc",))
    shown = pki.issue(authority, names, now=now, server=True)
    client = pki.issue(proxies, pki.Subject("front-proxy-client"), now=now, client=True)
    client.save(tmp_path / "client.crt", tmp_path / "client.key")
    (tmp_path / "ca.crt").write_bytes(proxies.certificate)

    def run(story: Any) -> None:
        async def main() -> None:
            other = Other()
            context = tls.server_context(shown.certificate, shown.key, proxies.certificate)
            listener = await serve(other.app, "127.0.0.1", 0, ssl=context)
            try:
                async with Server(
                    front_proxy_certificate=tmp_path / "client.crt",
                    front_proxy_key=tmp_path / "client.key",
                    front_proxy_ca=tmp_path / "ca.crt",
                ) as server:
                    await story(World(server, other, listener.port, authority))
            finally:
                await listener.close()

        asyncio.run(main())

    return run
