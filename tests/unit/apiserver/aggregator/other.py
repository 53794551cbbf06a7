"""An API server of somebody else: serves flunders, and remembers what it was asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kybern.lib.http.messages import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUP, VERSION = "wardle.example.com", "v1alpha1"
PREFIX = f"/apis/{GROUP}/{VERSION}"
FLUNDERS = f"{PREFIX}/namespaces/default/flunders"
SCHEMA = f"com.example.wardle.{VERSION}.Flunder"
RESOURCES = {
    "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}",
    "resources": [
        {"name": "flunders", "singularName": "flunder", "namespaced": True, "kind": "Flunder",
         "verbs": ["create", "delete", "get", "list"], "shortNames": ["fl"]},
        {"name": "flunders/status", "singularName": "", "namespaced": True, "kind": "Flunder",
         "verbs": ["get"]},
    ],
}  # fmt: skip


class Other:
    """The server; its flunders are gone with it."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.healthy = True
        self._flunders: dict[str, dict[str, Any]] = {}

    def requests(self, path: str) -> list[Request]:
        """Return what was asked of a path."""
        return [request for request in self.asked if request.path == path]

    async def app(self, request: Request) -> Response:
        """Answer."""
        self.asked.append(request)
        path = request.path
        if not self.healthy:
            return Response(500, b"no", "text/plain", ())
        if path == PREFIX:
            return _json(RESOURCES)
        if path == "/openapi/v3":
            url = f"/openapi/v3{PREFIX}?hash=1"
            return _json({"paths": {PREFIX[1:]: {"serverRelativeURL": url}}})
        if path == f"/openapi/v3{PREFIX}":
            return _json({"openapi": "3.0.0", "info": {"title": "wardle"}})
        if path == "/openapi/v2":
            definitions = {SCHEMA: {"type": "object"}, "io.k8s.api.core.v1.Pod": {}}
            return _json({"paths": {f"{PREFIX}/flunders": {}, "/other": {}},
                          "definitions": definitions})  # fmt: skip
        if path == FLUNDERS:
            return await self._all(request)
        if path.startswith(f"{FLUNDERS}/"):
            return self._one(request.method, path.rpartition("/")[2])
        return Response(404, b"", "text/plain", ())

    async def _all(self, request: Request) -> Response:
        if request.method == "GET":
            return _json(_list(self._flunders.values()))
        made = json.loads(await request.body(1 << 20))
        self._flunders[made["metadata"]["name"]] = made
        return _json(made, 201)

    def _one(self, method: str, name: str) -> Response:
        if name not in self._flunders:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404,
                      "reason": "NotFound", "message": f'flunders "{name}" not found'}  # fmt: skip
            return _json(status, 404)
        found = self._flunders[name] if method == "GET" else self._flunders.pop(name)
        return _json(found)


def _list(flunders: Iterable[Any]) -> dict[str, Any]:
    return {"kind": "FlunderList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {},
            "items": list(flunders)}  # fmt: skip


def _json(tree: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(tree).encode(), "application/json", ())
