"""The publisher of the root certificate authority.

In:   Namespaces, and the ConfigMaps called `kube-root-ca.crt`.
Out:  those ConfigMaps created, and put right when somebody changed them.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core.v1 import ConfigMap, Namespace
from kybern.controllers.root_ca.plan import NAME, plan
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class RootCaController:
    """Keeps the certificate authority in every namespace."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._root_ca = ctx.config.root_ca
        self._namespaces = ctx.informers.of(Namespace)
        self._maps = ctx.informers.of(ConfigMap, field_selector=f"metadata.name={NAME}")
        self._loop: Loop[Key] = Loop(
            "root-ca", self.reconcile, after=(self._namespaces, self._maps)
        )
        self._namespaces.on(
            add=lambda namespace: self._loop.add(key_of(namespace)),
            update=lambda _, namespace: self._loop.add(key_of(namespace)),
        )
        self._maps.on(
            update=lambda _, new: self._loop.add(Key("", new.metadata.namespace or "")),
            delete=lambda gone: self._loop.add(Key("", gone.metadata.namespace or "")),
        )

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Create or correct the ConfigMap of one namespace."""
        namespace = self._namespaces.get(*key)
        if namespace is None:
            return DONE
        existing = self._maps.get(key.name, NAME)
        wanted = plan(namespace, existing, self._root_ca)
        if wanted is None:
            return DONE
        if existing is not None:
            await self._client.update(wanted)
            return DONE
        try:
            await self._client.create(wanted)
        except errors.ApiError as error:
            if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes):
                return DONE
            raise
        return DONE
