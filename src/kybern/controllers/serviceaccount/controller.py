"""The service account controller.

In:   Namespaces, and the service accounts called `default`.
Out:  ServiceAccounts created.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core.v1 import Namespace, ServiceAccount
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of
from kybern.controllers.serviceaccount.plan import WANTED, plan

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class ServiceAccountController:
    """Keeps a `default` service account in every namespace."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._namespaces = ctx.informers.of(Namespace)
        self._accounts = tuple(
            ctx.informers.of(ServiceAccount, field_selector=f"metadata.name={name}")
            for name in WANTED
        )
        self._loop: Loop[Key] = Loop(
            "serviceaccount", self.reconcile, after=(self._namespaces, *self._accounts)
        )
        self._namespaces.on(
            add=lambda namespace: self._loop.add(key_of(namespace)),
            update=lambda _, namespace: self._loop.add(key_of(namespace)),
        )
        for informer in self._accounts:
            informer.on(delete=lambda gone: self._loop.add(Key("", gone.metadata.namespace or "")))

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Create what one namespace is missing."""
        namespace = self._namespaces.get(*key)
        if namespace is None:
            return DONE
        existing = {
            name
            for name, informer in zip(WANTED, self._accounts, strict=True)
            if informer.get(key.name, name) is not None
        }
        for account in plan(namespace, existing):
            try:
                await self._client.create(account)
            except errors.AlreadyExists:
                continue  # the cache was behind
            except errors.ApiError as error:
                if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes):
                    return DONE
                raise
        return DONE
