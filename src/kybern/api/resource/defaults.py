"""What claims for devices get that their author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/resource/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.resource.v1 import (
        DeviceClaim,
        DeviceSubRequest,
        ExactDeviceRequest,
        ResourceClaim,
        ResourceClaimTemplate,
    )


def default_claim(obj: ResourceClaim) -> None:
    """Each request is for exactly one device."""
    _default_devices(obj.spec.devices)


def default_claim_template(obj: ResourceClaimTemplate) -> None:
    """The same in a template."""
    _default_devices(obj.spec.spec.devices)


def _default_devices(devices: DeviceClaim | None) -> None:
    if devices is None:
        return
    for request in devices.requests or ():
        if request.exactly is not None:
            _default_request(request.exactly)
        for alternative in request.firstAvailable or ():
            _default_request(alternative)


def _default_request(request: ExactDeviceRequest | DeviceSubRequest) -> None:
    request.allocationMode = request.allocationMode or "ExactCount"
    if request.allocationMode == "ExactCount" and not request.count:
        request.count = 1
    for toleration in request.tolerations or ():
        toleration.operator = toleration.operator or "Equal"


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "ResourceClaim": default_claim,
    "ResourceClaimTemplate": default_claim_template,
}
