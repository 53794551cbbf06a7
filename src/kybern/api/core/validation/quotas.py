"""LimitRanges and ResourceQuotas.

In:   a LimitRange or ResourceQuota; for updates also the old one.
Out:  problems appended to the list given, or returned.
By:   `core.validation.all`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.core.validation.resources import (
    COMPUTE,
    check_list,
    container_resource_name,
    may_overcommit,
    quota_resource_name,
    resource_name,
)
from kybern.api.field_path import (
    IMMUTABLE,
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    required,
)
from kybern.api.meta.validation import SPEC, STATUS, check_meta_update
from kybern.api.quantity import NANO, Quantity, parse

if TYPE_CHECKING:
    from kybern.api.core.v1 import (
        LimitRange,
        LimitRangeItem,
        ResourceQuota,
        ResourceQuotaSpec,
        ScopedResourceSelectorRequirement,
    )

LIMIT_TYPES: Final = ("Pod", "Container", "PersistentVolumeClaim")
SCOPES: Final = frozenset(
    (
        "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass",
        "CrossNamespacePodAffinity", "VolumeAttributesClass",
    )
)  # fmt: skip
EXISTS_ONLY: Final = SCOPES - {"PriorityClass", "VolumeAttributesClass"}
OPPOSITES: Final = (
    frozenset(("BestEffort", "NotBestEffort")),
    frozenset(("Terminating", "NotTerminating")),
)
POD_RESOURCES: Final = (
    COMPUTE
    | {"pods"}
    | {f"{how}.{what}" for how in ("requests", "limits") for what in COMPUTE}
)
CLAIM_RESOURCES: Final = frozenset(("persistentvolumeclaims", "requests.storage"))


# --- limit ranges -------------------------------------------------------------------------------


def check_limit_range(obj: LimitRange, out: list[Problem]) -> None:
    """Each type of limit once, and its amounts in order."""
    seen: set[str] = set()
    for index, item in enumerate(obj.spec.limits):
        place = (SPEC / "limits")[index]
        if messages := names.qualified_name(item.type):
            out += all_invalid(place / "type", item.type, messages)
        elif "/" not in item.type and item.type not in LIMIT_TYPES:
            told = "must be a standard limit type or fully qualified"
            out.append(invalid(place / "type", item.type, told))
        if item.type in seen:
            out.append(duplicate(place / "type", item.type))
        seen.add(item.type)
        _check_item(item, place, out)


def _check_item(item: LimitRangeItem, path: Path, out: list[Problem]) -> None:
    rule = container_resource_name if item.type in ("Pod", "Container") else resource_name
    fields = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
    if item.type == "Pod":
        told = "may not be specified when `type` is 'Pod'"
        given = [field for field in ("default", "defaultRequest") if getattr(item, field)]
        out += [forbidden(path / field, told) for field in given]
        fields = ["max", "min", "maxLimitRequestRatio"]
    names_of: set[str] = set()
    for field in fields:
        resources: dict[str, str] = getattr(item, field) or {}
        names_of |= resources.keys()
        for name in resources:
            if messages := rule(name):
                out += all_invalid((path / field)[name], name, messages)
    bounded = {*(item.min or ()), *(item.max or ())}
    if item.type == "PersistentVolumeClaim" and "storage" not in bounded:
        told = "either minimum or maximum storage value is required, but neither was provided"
        out.append(required(path / "limits", told))
    for name in sorted(names_of):
        amounts = {f: parse(r[name]) for f in fields if name in (r := getattr(item, f) or {})}
        _check_order(name, amounts, path, out)
        _check_ratio(name, amounts, path, out)


# Which must not exceed which; the field to blame, whose value is shown, and what it is called.
_ORDER: Final = (
    ("min", "max", "min", "min", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "defaultRequest", "defaultRequest",
     "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "defaultRequest", "defaultRequest",
     "default request value {} is greater than max value {}"),
    ("defaultRequest", "default", "defaultRequest", "defaultRequest",
     "default request value {} is greater than default limit value {}"),
    ("min", "default", "default", "min", "min value {} is greater than default value {}"),
    ("default", "max", "default", "max", "default value {} is greater than max value {}"),
)  # fmt: skip


def _check_order(
    name: str, amounts: dict[str, Quantity], path: Path, out: list[Problem]
) -> None:
    for low, high, field, shown, told in _ORDER:
        if low in amounts and high in amounts and amounts[low] > amounts[high]:
            sentence = told.format(amounts[low], amounts[high])
            out.append(invalid((path / field)[name], str(amounts[shown]), sentence))
    limit, request = amounts.get("default"), amounts.get("defaultRequest")
    if limit is None or request is None or may_overcommit(name):
        return
    if limit != request:
        told = f"default value {limit} must equal to defaultRequest value {request} in {name}"
        out.append(invalid((path / "defaultRequest")[name], str(request), told))


def _check_ratio(
    name: str, amounts: dict[str, Quantity], path: Path, out: list[Problem]
) -> None:
    ratio = amounts.get("maxLimitRequestRatio")
    if ratio is None:
        return
    place = (path / "maxLimitRequestRatio")[name]
    if ratio.nanos < NANO:
        out.append(invalid(place, str(ratio), f"ratio {ratio} is less than 1"))
    low, high = amounts.get("min"), amounts.get("max")
    if low is not None and high is not None and low.nanos:
        largest = high.nanos / low.nanos
        if ratio.nanos / NANO > largest:
            told = f"ratio {ratio} is greater than max/min = {largest:f}"
            out.append(invalid(place, str(ratio), told))


# --- resource quotas ----------------------------------------------------------------------------


def check_resource_quota(obj: ResourceQuota, out: list[Problem]) -> None:
    """Amounts of resources that can be counted, within scopes that fit them."""
    _check_spec(obj.spec, out)
    _check_amounts(obj, out)


def _check_amounts(obj: ResourceQuota, out: list[Problem]) -> None:
    for field in ("hard", "used"):
        check_list(getattr(obj.status, field), STATUS / field, quota_resource_name, out)


def _check_spec(spec: ResourceQuotaSpec, out: list[Problem]) -> None:
    check_list(spec.hard, SPEC / "hard", quota_resource_name, out)
    if spec.scopes:
        place = SPEC / "scopes"
        for scope in spec.scopes:
            if scope not in SCOPES:
                out.append(invalid(place, spec.scopes, "unsupported scope"))
            for _ in _misfits(scope, spec):
                told = "unsupported scope applied to resource"
                out.append(invalid(place, spec.scopes, told))
        _check_opposites(set(spec.scopes), spec, place, out)
    if spec.scopeSelector is not None:
        place = SPEC / "scopeSelector" / "matchExpressions"
        wanted = spec.scopeSelector.matchExpressions or []
        for requirement in wanted:
            _check_scope_requirement(requirement, spec, place, out)
        _check_opposites({each.scopeName for each in wanted}, spec, place, out)


def _misfits(scope: str, spec: ResourceQuotaSpec) -> list[str]:
    """Resources of the quota that cannot be counted within a scope."""
    if scope == "BestEffort":
        fitting: frozenset[str] | set[str] = {"pods"}
    elif scope == "VolumeAttributesClass":
        fitting = CLAIM_RESOURCES
    elif scope in SCOPES:
        fitting = POD_RESOURCES
    else:
        return []
    known = [name for name in spec.hard or () if not quota_resource_name(name)]
    return [name for name in known if "/" not in name and name not in fitting]


def _check_opposites(
    scopes: set[str], spec: ResourceQuotaSpec, path: Path, out: list[Problem]
) -> None:
    clashing = [pair for pair in OPPOSITES if pair <= scopes]
    out += [invalid(path, spec.scopes or [], "conflicting scopes") for _ in clashing]


def _check_scope_requirement(
    requirement: ScopedResourceSelectorRequirement,
    spec: ResourceQuotaSpec,
    path: Path,
    out: list[Problem],
) -> None:
    scope, operator = requirement.scopeName, requirement.operator
    if scope not in SCOPES:
        out.append(invalid(path / "scopeName", scope, "unsupported scope"))
    for _ in _misfits(scope, spec):
        told = "unsupported scope applied to resource"
        out.append(invalid(path, spec.scopeSelector, told))
    if scope in EXISTS_ONLY and operator != "Exists":
        told = (
            "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
            "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
            "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        out.append(invalid(path / "operator", operator, told))
    if operator in ("In", "NotIn"):
        if not requirement.values:
            told = (
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            )
            out.append(required(path / "values", told))
    elif operator in ("Exists", "DoesNotExist"):
        if requirement.values:
            told = (
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            )
            out.append(invalid(path / "values", requirement.values, told))
    else:
        out.append(invalid(path / "operator", operator, "not a valid selector operator"))


def check_resource_quota_change(
    new: ResourceQuota, old: ResourceQuota, out: list[Problem]
) -> None:
    """The scopes stay, for what was counted was counted within them."""
    if set(new.spec.scopes or ()) != set(old.spec.scopes or ()):
        out.append(invalid(SPEC / "scopes", new.spec.scopes or [], IMMUTABLE))


def validate_resource_quota_status_update(
    new: ResourceQuota, old: ResourceQuota
) -> list[Problem]:
    """A new count."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    _check_amounts(new, out)
    return out
