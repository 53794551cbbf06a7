"""When a bootstrap token goes.

In:   its Secret, the time.
Out:  seconds until then; 0 for now, None for never.
By:   tokencleaner.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core import bootstrap_tokens as tokens

if TYPE_CHECKING:
    from kybern.api.core.v1 import Secret


def due(secret: Secret, now: float) -> float | None:
    """Return after how many seconds a token is to be deleted."""
    end = tokens.expires(secret.data)
    return None if end is None else max(0.0, end - now)
