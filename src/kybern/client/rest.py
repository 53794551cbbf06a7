"""Typed calls to an API server.

In:   Structs of `kybern.api` and the names of objects.
Out:  Structs; failures as the `kybern.api.errors` that the server raised.
By:   every component.

What is returned was decoded for the caller alone and is the caller's to change. A connection that
cannot be made or breaks raises `transport.Unreachable`. An answer that asks to be tried again later
(429, or 5xx with Retry-After) is tried again here, a few times, as other clients do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload
from urllib.parse import urlencode

import msgspec

from kybern.api import codec, errors
from kybern.api.scheme import SCHEME, Kind
from kybern.client.metadata import ACCEPT, ACCEPT_LIST, Partial
from kybern.client.watch import Watch

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Mapping

    from kybern.client.transport import Transport, TransportResponse
    from kybern.lib.clock import Clock

T = TypeVar("T")
U = TypeVar("U")

JSON: Final = "application/json"
PATCH_TYPES: Final = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
PATIENCE: Final = 10  # how often a "try again later" is obeyed before it is raised
LONGEST_WAIT: Final = 60.0


class ListHead(msgspec.Struct):
    """The metadata of a list."""

    resourceVersion: str = ""  # noqa: N815
    continue_: str = msgspec.field(default="", name="continue")
    remainingItemCount: int | None = None  # noqa: N815


class ListAnswer(msgspec.Struct):
    """Any list, its items still encoded."""

    metadata: ListHead = msgspec.field(default_factory=ListHead)
    items: list[msgspec.Raw] | None = None


class KindOnly(msgspec.Struct):
    """Any object, to see what it is."""

    kind: str = ""


_LIST = msgspec.json.Decoder(ListAnswer)
_KIND = msgspec.json.Decoder(KindOnly)


def query_string(parameters: Mapping[str, str | int | bool | None]) -> str:
    """Encode query parameters, leaving out those that are None, False or empty."""
    pairs = {
        key: "true" if value is True else str(value)
        for key, value in parameters.items()
        if value is not None and value is not False and value != ""
    }
    return urlencode(pairs) if pairs else ""


class Client:
    """An API server, as seen by one identity.

    `what` is a Struct type, or a `Kind` for resources known only from discovery; the latter are
    decoded as `into`, which is a plain dict unless something else is asked for.
    """

    def __init__(self, transport: Transport, clock: Clock, *, user_agent: str = "kybern") -> None:
        self.transport = transport
        self.clock = clock
        self._headers = {"accept": JSON, "user-agent": user_agent}

    async def get(
        self, what: type[T] | Kind, name: str, namespace: str = "", *, into: type[T] | None = None
    ) -> T:
        """Return one object; NotFound when there is none."""
        kind, type_ = _resolve(what, into)
        return codec.decode(await self.raw("GET", kind.path(namespace, name)), type_)

    async def list(
        self,
        what: type[T] | Kind,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        page: int = 0,
        into: type[T] | None = None,
    ) -> tuple[builtins.list[T], str]:
        """Return all objects of a kind and the resourceVersion of the list.

        With `page`, they are fetched that many at a time.
        """
        kind, type_ = _resolve(what, into)
        items: list[T] = []
        resume = ""
        while True:
            query = query_string(
                {
                    "labelSelector": label_selector,
                    "fieldSelector": field_selector,
                    "resourceVersion": "" if resume else resource_version,
                    "limit": page or None,
                    "continue": resume,
                }
            )
            data = await self.raw(
                "GET", kind.path(namespace), query=query, accept=self._accept(type_, ACCEPT_LIST)
            )
            answer = _LIST.decode(data)
            items += [_item(item, kind, type_) for item in answer.items or ()]
            resume = answer.metadata.continue_
            if not resume:
                return items, answer.metadata.resourceVersion

    @overload
    async def create(self, obj: T, namespace: str | None = None, *, dry_run: bool = False) -> T: ...

    @overload
    async def create(
        self, obj: Any, namespace: str | None = None, *, dry_run: bool = False, into: type[U]
    ) -> U: ...

    async def create(
        self,
        obj: Any,
        namespace: str | None = None,
        *,
        dry_run: bool = False,
        into: type[Any] | None = None,
    ) -> Any:
        """Create an object and return it as stored; `into` less, where less is of interest."""
        kind = SCHEME.of(obj)
        where = _namespace_of(obj) if namespace is None else namespace
        query = query_string({"dryRun": "All" if dry_run else ""})
        data = await self.raw("POST", kind.path(where), codec.encode(obj), query=query)
        return codec.decode(data, into or type(obj))

    async def create_subresource(
        self, what: type[Any] | Kind, name: str, namespace: str, subresource: str, obj: T
    ) -> T:
        """POST to a subresource, such as a Binding to `pods/binding`."""
        kind, _ = _resolve(what, None)
        path = kind.path(namespace, name, subresource)
        data = await self.raw("POST", path, codec.encode(obj))
        # Some subresources answer with a Status, which the caller has no use for.
        return obj if _is_status(data) else codec.decode(data, type(obj))

    @overload
    async def update(self, obj: T, *, subresource: str = "") -> T: ...

    @overload
    async def update(self, obj: Any, *, subresource: str = "", into: type[U]) -> U: ...

    async def update(
        self, obj: Any, *, subresource: str = "", into: type[Any] | None = None
    ) -> Any:
        """Replace an object and return it, or `into` less; Conflict when it changed meanwhile."""
        kind = SCHEME.of(obj)
        path = kind.path(_namespace_of(obj), obj.metadata.name, subresource)
        data = await self.raw("PUT", path, codec.encode(obj))
        return codec.decode(data, into or type(obj))

    @overload
    async def update_status(self, obj: T) -> T: ...

    @overload
    async def update_status(self, obj: Any, *, into: type[U]) -> U: ...

    async def update_status(self, obj: Any, *, into: type[Any] | None = None) -> Any:
        """Replace the status of an object and return that; Conflict when it changed meanwhile."""
        return await self.update(obj, subresource="status", into=into or type(obj))

    async def patch(
        self,
        what: type[T] | Kind,
        name: str,
        namespace: str,
        body: Mapping[str, Any] | builtins.list[Any],
        *,
        type: str = "merge",  # noqa: A002 - reads as `kubectl patch --type`
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
        into: Any = None,
    ) -> T:
        """Patch an object by `merge`, `strategic`, `json` or `apply` and return the result."""
        kind, type_ = _resolve(what, into)
        data = await self.raw(
            "PATCH",
            kind.path(namespace, name, subresource),
            msgspec.json.encode(body),
            query=query_string({"fieldManager": field_manager, "force": force}),
            content_type=PATCH_TYPES[type],
        )
        return cast("T", codec.decode(data, type_))

    async def delete(
        self,
        what: type[Any] | Kind,
        name: str,
        namespace: str = "",
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = None,
        grace: int | None = None,
    ) -> None:
        """Delete an object.

        Args:
            what: its type.
            name: its name.
            namespace: its namespace.
            uid: delete only this incarnation, else Conflict.
            resource_version: delete only this state, else Conflict.
            propagation: `Background`, `Foreground` or `Orphan`.
            grace: seconds until it is killed.
        """
        kind, _ = _resolve(what, None)
        body = _delete_options(uid, resource_version, propagation, grace)
        await self.raw("DELETE", kind.path(namespace, name), body)

    async def delete_collection(
        self,
        what: type[Any] | Kind,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        propagation: str | None = None,
        grace: int | None = None,
    ) -> None:
        """Delete every object that matches."""
        kind, _ = _resolve(what, None)
        query = query_string({"labelSelector": label_selector, "fieldSelector": field_selector})
        body = _delete_options(None, None, propagation, grace)
        await self.raw("DELETE", kind.path(namespace), body, query=query)

    def watch(
        self,
        what: type[T] | Kind,
        namespace: str = "",
        resource_version: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        initial_events: bool = False,
        bookmarks: bool = True,
        timeout: int | None = None,
        into: type[T] | None = None,
    ) -> Watch[T]:
        """Watch a collection; iterate over the result, best inside `async with`.

        Args:
            what: the type to watch.
            namespace: only in this namespace.
            resource_version: from after this state on.
            label_selector: only objects that match.
            field_selector: only objects that match.
            initial_events: begin with everything there is (`sendInitialEvents`).
            bookmarks: let the server say how far it is.
            timeout: seconds after which the server shall end the watch.
            into: what to decode objects as.
        """
        kind, type_ = _resolve(what, into)
        query = query_string(
            {
                "watch": True,
                "resourceVersion": resource_version,
                "labelSelector": label_selector,
                "fieldSelector": field_selector,
                "allowWatchBookmarks": bookmarks,
                "sendInitialEvents": initial_events,
                "resourceVersionMatch": "NotOlderThan" if initial_events else "",
                "timeoutSeconds": timeout,
            }
        )
        accept = self._accept(type_, ACCEPT)
        path = kind.path(namespace)
        return Watch(lambda: self.open("GET", path, query=query, accept=accept), type_)

    def _accept(self, type_: type[Any], reduced: str) -> str:
        # Reducing objects costs the server more than it saves a reader in the same process.
        return reduced if type_ is Partial and not self.transport.in_process else ""

    async def raw(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: str = "",
        content_type: str = JSON,
        accept: str = "",
    ) -> bytes:
        """Make a call and return the body of the answer; failures are raised as ApiError."""
        response = await self.open(
            method, path, body, query=query, content_type=content_type, accept=accept
        )
        return await response.read()

    async def stream(
        self, path: str, *, query: str = "", accept: str = "*/*"
    ) -> AsyncIterator[bytes]:
        """Yield the chunks of an answer as they come, such as a followed log."""
        response = await self.open("GET", path, query=query, accept=accept)
        try:
            async for chunk in response:
                yield chunk
        finally:
            await response.close()

    async def open(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: str = "",
        content_type: str = JSON,
        accept: str = "",
    ) -> TransportResponse:
        """Make a call and return its answer once it is known to be good, body still unread."""
        headers = dict(self._headers)
        if accept:
            headers["accept"] = accept
        if body is not None:
            headers["content-type"] = content_type
        for attempt in range(PATIENCE + 1):
            response = await self.transport.request(
                method, path, query=query, headers=headers, body=body
            )
            if response.status < 400:
                return response
            data = await response.read()
            wait = _wait_asked(response)
            if wait is None or attempt == PATIENCE:
                raise _error(data, response.status)
            await self.clock.sleep(wait)
        raise AssertionError("unreachable")


def _resolve(what: type[T] | Kind, into: type[T] | None) -> tuple[Kind, type[T]]:
    if isinstance(what, Kind):
        return what, into or cast("type[T]", dict)
    return SCHEME.of(what), into or what


def _item(item: msgspec.Raw, kind: Kind, type_: type[T]) -> T:
    obj = codec.decode(item, type_)
    # Items of a list come without kind and apiVersion.
    if type_ is dict:
        tree = cast("dict[str, Any]", obj)
        tree.setdefault("kind", kind.kind)
        tree.setdefault("apiVersion", kind.api_version)
    elif isinstance(obj, Partial):
        obj.kind, obj.apiVersion = kind.kind, kind.api_version
    return obj


def _namespace_of(obj: Any) -> str:
    return obj.metadata.namespace or ""


def _error(data: bytes, code: int) -> errors.ApiError:
    try:
        status = msgspec.json.decode(data)
    except msgspec.DecodeError:
        status = None
    return errors.from_status(status, code)


def _is_status(data: bytes) -> bool:
    return _KIND.decode(data).kind == "Status"


def _wait_asked(response: TransportResponse) -> float | None:
    if response.status != 429 and response.status < 500:
        return None
    try:
        return min(float(response.headers["retry-after"]), LONGEST_WAIT)
    except (KeyError, ValueError):
        return None


def _delete_options(
    uid: str | None, resource_version: str | None, propagation: str | None, grace: int | None
) -> bytes | None:
    options: dict[str, Any] = {}
    if uid is not None or resource_version is not None:
        wanted = {"uid": uid, "resourceVersion": resource_version}
        options["preconditions"] = {k: v for k, v in wanted.items() if v is not None}
    if propagation is not None:
        options["propagationPolicy"] = propagation
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    if not options:
        return None
    return msgspec.json.encode({"kind": "DeleteOptions", "apiVersion": "v1", **options})
