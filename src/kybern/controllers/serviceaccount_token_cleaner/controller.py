"""The cleaner of service accounts' tokens in Secrets.

In:   Secrets with tokens, their accounts, pods; since when the API server notes uses.
Out:  Secrets that nobody used for a year are marked as no longer good, and a year later deleted.
By:   controllers.all. Once a day.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core import account_tokens as tokens
from kybern.api.core.pod_references import references_of
from kybern.api.core.v1 import ConfigMap, Pod, Secret, ServiceAccount
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import After, Key, Outcome, Terminal
from kybern.controllers.serviceaccount_token_cleaner.plan import (
    Verdict,
    judge,
    tracked_long_enough,
)

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

EVERY = 24 * 3600.0
EVERYTHING = Key("", "")


class ServiceAccountTokenCleaner:
    """Looks at all Secrets with tokens, once a day."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._period = ctx.config.legacy_token_clean_up_period
        self._accounts = ctx.informers.of(ServiceAccount)
        self._secrets = ctx.informers.of(Secret, field_selector=f"type={tokens.TYPE}")
        self._pods = ctx.informers.of(Pod)
        self._loop: Loop[Key] = Loop(
            "serviceaccount-token-cleaner",
            self.reconcile,
            after=(self._accounts, self._secrets, self._pods),
            workers=1,
        )
        self._loop.add(EVERYTHING)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Judge every Secret, when uses are known for long enough."""
        del key
        now = self._clock.now()
        if tracked_long_enough(await self._tracked_since(), now, self._period):
            mounted = functools.cache(self._mounted)
            for secret in self._secrets.list():
                namespace = secret.metadata.namespace or ""
                account = self._accounts.get(namespace, tokens.account_of(secret)[0])
                verdict = judge(secret, account, mounted(namespace), now, self._period)
                await self._treat(secret, verdict, now)
        return After(EVERY)

    async def _tracked_since(self) -> str:
        name = tokens.TRACKING
        tracking = await self._client.get(ConfigMap, name, "kube-system")
        since = (tracking.data or {}).get("since", "")
        try:
            tracked_long_enough(since, 0.0, self._period)
        except ValueError as error:
            raise Terminal(f"{name} does not say since when uses are noted: {error}") from None
        return since

    async def _treat(self, secret: Secret, verdict: Verdict, now: float) -> None:
        name, namespace = secret.metadata.name or "", secret.metadata.namespace or ""
        try:
            if verdict is Verdict.MARK:
                labels = {tokens.INVALID_SINCE: tokens.day(now)}
                body = {"metadata": {"uid": secret.metadata.uid, "labels": labels}}
                await self._client.patch(Secret, name, namespace, body)
            elif verdict is Verdict.DELETE:
                version = secret.metadata.resourceVersion
                await self._client.delete(Secret, name, namespace, resource_version=version)
        except (errors.Conflict, errors.NotFound):
            return  # somebody was faster; there is another day

    def _mounted(self, namespace: str) -> set[str]:
        return {
            name
            for pod in self._pods.list(namespace)
            for kind, _, name in references_of(pod)
            if kind == "secrets"
        }
