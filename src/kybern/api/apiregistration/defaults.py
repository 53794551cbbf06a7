"""What an APIService gets that its author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.apiregistration.v1 import APIService

HTTPS: Final = 443


def default_api_service(obj: APIService) -> None:
    """The port of its server."""
    service = obj.spec.service
    if service is not None and service.port is None:
        service.port = HTTPS


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {"APIService": default_api_service}
