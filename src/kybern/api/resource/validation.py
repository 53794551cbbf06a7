"""What the kinds of dynamic resource allocation must be.

In:   an object; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/resource/validation/validation.go`.

That expressions compile is checked where the language is: in the API server's admission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import names
from kybern.api.core.validation.placement import check_node_selector
from kybern.api.core.validation.volumes import check_driver_name
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_many,
)
from kybern.api.meta.validation import SPEC, check_immutable
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.resource.v1 import (
        DeviceClaim,
        DeviceClass,
        DeviceRequest,
        DeviceSelector,
        ResourceClaim,
        ResourceClaimTemplate,
        ResourceSlice,
    )

REQUESTS_MAX: Final = 32
SELECTORS_MAX: Final = 32
DEVICES_MAX: Final = 128
ALTERNATIVES_MAX: Final = 8
MODES: Final = ("All", "ExactCount")


def check_claim(obj: ResourceClaim, out: list[Problem]) -> None:
    """Devices somebody wants."""
    _check_devices(obj.spec.devices, SPEC / "devices", out)


def check_claim_template(obj: ResourceClaimTemplate, out: list[Problem]) -> None:
    """Devices that each pod of a kind wants."""
    _check_devices(obj.spec.spec.devices, SPEC / "spec" / "devices", out)


def _check_devices(devices: DeviceClaim | None, path: Path, out: list[Problem]) -> None:
    requests = (devices.requests if devices is not None else None) or []
    place = path / "requests"
    if len(requests) > REQUESTS_MAX:
        out.append(too_many(place, len(requests), REQUESTS_MAX))
    seen: set[str] = set()
    for index, request in enumerate(requests):
        _check_name(request.name, place[index] / "name", out)
        if request.name in seen:
            out.append(duplicate(place[index] / "name", request.name))
        seen.add(request.name)
        _check_request(request, place[index], out)


def _check_name(name: str, place: Path, out: list[Problem]) -> None:
    if not name:
        out.append(required(place))
    elif messages := names.dns1123_label(name):
        out += all_invalid(place, name, messages)


def _check_request(request: DeviceRequest, path: Path, out: list[Problem]) -> None:
    alternatives = request.firstAvailable or []
    if request.exactly is None and not alternatives:
        told = "exactly one of `exactly` or `firstAvailable` is required"
        out.append(required(path, told))
    elif request.exactly is not None and alternatives:
        told = (
            "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
        )
        out.append(invalid(path, None, told))
    elif request.exactly is not None:
        _check_wanted(request.exactly, path / "exactly", out)
    if len(alternatives) > ALTERNATIVES_MAX:
        out.append(too_many(path / "firstAvailable", len(alternatives), ALTERNATIVES_MAX))
    for index, each in enumerate(alternatives):
        place = (path / "firstAvailable")[index]
        _check_name(each.name, place / "name", out)
        _check_wanted(each, place, out)


def _check_wanted(wanted: Any, path: Path, out: list[Problem]) -> None:
    if not wanted.deviceClassName:
        out.append(required(path / "deviceClassName"))
    elif messages := names.dns1123_subdomain(wanted.deviceClassName):
        out += all_invalid(path / "deviceClassName", wanted.deviceClassName, messages)
    _check_selectors(wanted.selectors, path / "selectors", out)
    if wanted.allocationMode == "ExactCount":
        if (wanted.count or 0) <= 0:
            out.append(invalid(path / "count", wanted.count or 0, "must be greater than zero"))
    elif wanted.allocationMode == "All":
        if wanted.count:
            told = "must not be specified when allocationMode is 'All'"
            out.append(invalid(path / "count", wanted.count, told))
    else:
        out.append(not_supported(path / "allocationMode", wanted.allocationMode or "", MODES))


def _check_selectors(
    selectors: Iterable[DeviceSelector] | None, place: Path, out: list[Problem]
) -> None:
    given = list(selectors or ())
    if len(given) > SELECTORS_MAX:
        out.append(too_many(place, len(given), SELECTORS_MAX))
    for index, selector in enumerate(given):
        if selector.cel is None:
            out.append(required(place[index] / "cel"))
        elif not selector.cel.expression:
            out.append(required(place[index] / "cel" / "expression"))


def check_device_class(obj: DeviceClass, out: list[Problem]) -> None:
    """A kind of devices."""
    _check_selectors(obj.spec.selectors, SPEC / "selectors", out)


def check_slice(obj: ResourceSlice, out: list[Problem]) -> None:
    """Devices a driver offers."""
    spec = obj.spec
    check_driver_name(spec.driver, SPEC / "driver", out)
    if not spec.pool.name:
        out.append(required(SPEC / "pool" / "name"))
    if spec.pool.resourceSliceCount <= 0:
        place = SPEC / "pool" / "resourceSliceCount"
        out.append(invalid(place, spec.pool.resourceSliceCount, "must be greater than zero"))
    if spec.pool.generation < 0:
        place = SPEC / "pool" / "generation"
        told = "must be greater than or equal to 0"
        out.append(invalid(place, spec.pool.generation, told))
    _check_where(obj, out)
    devices = spec.devices or []
    if len(devices) > DEVICES_MAX:
        out.append(too_many(SPEC / "devices", len(devices), DEVICES_MAX))
    seen: set[str] = set()
    for index, device in enumerate(devices):
        place = (SPEC / "devices")[index] / "name"
        _check_name(device.name, place, out)
        if device.name in seen:
            out.append(duplicate(place, device.name))
        seen.add(device.name)


def _check_where(obj: ResourceSlice, out: list[Problem]) -> None:
    spec = obj.spec
    fields = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
    given = [field for field in fields if getattr(spec, field)]
    listed = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection`"
    if not given:
        out.append(required(SPEC, f"{listed} is required"))
    elif len(given) > 1:
        shown = ", ".join(f"`{field}`" for field in given)
        out.append(
            invalid(SPEC, f"{{{shown}}}", f"{listed} is required, but multiple fields are set")
        )
    if spec.nodeSelector is not None:
        check_node_selector(spec.nodeSelector, SPEC / "nodeSelector", out)
        if len(spec.nodeSelector.nodeSelectorTerms) > 1:
            place = SPEC / "nodeSelector" / "nodeSelectorTerms"
            out.append(forbidden(place, "must have exactly one node selector term"))


def check_spec_change(new: Any, old: Any, out: list[Problem]) -> None:
    """What was asked for stays."""
    check_immutable(new.spec, old.spec, SPEC, out)


def check_slice_change(new: ResourceSlice, old: ResourceSlice, out: list[Problem]) -> None:
    """Whose devices they are, and where, stays."""
    for field in ("driver", "nodeName"):
        check_immutable(getattr(new.spec, field), getattr(old.spec, field), SPEC / field, out)
    check_immutable(new.spec.pool.name, old.spec.pool.name, SPEC / "pool" / "name", out)


VALIDATORS: Final[dict[str, Rules]] = {
    "DeviceClass": rules(check_device_class, namespaced=False),
    "ResourceClaim": rules(check_claim, change=check_spec_change),
    "ResourceClaimTemplate": rules(check_claim_template, change=check_spec_change),
    "ResourceSlice": rules(check_slice, namespaced=False, change=check_slice_change),
}
