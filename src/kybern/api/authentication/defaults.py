"""What a TokenRequest gets that its author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.authentication.v1 import TokenRequest

TOKEN_SECONDS: Final = 3600


def default_token_request(obj: TokenRequest) -> None:
    """An hour."""
    if obj.spec.expirationSeconds is None:
        obj.spec.expirationSeconds = TOKEN_SECONDS


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {"TokenRequest": default_token_request}
