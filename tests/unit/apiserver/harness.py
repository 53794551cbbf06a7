"""An API server in this process: memory store, no sockets, requests as plain calls."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.apiserver.app import ApiServer
from kybern.apiserver.config import Config
from kybern.lib.clock import SYSTEM
from kybern.lib.http.messages import Request, Response, StreamResponse
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kybern.lib.clock import Clock

DEFAULT = "/api/v1/namespaces/default"
PODS = f"{DEFAULT}/pods"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


class Identity(NamedTuple):
    name: str
    groups: tuple[str, ...] = ()


ADMIN = Identity("admin", ("system:masters",))


class Answer:
    """A complete answer."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = response.headers
        self.content_type = response.content_type
        body = response.body
        self.body = body if isinstance(body, bytes) else b"".join(body)

    @property
    def tree(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.tree["message"]

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Server:
    """`async with Server() as server`; then `await server.get(path)` and so on."""

    def __init__(
        self, *, store: Store | None = None, clock: Clock = SYSTEM, **settings: Any
    ) -> None:
        settings.setdefault("advertise_address", "192.0.2.1")
        self.store = store or Store(MemoryEngine(), clock)
        self.api = ApiServer(Config(**settings), self.store, clock)
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Server:
        await self.api.start()
        self._running = asyncio.create_task(self.api.run())
        await self.settle()
        if self.store.get("/registry/serviceaccounts/default/default") is None:
            account = await self.post(
                f"{DEFAULT}/serviceaccounts", {"metadata": {"name": "default"}}
            )
            assert account.status == 201, account.body
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait([self._running])

    async def settle(self) -> None:
        """Let the server see its own writes."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: Identity | None = ADMIN,
        certificate: bytes | None = None,
        **headers: str,
    ) -> Answer:
        response = await self.raw(method, path, body, user=user, certificate=certificate, **headers)
        assert isinstance(response, Response), response
        return Answer(response)

    async def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: Identity | None = ADMIN,
        certificate: bytes | None = None,
        **headers: str,
    ) -> Any:
        path, _, query = path.partition("?")
        data = json.dumps(body).encode() if isinstance(body, dict | list) else body or b""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(
            method, path, query, named, data, extra=user, peer_certificate=certificate
        )
        return await self.api.app(request)

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: Any, **more: Any) -> Answer:
        return await self.call("POST", path, body, **more)

    async def put(self, path: str, body: Any, **more: Any) -> Answer:
        return await self.call("PUT", path, body, **more)

    async def patch(self, path: str, body: Any, kind: str = MERGE, **more: Any) -> Answer:
        return await self.call("PATCH", path, body, content_type=kind, **more)

    async def delete(self, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.call("DELETE", path, body, **more)

    async def token(self, account: str = "default", **spec: Any) -> str:
        path = f"{DEFAULT}/serviceaccounts/{account}/token"
        answer = await self.post(path, {"spec": spec})
        assert answer.status == 201, answer.body
        return answer.tree["status"]["token"]

    def watch(self, path: str, **more: Any) -> Watch:
        return Watch(self, path, more)


class Watch:
    """`async with server.watch(path) as watch`; then `await watch.next()`."""

    def __init__(self, server: Server, path: str, more: dict[str, Any]) -> None:
        self._server = server
        self._path = path
        self._more = more
        self._lines: list[Any] = []
        self._chunks: AsyncIterator[bytes] | None = None
        self._coming: asyncio.Future[bytes] | None = None

    async def __aenter__(self) -> Watch:
        mark = "&" if "?" in self._path else "?"
        response = await self._server.raw("GET", f"{self._path}{mark}watch=true", **self._more)
        assert isinstance(response, StreamResponse), getattr(response, "body", response)
        self._chunks = response.chunks
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait([self._coming])
        await self._chunks.aclose()  # type: ignore[union-attr]

    async def next(self) -> Any:
        """The next event; fails after two seconds without one."""
        while not self._lines:
            assert await self._more_within(2), "no event came"
        return self._lines.pop(0)

    async def quiet(self) -> bool:
        """Whether nothing comes for a moment."""
        return not self._lines and not await self._more_within(0.05)

    async def _more_within(self, seconds: float) -> bool:
        # A wait is not cancelled but left for the next call: cancelling would end the watch.
        if self._coming is None:
            self._coming = asyncio.ensure_future(anext(self._chunks))  # type: ignore[arg-type]
        await asyncio.wait([self._coming], timeout=seconds)
        if not self._coming.done():
            return False
        chunk, self._coming = self._coming.result(), None
        self._lines += [json.loads(line) for line in chunk.splitlines()]
        return True


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    containers = spec.pop("containers", [{"name": "c", "image": "busybox"}])
    labels = spec.pop("labels", {"app": name})
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": containers, **spec},
    }  # fmt: skip


def config_map(
    name: str = "c", labels: dict[str, str] | None = None, **data: str
) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels or {}}, "data": data}


def deployment(name: str = "d", replicas: int = 2) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "busybox"}]},
            },
        },
    }  # fmt: skip
