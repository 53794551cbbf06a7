"""A small API server for tests of the client: one resource, real watch semantics, faults on demand.

It keeps a history, so that watches resume; the history can be cut, connections can be broken, and
the watch-list can be missing. What it answers was compared with what the real one answers by
running the same informer tests against both.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.lib.http.messages import Request, Response, StreamResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


TOO_LARGE = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}


def status(code: int, reason: str, message: str, *causes: dict[str, str]) -> bytes:
    tree = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
        "details": {"causes": list(causes)},
    }  # fmt: skip
    return json.dumps(tree).encode()


class Broken(Exception):
    """The connection is cut."""


class ScriptedApi:
    """Pods, and whatever else is asked for under the same paths."""

    def __init__(self) -> None:
        self.revision = 100
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        self.oldest = 100
        self.watch_list = True
        self.cut_after: int | None = None  # so many objects of the next beginning
        self.refuse: bytes | None = None
        self.requests: list[Request] = []
        self.bodies: list[Any] = []
        self.broken = asyncio.Event()
        self.changed = asyncio.Event()
        self.answers: list[Response] = []

    # --- changing -----------------------------------------------------------------------

    def put(self, obj: Any) -> None:
        tree = codec.to_tree(obj)
        key = (tree["metadata"].get("namespace", ""), tree["metadata"]["name"])
        kind = "MODIFIED" if key in self.objects else "ADDED"
        self.revision += 1
        tree["metadata"]["resourceVersion"] = str(self.revision)
        tree["metadata"].setdefault("uid", f"uid-{key[1]}")
        self.objects[key] = tree
        self._record(kind, tree)

    def delete(self, namespace: str, name: str) -> None:
        tree = self.objects.pop((namespace, name))
        self.revision += 1
        metadata = {**tree["metadata"], "resourceVersion": str(self.revision)}
        self._record("DELETED", {**tree, "metadata": metadata})

    def compact(self) -> None:
        self.oldest = self.revision
        self.history.clear()

    def break_connections(self) -> None:
        self.broken.set()
        self.broken = asyncio.Event()

    def _record(self, kind: str, tree: dict[str, Any]) -> None:
        self.history.append((self.revision, kind, tree))
        self.changed.set()
        self.changed = asyncio.Event()

    # --- answering ----------------------------------------------------------------------

    async def app(self, request: Request) -> Any:
        self.requests.append(request)
        if self.answers:
            return self.answers.pop(0)
        if request.method != "GET":
            self.bodies.append(json.loads(await request.body() or b"null"))
            return Response(200, await request.body())
        if self.refuse is not None:
            return Response(503, self.refuse)
        if request.param("watch") == "true":
            return self._watch(request)
        items = list(self.objects.values())
        tree = {"metadata": {"resourceVersion": str(self.revision)}, "items": items}
        return Response(200, json.dumps(tree).encode())

    def _watch(self, request: Request) -> Any:
        initial = request.param("sendInitialEvents") == "true"
        if initial and not self.watch_list:
            return Response(422, status(422, "Invalid", "sendInitialEvents is forbidden"))
        since = int(request.param("resourceVersion") or 0)
        if since and since < self.oldest:
            return Response(410, status(410, "Expired", "too old resource version"))
        if since > self.revision:
            return Response(504, status(504, "Timeout", "Timeout: too large", TOO_LARGE))
        return StreamResponse(200, self._frames(since, initial))

    async def _frames(self, since: int, initial: bool) -> AsyncIterator[bytes]:
        broken = self.broken
        if initial:
            since = self.revision
            cut, self.cut_after = self.cut_after, None
            for number, tree in enumerate(list(self.objects.values())):
                if number == cut:
                    raise Broken("cut")
                yield _frame("ADDED", tree)
            annotations = {"k8s.io/initial-events-end": "true"}
            metadata = {"resourceVersion": str(since), "annotations": annotations}
            yield _frame("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": metadata})
        while True:
            changed = self.changed
            for revision, kind, tree in list(self.history):
                if revision > since:
                    since = revision
                    yield _frame(kind, tree)
            if broken.is_set():
                raise Broken("cut")
            waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(broken.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()


def _frame(kind: str, tree: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": tree}).encode() + b"\n"
