"""Requests and limits, and the names that resources may have.

In:   ResourceRequirements, resource lists.
Out:  problems appended to the list given.
By:   `containers`, `pod_spec`, `quotas`, `nodes`, `persistent_volumes`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.field_path import (
    NOT_FOUND,
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    required,
)
from kybern.api.meta.validation import NEGATIVE
from kybern.api.quantity import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import ResourceClaim, ResourceRequirements, VolumeResourceRequirements

    NameRule = Callable[[str], tuple[str, ...]]
    Resources = dict[str, str]

COMPUTE: Final = frozenset(("cpu", "memory", "ephemeral-storage"))
COUNTED: Final = frozenset(
    (
        "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
        "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
    )
)  # fmt: skip
QUOTA: Final = (
    COMPUTE
    | COUNTED
    | {f"{how}.{what}" for how in ("requests", "limits") for what in COMPUTE}
    | {"requests.storage"}
)
STANDARD: Final = QUOTA | {"storage"}
HUGE_PAGES: Final = "hugepages-"
POSITIVE: Final = "must be greater than zero"
INTEGER: Final = "must be an integer"
NONE: Final[Resources] = {}


def is_huge_pages(name: str) -> bool:
    """Whether it is memory in large pages."""
    return name.startswith(HUGE_PAGES)


def is_native(name: str) -> bool:
    """Whether it is one of Kubernetes' own resources."""
    return "/" not in name or "kubernetes.io/" in name


@lru_cache(1024)
def is_extended(name: str) -> bool:
    """Whether it is a resource that somebody else counts, such as `example.com/gpu`."""
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


def may_overcommit(name: str) -> bool:
    """Whether more may be limited than is requested."""
    return is_native(name) and not is_huge_pages(name)


@lru_cache(1024)
def resource_name(name: str) -> tuple[str, ...]:
    """What is wrong with the name of a resource."""
    if messages := names.qualified_name(name):
        return messages
    if "/" not in name and name not in STANDARD and not is_huge_pages(name):
        return ("must be a standard resource type or fully qualified",)
    return ()


@lru_cache(1024)
def container_resource_name(name: str) -> tuple[str, ...]:
    """What is wrong with the name of a resource that a container asks for."""
    messages = resource_name(name)
    if "/" not in name:
        if name not in COMPUTE and not is_huge_pages(name):
            return (*messages, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        return (*messages, "doesn't follow extended resource name standard")
    return messages


@lru_cache(1024)
def quota_resource_name(name: str) -> tuple[str, ...]:
    """What is wrong with the name of a resource that a quota limits."""
    messages = resource_name(name)
    huge = is_huge_pages(name) or name.startswith("requests.hugepages-")
    if "/" not in name and name not in QUOTA and not huge:
        return (*messages, "must be a standard resource for quota")
    return messages


@lru_cache(8192)
def _amount(name: str, text: str) -> tuple[str, ...]:
    quantity = parse(text)
    found: tuple[str, ...] = ()
    if quantity.nanos < 0:
        found = (NEGATIVE,)
    if (name in COUNTED or is_extended(name)) and quantity.milli % 1000:
        found = (*found, INTEGER)
    return found


def check_amount(name: str, text: str, path: Path, out: list[Problem]) -> None:
    """An amount of a resource."""
    if messages := _amount(name, text):
        out += all_invalid(path, text, messages)


def check_positive(text: str, path: Path, out: list[Problem]) -> None:
    """An amount that is more than nothing."""
    if parse(text).nanos <= 0:
        out.append(invalid(path, text, POSITIVE))


def check_list(
    resources: Resources | None, path: Path, rule: NameRule, out: list[Problem]
) -> None:
    """A list of resources and amounts."""
    for name, text in (resources or NONE).items():
        if messages := rule(name):
            out += all_invalid(path[name], name, messages)
        if messages := _amount(name, text):
            out += all_invalid(path[name], text, messages)


def check_requirements(
    requirements: ResourceRequirements | VolumeResourceRequirements | None,
    path: Path,
    out: list[Problem],
    *,
    rule: NameRule = container_resource_name,
    claims: frozenset[str] = frozenset(),
) -> None:
    """Requests and limits: known names, sane amounts, no more requested than allowed."""
    if requirements is None:
        return
    limits = requirements.limits
    requests = requirements.requests
    if limits:
        check_list(limits, path / "limits", rule, out)
    if requests:
        check_list(requests, path / "requests", rule, out)
        _check_within(requests, limits or NONE, path, out)
    if limits or requests:
        _check_huge_pages(limits or NONE, requests or NONE, path, out)
    wanted = getattr(requirements, "claims", None)
    if wanted:
        _check_claims(wanted, claims, path / "claims", out)


def _check_within(requests: Resources, limits: Resources, path: Path, out: list[Problem]) -> None:
    for name, text in requests.items():
        limit = limits.get(name)
        if limit is None:
            if not may_overcommit(name):
                told = "Limit must be set for non overcommitable resources"
                out.append(required(path / "limits", told))
            continue
        if text == limit:
            continue
        over = parse(text).nanos - parse(limit).nanos
        if over and not may_overcommit(name):
            told = f"must be equal to {name} limit of {limit}"
            out.append(invalid(path / "requests", text, told))
        elif over > 0:
            told = f"must be less than or equal to {name} limit of {limit}"
            out.append(invalid(path / "requests", text, told))


def _check_huge_pages(limits: Resources, requests: Resources, path: Path, out: list[Problem]) -> None:
    huge = False
    for field, resources in (("limits", limits), ("requests", requests)):
        for name, text in resources.items():
            if not is_huge_pages(name):
                continue
            huge = True
            size = parse(name.removeprefix(HUGE_PAGES)).nanos
            amount = parse(text).nanos
            if size <= 0 or amount < 0 or amount % size:
                told = f"{text} is not positive integer multiple of {name}"
                out.append(invalid((path / field)[name], text, told))
    if huge and not any(name in ("cpu", "memory") for name in (*limits, *requests)):
        out.append(forbidden(path, "HugePages require cpu or memory"))


def _check_claims(
    wanted: list[ResourceClaim], known: frozenset[str], path: Path, out: list[Problem]
) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(wanted):
        name, place = claim.name, path[index]
        if not name:
            out.append(required(place))
            continue
        key = f"{name}/{claim.request}" if claim.request else name
        if claim.request and (messages := names.dns1123_label(claim.request)):
            out += all_invalid(place / "request", claim.request, messages)
        whole = not claim.request and any(each.split("/")[0] == name for each in seen)
        if name in seen or key in seen or whole:
            out.append(duplicate(place, name if name in seen or whole else key))
        seen.add(key)
        if name not in known:
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            told = f"must be one of the names in pod.spec.resourceClaims{listed}"
            out.append(Problem(NOT_FOUND, str(place), name, told))
