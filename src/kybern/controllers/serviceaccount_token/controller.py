"""The controller of service accounts' tokens in Secrets.

In:   Secrets of type `kubernetes.io/service-account-token`, and ServiceAccounts.
Out:  those Secrets with a token in them; they go with their account; accounts do not refer to
      such Secrets that are gone.
By:   controllers.all. It acts as the controller manager itself, as upstream's does: it makes the
      accounts of the others possible.

Nothing is done without the key that signs tokens.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, NamedTuple

from kybern.api import errors
from kybern.api.core import account_tokens as tokens
from kybern.api.core.v1 import Secret, ServiceAccount
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of
from kybern.controllers.serviceaccount_token.plan import plan, without
from kybern.lib import jwt

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

BY_ACCOUNT = "account"


class Reference(NamedTuple):
    """That an account may refer to a Secret."""

    namespace: str
    account: str
    uid: str
    secret: str


class ServiceAccountTokenController:
    """Keeps the Secrets with tokens."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._key = ctx.config.service_account_key
        self._root_ca = ctx.config.root_ca
        self._accounts = ctx.informers.of(ServiceAccount)
        self._secrets = ctx.informers.of(
            Secret, field_selector=f"type={tokens.TYPE}", indexers={BY_ACCOUNT: _account_of}
        )
        both = (self._secrets, self._accounts)
        self._loop: Loop[Key] = Loop("serviceaccount-token", self.reconcile, after=both)
        self._references: Loop[Reference] = Loop(
            "serviceaccount-token references", self.forget, after=both, workers=1
        )
        self._secrets.on(
            add=lambda secret: self._loop.add(key_of(secret)),
            update=lambda _, secret: self._loop.add(key_of(secret)),
            delete=self._secret_gone,
        )
        self._accounts.on(add=self._account_seen, delete=self._account_seen)

    async def run(self) -> None:
        """Work for ever; without a key there is nothing to do."""
        if not self._key:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop.run(), name="service account tokens")
            group.create_task(self._references.run(), name="references to tokens")

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Fill one Secret, or delete it when its account is gone."""
        secret = self._secrets.get(*key)
        if secret is None:
            return DONE
        name, uid = tokens.account_of(secret)
        account = await self._account(key.namespace, name, uid)
        if account is None:
            await self._client.delete(Secret, key.name, key.namespace, uid=secret.metadata.uid)
            return DONE
        filled = plan(secret, account, self._root_ca, self._signer.sign)
        if filled is not None:
            await self._client.update(filled)
        return DONE

    async def forget(self, reference: Reference) -> Outcome:
        """Take the name of a Secret that is gone out of its account."""
        if self._secrets.get(reference.namespace, reference.secret) is not None:
            return DONE
        account = self._accounts.get(reference.namespace, reference.account)
        if account is None or reference.uid not in ("", account.metadata.uid):
            return DONE
        changed = without(account, reference.secret)
        if changed is not None:
            await self._client.update(changed)
        return DONE

    @functools.cached_property
    def _signer(self) -> jwt.Signer:
        return jwt.Signer(self._key)

    async def _account(self, namespace: str, name: str, uid: str) -> ServiceAccount | None:
        """Return an account; before a Secret is deleted for want of it, the server is asked."""
        account = self._accounts.get(namespace, name)
        if account is None or uid not in ("", account.metadata.uid):
            try:
                account = await self._client.get(ServiceAccount, name, namespace)
            except errors.NotFound:
                return None
        return account if uid in ("", account.metadata.uid) else None

    def _account_seen(self, account: ServiceAccount) -> None:
        key = f"{account.metadata.namespace}/{account.metadata.name}"
        for secret in self._secrets.by_index(BY_ACCOUNT, key):
            self._loop.add(key_of(secret))

    def _secret_gone(self, secret: Secret) -> None:
        meta = secret.metadata
        name, uid = tokens.account_of(secret)
        self._references.add(Reference(meta.namespace or "", name, uid, meta.name or ""))


def _account_of(secret: Secret) -> list[str]:
    name, _ = tokens.account_of(secret)
    return [f"{secret.metadata.namespace}/{name}"] if name else []
