"""LimitRanges: what they give and what they refuse.

In:   a pod or claim, and a LimitRange.
Out:  the pod with defaults; sentences about what is outside of the range.
By:   admission.limit_ranger. Pure. Source: upstream's `plugin/pkg/admission/limitranger`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.pods import limits as pod_limits
from kybern.api.core.pods import requests as pod_requests
from kybern.api.core.v1 import ResourceRequirements
from kybern.api.quantity import parse

if TYPE_CHECKING:
    from kybern.api.core.v1 import LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod
    from kybern.api.quantity import Quantity

SET = "kubernetes.io/limit-ranger"


def apply_defaults(pod: Pod, limit_range: LimitRange) -> None:
    """Give containers the requests and limits they leave out, and note what was given."""
    default, request = _container_defaults(limit_range)
    if not default and not request:
        return
    notes = []
    spec = pod.spec
    for kind, containers in (
        ("container", spec.containers), ("init container", spec.initContainers or ()),
    ):  # fmt: skip
        for container in containers:
            if container.resources is None:
                container.resources = ResourceRequirements()
            given_requests = _merge(container.resources, "requests", request)
            given_limits = _merge(container.resources, "limits", default)
            if given_requests:
                notes.append(f"{', '.join(given_requests)} request for {kind} {container.name}")
            if given_limits:
                notes.append(f"{', '.join(given_limits)} limit for {kind} {container.name}")
    if notes:
        text = "LimitRanger plugin set: " + "; ".join(notes)
        pod.metadata.annotations = {**(pod.metadata.annotations or {}), SET: text}


def _container_defaults(limit_range: LimitRange) -> tuple[dict[str, str], dict[str, str]]:
    default: dict[str, str] = {}
    request: dict[str, str] = {}
    for item in limit_range.spec.limits:
        if item.type == "Container":
            default.update(item.default or {})
            request.update(item.defaultRequest or {})
    return default, request


def _merge(resources: ResourceRequirements, field: str, given: dict[str, str]) -> list[str]:
    have = getattr(resources, field) or {}
    added = {name: amount for name, amount in given.items() if name not in have}
    if added:
        setattr(resources, field, {**have, **added})
    return sorted(added)


def pod_problems(pod: Pod, limit_range: LimitRange) -> list[str]:
    """Return what a pod asks for outside of the range."""
    problems: list[str] = []
    containers = [*pod.spec.containers, *(pod.spec.initContainers or ())]
    for item in limit_range.spec.limits:
        if item.type == "Container":
            for container in containers:
                resources = container.resources or ResourceRequirements()
                problems += _check(item, _parse(resources.requests), _parse(resources.limits))
        elif item.type == "Pod":
            problems += _check(item, dict(pod_requests(pod.spec)), dict(pod_limits(pod.spec)))
    return problems


def claim_problems(claim: PersistentVolumeClaim, limit_range: LimitRange) -> list[str]:
    """Return what a claim asks for outside of the range."""
    problems: list[str] = []
    resources = claim.spec.resources
    asked = _parse(resources.requests if resources is not None else None)
    for item in limit_range.spec.limits:
        if item.type == "PersistentVolumeClaim":
            for name, low in _parse(item.min).items():
                problems += _at_least(item.type, name, low, asked.get(name), None)
            for name, high in _parse(item.max).items():
                if name in asked and asked[name] > high:
                    problems.append(
                        f"maximum {name} usage per {item.type} is {high}, but request is "
                        f"{asked[name]}"
                    )
    return problems


def _check(
    item: LimitRangeItem, requests: dict[str, Quantity], limits: dict[str, Quantity]
) -> list[str]:
    problems: list[str] = []
    for name, low in _parse(item.min).items():
        problems += _at_least(item.type, name, low, requests.get(name), limits.get(name))
    for name, high in _parse(item.max).items():
        problems += _at_most(item.type, name, high, requests.get(name), limits.get(name))
    for name, ratio in _parse(item.maxLimitRequestRatio).items():
        problems += _in_ratio(item.type, name, ratio, requests.get(name), limits.get(name))
    return problems


def _at_least(
    type_: str, name: str, low: Quantity, request: Quantity | None, limit: Quantity | None
) -> list[str]:
    if request is None:
        return [f"minimum {name} usage per {type_} is {low}.  No request is specified"]
    if request < low:
        return [f"minimum {name} usage per {type_} is {low}, but request is {request}"]
    if limit is not None and limit < low:
        return [f"minimum {name} usage per {type_} is {low}, but limit is {limit}"]
    return []


def _at_most(
    type_: str, name: str, high: Quantity, request: Quantity | None, limit: Quantity | None
) -> list[str]:
    if limit is None:
        return [f"maximum {name} usage per {type_} is {high}.  No limit is specified"]
    if limit > high:
        return [f"maximum {name} usage per {type_} is {high}, but limit is {limit}"]
    if request is not None and request > high:
        return [f"maximum {name} usage per {type_} is {high}, but request is {request}"]
    return []


def _in_ratio(
    type_: str, name: str, ratio: Quantity, request: Quantity | None, limit: Quantity | None
) -> list[str]:
    if request is None:
        return [f"{name} max limit to request ratio per {type_} is {ratio}, but no request is "
                "specified or request is 0"]  # fmt: skip
    if limit is None:
        return [f"{name} max limit to request ratio per {type_} is {ratio}, but no limit is "
                "specified or limit is 0"]  # fmt: skip
    asked, held, most = request.milli, limit.milli, ratio.milli
    if asked and held * 1000 > most * asked:
        found = held / asked
        return [f"{name} max limit to request ratio per {type_} is {ratio}, but provided ratio is "
                f"{found:.6f}"]  # fmt: skip
    return []


def _parse(amounts: dict[str, str] | None) -> dict[str, Quantity]:
    return {name: parse(text) for name, text in (amounts or {}).items()}
