"""The API server as its own client.

In:   objects.
Out:  the same, stored: defaulted, admitted and validated like anybody's.
By:   the other modules of this package.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.meta.v1 import DeleteOptions, ObjectMeta
from kybern.api.scheme import SCHEME
from kybern.apiserver.context import AUTHENTICATED, MASTERS, RequestContext, User
from kybern.apiserver.registry import generic
from kybern.apiserver.registry.rules import default_of
from kybern.lib.http.messages import Request

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource

OURSELVES = User("system:apiserver", (MASTERS, AUTHENTICATED))
HEADERS = {"user-agent": "kube-apiserver/v1.36"}


class Replace:
    """A change to a given object."""

    retries = 1
    records_owners = False

    def __init__(self, obj: Any) -> None:
        self._obj = obj

    def apply(self, ctx: RequestContext, old: Any | None) -> Any:
        """Return the object."""
        del ctx, old
        return self._obj


class Loopback:
    """Reads and writes as system:apiserver."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def get(self, struct: type[Any], name: str, namespace: str = "") -> Any | None:
        """Return an object, or None."""
        resource = self._resource(struct)
        entry = self._services.store.get(resource.key(namespace, name))
        return None if entry is None else resource.decode(entry)

    async def create(self, obj: Any) -> bool:
        """Create an object; False when there is one of that name."""
        resource = self._resource(obj)
        ctx = self._context(resource, obj, "create")
        default_of(resource.kind)(obj)
        try:
            await generic.create(ctx, resource, obj)
        except errors.AlreadyExists:
            return False
        return True

    async def update(self, obj: Any, *, subresource: str = "") -> None:
        """Replace an object, or its status, with this one.

        Raises:
            Conflict, NotFound.
        """
        resource = self._resource(obj)
        ctx = self._context(resource, obj, "update")
        ctx.subresource = subresource
        strategy = resource.strategy
        if subresource:
            strategy = resource.subresources[subresource].changed_by()
        await generic.update(ctx, resource, strategy, Replace(obj))

    async def delete(self, struct: type[Any], name: str, namespace: str = "") -> None:
        """Delete an object; one that is gone is as good."""
        obj = struct(metadata=ObjectMeta(name=name, namespace=namespace or None))
        resource = self._resource(struct)
        ctx = self._context(resource, obj, "delete")
        with contextlib.suppress(errors.NotFound):
            await generic.delete(ctx, resource, name, DeleteOptions())

    async def complete(self, obj: Any, *, subresource: str = "") -> None:
        """Update what every server writes at its start; one that was faster wrote the same."""
        with contextlib.suppress(errors.Conflict):
            await self.update(obj, subresource=subresource)

    def _resource(self, obj: Any) -> Resource:
        found: Resource = self._services.resources.of(SCHEME.of(obj))
        return found

    def _context(self, resource: Resource, obj: Any, verb: str) -> RequestContext:
        kind, meta = resource.kind, obj.metadata
        namespace = meta.namespace or ""
        request = Request("POST", kind.path(namespace, meta.name or ""), headers=HEADERS)
        ctx = RequestContext(self._services, request)
        ctx.user, ctx.verb, ctx.is_resource, ctx.resource = OURSELVES, verb, True, resource
        ctx.group, ctx.version, ctx.plural = kind.group, kind.version, kind.plural
        ctx.namespace, ctx.name = namespace, meta.name or ""
        return ctx
