"""Speaking to an API server as clients do, with an eye on what comes back.

`Caller` sends raw requests; `Resource` is one kind of object in one place. What is sent is
protobuf, as upstream's typed clients send it, unless it is a patch or `dynamic` asks for JSON.
Every answer is looked over: a resourceVersion must be a decimal number, a failure a Status.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from kybern.api import codec, protobuf
from kybern.api.scheme import SCHEME, Kind

if TYPE_CHECKING:
    from kybern.client.in_process import InProcessTransport

Tree = dict[str, Any]

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
TYPED_ACCEPT = f"{protobuf.MEDIA_TYPE},{JSON}"


class Answer:
    """A complete answer."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def tree(self) -> Any:
        return json.loads(self.body)


class Refused(Exception):
    """An answer that is a failure."""

    def __init__(self, answer: Answer, what: str) -> None:
        tree = answer.tree
        assert tree["kind"] == "Status", tree
        assert tree["apiVersion"] == "v1", tree
        assert tree["status"] == "Failure", tree
        assert tree["code"] == answer.status, tree
        assert tree["metadata"].keys() <= {"continue"}, tree
        self.code: int = answer.status
        self.reason: str = tree.get("reason", "")
        self.message: str = tree["message"]
        self.details: Tree = tree.get("details", {})
        self.tree = tree
        super().__init__(f"{what}: {answer.status} {self.reason}: {self.message}")


class Caller:
    """Sends requests as one identity."""

    def __init__(self, transport: InProcessTransport) -> None:
        self.transport = transport

    async def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "",
        accept: str = JSON,
        query: Any = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request and return the answer, whatever it is."""
        sent = {"accept": accept, **(headers or {})}
        if body is not None and content_type:
            sent["content-type"] = content_type
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        text = query if isinstance(query, str) else urlencode(query, quote_via=quote)
        answer = await self.transport.request(method, path, query=text, headers=sent, body=data)
        return Answer(answer.status, answer.headers, await answer.read())

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Send one request and return the tree of a good answer.

        Raises:
            Refused: the answer is a failure.
        """
        answer = await self.raw(method, path, body, **more)
        if answer.status >= 300:
            raise Refused(answer, f"{method} {path}")
        assert answer.headers["content-type"] == JSON, answer.headers
        return answer.tree

    async def get(self, path: str, **more: Any) -> Any:
        return await self.call("GET", path, **more)

    def resource(
        self, api_version: str, plural: str, namespace: str = "", *, dynamic: bool = False
    ) -> Resource:
        """Return a handle for one kind of object, in a namespace or everywhere."""
        group, _, version = api_version.rpartition("/")
        kind = SCHEME.by_resource(group, version, plural)
        assert kind is not None, plural
        return Resource(self, kind, namespace, dynamic=dynamic)

    async def watch(self, path: str, query: dict[str, Any]) -> Watch:
        """Open a watch; it must be closed."""
        text = urlencode({"watch": "true", **query}, quote_via=quote)
        answer = await self.transport.request(
            "GET", path, query=text, headers={"accept": TYPED_ACCEPT}
        )
        if answer.status != 200:
            raise Refused(Answer(answer.status, answer.headers, await answer.read()), path)
        return Watch(answer)


class Resource:
    """Objects of one kind in one place."""

    def __init__(self, caller: Caller, kind: Kind, namespace: str, *, dynamic: bool) -> None:
        self.caller = caller
        self.kind = kind
        self.namespace = namespace
        self.dynamic = dynamic

    async def create(
        self, obj: Tree, *, name: str = "", subresource: str = "", **options: Any
    ) -> Tree:
        """Create an object; return what the server made of it."""
        return await self._write("POST", name, subresource, obj, options, 201)

    async def update(self, obj: Tree, *, subresource: str = "", **options: Any) -> Tree:
        """Replace an object, or a subresource of it."""
        name = obj["metadata"]["name"]
        return await self._write("PUT", name, subresource, obj, options, 200)

    async def get(self, name: str, *, subresource: str = "", **options: Any) -> Tree:
        path = self.kind.path(self.namespace, name, subresource)
        return self._checked(await self.caller.get(path, query=options, accept=self._accept))

    async def list(self, selector: str = "", *, everywhere: bool = False, **options: Any) -> Tree:
        """Return the list object."""
        if selector:
            options["labelSelector"] = selector
        path = self.kind.path("" if everywhere else self.namespace)
        tree: Tree = await self.caller.get(path, query=options, accept=self._accept)
        assert tree["kind"] == self.kind.list_kind
        assert tree["apiVersion"] == self.kind.api_version
        version(tree)
        for item in tree["items"]:
            version(item)
        return tree

    async def items(self, selector: str = "", **options: Any) -> list[Tree]:
        items: list[Tree] = (await self.list(selector, **options))["items"]
        return items

    async def names(self, selector: str = "", **options: Any) -> list[str]:
        return [item["metadata"]["name"] for item in await self.items(selector, **options)]

    async def patch(
        self, name: str, patch: Any, kind: str = MERGE, *, subresource: str = "", **options: Any
    ) -> Tree:
        """Patch an object, or a subresource of it."""
        path = self.kind.path(self.namespace, name, subresource)
        return self._checked(
            await self.caller.call(
                "PATCH", path, patch, content_type=kind, accept=self._accept, query=options
            )
        )

    async def apply(self, obj: Tree, *, subresource: str = "", **options: Any) -> Tree:
        """Apply an object, as `fieldManager` or as "tester"."""
        options.setdefault("fieldManager", "tester")
        tree = {"apiVersion": self.kind.api_version, "kind": self.kind.kind, **obj}
        return await self.patch(
            obj["metadata"]["name"], tree, APPLY, subresource=subresource, **options
        )

    async def delete(self, name: str, options: Tree | None = None, **query: Any) -> Tree:
        """Delete an object; return the answer: the object, or a Status."""
        path = self.kind.path(self.namespace, name)
        tree: Tree = await self._delete(path, options, query)
        return tree

    async def delete_collection(
        self, selector: str = "", options: Tree | None = None, **query: Any
    ) -> Tree:
        """Delete what a selector selects."""
        if selector:
            query["labelSelector"] = selector
        tree: Tree = await self._delete(self.kind.path(self.namespace), options, query)
        return tree

    async def missing(self, name: str) -> bool:
        """Whether there is no such object."""
        answer = await self.caller.raw("GET", self.kind.path(self.namespace, name))
        if answer.status == 200:
            return False
        tree = answer.tree
        assert (answer.status, tree["reason"]) == (404, "NotFound"), tree
        assert tree["message"] == f'{self.kind.group_resource} "{name}" not found'
        return True

    async def watch(
        self, selector: str = "", *, since: str = "", everywhere: bool = False, **options: Any
    ) -> Watch:
        """Open a watch; it must be closed."""
        if selector:
            options["labelSelector"] = selector
        if since:
            options["resourceVersion"] = since
        path = self.kind.path("" if everywhere else self.namespace)
        return await self.caller.watch(path, options)

    @property
    def _accept(self) -> str:
        return JSON if self.dynamic else TYPED_ACCEPT

    async def _delete(self, path: str, options: Tree | None, query: Tree) -> Any:
        body = None
        if options is not None:
            body = {"kind": "DeleteOptions", "apiVersion": "v1", **options}
        return await self.caller.call("DELETE", path, body, content_type=JSON, query=query)

    async def _write(
        self, method: str, name: str, subresource: str, obj: Tree, options: Tree, wanted: int
    ) -> Tree:
        kind = _kind_of(obj, self.kind)
        tree = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        body: Any = tree
        content_type = JSON
        if not self.dynamic:
            body = protobuf.encode(codec.from_tree(tree, kind.struct))
            content_type = protobuf.MEDIA_TYPE
        path = self.kind.path(self.namespace, name, subresource)
        answer = await self.caller.raw(
            method, path, body, content_type=content_type, accept=self._accept, query=options
        )
        if answer.status >= 300:
            raise Refused(answer, f"{method} {path}")
        assert answer.status == wanted, answer.status
        return self._checked(answer.tree)

    def _checked(self, tree: Tree) -> Tree:
        if "metadata" in tree and tree.get("kind") == self.kind.kind:
            version(tree)
        return tree


def _kind_of(obj: Tree, default: Kind) -> Kind:
    """The kind an object says it is of: bodies of subresources are of other kinds."""
    if "kind" not in obj or (obj["apiVersion"], obj["kind"]) == (default.api_version, default.kind):
        return default
    found = SCHEME.by_kind(obj["apiVersion"], obj["kind"])
    assert found is not None, obj["kind"]
    return found


class Watch:
    """Events as they come. In virtual time, waiting for what does not come costs nothing."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    async def __aenter__(self) -> Watch:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._answer.close()

    async def next(self, within: float = 10.0) -> tuple[str, Tree]:
        """Return type and object of the next event."""
        try:
            async with asyncio.timeout(within):
                event = await self._events.get()
        except TimeoutError:
            raise AssertionError("no event came") from None
        assert event is not None, "the watch was closed"
        assert event.keys() == {"type", "object"}
        if event["type"] != "ERROR":
            version(event["object"])
        return event["type"], event["object"]

    async def until(self, wanted: Any, within: float = 60.0) -> tuple[str, Tree]:
        """Return the first event for which `wanted(type, object)` holds."""
        seen = []
        async with asyncio.timeout(within):
            while True:
                event = await self.next(within)
                if wanted(*event):
                    return event
                seen.append(event)

    async def expect(self, *types: str) -> list[Tree]:
        """Return the objects of the next events, which must be of these types."""
        objects = []
        for type_ in types:
            got, obj = await self.next()
            assert got == type_, (got, type_, obj)
            objects.append(obj)
        return objects

    def empty(self) -> bool:
        """Whether no event is waiting to be read."""
        return self._events.empty()

    async def quiet(self, seconds: float = 10.0) -> None:
        """Fail if an event comes, or the watch ends, within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                raise AssertionError(f"an event that should not come: {await self._events.get()}")
        except TimeoutError:
            pass

    async def _read(self) -> None:
        rest = b""
        async for chunk in self._answer:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._events.put_nowait(json.loads(line))
        assert rest == b""
        self._events.put_nowait(None)


def version(tree: Tree) -> int:
    """Return the resourceVersion, which must be a decimal number greater than zero."""
    text = tree["metadata"]["resourceVersion"]
    assert text.isdecimal(), text
    assert text[0] != "0", text
    return int(text)
