"""Since when, and on which day last, tokens in Secrets were used.

In:   uses, from authn.legacy_tokens.
Out:  `kube-apiserver-legacy-service-account-token-tracking` in kube-system; a label on each Secret.
By:   app, bootstrap.start. The cleaner of such tokens reads both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core import account_tokens as tokens
from kybern.api.core.v1 import ConfigMap, Secret
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib import logs
from kybern.store.interface import StoreError

if TYPE_CHECKING:
    from kybern.apiserver.authn.legacy_tokens import LegacyTokens
    from kybern.apiserver.bootstrap.loopback import Loopback

log = logs.get("apiserver")

NAMESPACE, SINCE = "kube-system", "since"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


async def ensure(loopback: Loopback, now: float) -> None:
    """Write down that uses are noted from now on, unless that is written already."""
    found = loopback.get(ConfigMap, tokens.TRACKING, NAMESPACE)
    if found is None:
        metadata = ObjectMeta(name=tokens.TRACKING, namespace=NAMESPACE)
        await loopback.create(ConfigMap(metadata=metadata, data={SINCE: tokens.day(now)}))
    elif not _DATE.fullmatch((found.data or {}).get(SINCE, "")):
        found.data = {**(found.data or {}), SINCE: tokens.day(now)}
        await loopback.complete(found)


async def follow(legacy: LegacyTokens, loopback: Loopback) -> None:
    """Note uses, for ever."""

    async def label(namespace: str, name: str, labels: dict[str, str]) -> None:
        secret = loopback.get(Secret, name, namespace)
        if secret is None:
            return
        secret.metadata.labels = {**(secret.metadata.labels or {}), **labels}
        try:
            await loopback.update(secret)
        except (errors.ApiError, StoreError) as error:
            log.debug("a use was not noted; the next one will be", secret=name, why=str(error))

    await legacy.track(label)
