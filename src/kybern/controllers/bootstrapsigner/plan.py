"""Which signatures `cluster-info` has to carry.

In:   the ConfigMap, the Secrets of bootstrap tokens, the time.
Out:  the ConfigMap to write, or None.
By:   bootstrapsigner.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core import bootstrap_tokens as tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import ConfigMap, Secret


def plan(info: ConfigMap, secrets: Iterable[Secret], now: float) -> ConfigMap | None:
    """Return the ConfigMap with a signature by each token that may sign, and no others."""
    data = info.data or {}
    content = data.get(tokens.KUBECONFIG)
    if content is None:
        return None
    wanted = {k: text for k, text in data.items() if not k.startswith(tokens.SIGNATURE)}
    for secret in secrets:
        signer = tokens.signing(secret.metadata.name or "", secret.data, now)
        if signer is not None:
            wanted[tokens.SIGNATURE + signer[0]] = tokens.signature(content, *signer)
    if wanted == data:
        return None
    mine = codec.clone(info)
    mine.data = wanted
    return mine
