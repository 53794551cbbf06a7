"""What an EndpointSlice gets that its author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/discovery/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.discovery import v1

if TYPE_CHECKING:
    from collections.abc import Callable


def default_endpoint_slice(obj: v1.EndpointSlice) -> None:
    """Name and protocol of ports; the conditions which are always written."""
    for port in obj.ports or ():
        if port.name is None:
            port.name = ""
        if port.protocol is None:
            port.protocol = "TCP"
    for endpoint in obj.endpoints or ():
        if endpoint.conditions is None:
            endpoint.conditions = v1.EndpointConditions()


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {"EndpointSlice": default_endpoint_slice}
