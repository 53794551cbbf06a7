"""What a ResourceQuota counts, and of which objects.

In:   objects of a namespace, and quotas.
Out:  amounts by the names that quotas use.
By:   the API server's admission, which says no, and the controller, which counts again. Pure.

A `Meter` knows one resource. Pods, Services and claims have their own; of everything else only the
number counts (`count/<resource>[.<group>]`). Source: upstream's `pkg/quota/v1/evaluator`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from kybern.api.core import pods as ask
from kybern.api.core.resizing import held
from kybern.api.core.v1 import ScopedResourceSelectorRequirement
from kybern.api.quantity import NANO, ZERO, Quantity, parse
from kybern.api.selectors import Requirement
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import (
        Container,
        PersistentVolumeClaim,
        Pod,
        PodAffinityTerm,
        ResourceQuota,
        Service,
    )

    Amounts = dict[str, Quantity]

ONE: Final = Quantity(NANO)
REQUESTS, LIMITS = "requests.", "limits."
NATIVE: Final = ("cpu", "memory", "ephemeral-storage")
OF_PODS: Final = frozenset(
    (
        "count/pods",
        "pods",
        *NATIVE,
        *(f"{how}{what}" for how in (REQUESTS, LIMITS) for what in NATIVE),
    )
)
MUST_BE_SAID: Final = frozenset(
    ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
)
"""What every container has to say as soon as a quota counts it."""
HUGE: Final = ("hugepages-", "requests.hugepages-")
OF_CLASS: Final = ".storageclass.storage.k8s.io/"
PLAIN_NAMES: Final = frozenset(
    ("configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas", "secrets",
     "services")
)  # fmt: skip
"""Resources of the core group that have had a name in quotas before there was `count/`."""


class Meter(Protocol):
    """Measures objects of one resource."""

    def names(self, hard: Iterable[str]) -> set[str]:
        """Return which of the names in a quota are about this resource."""

    def usage(self, obj: Any, now: float) -> Amounts:
        """Return what an object uses; `now` in seconds since 1970."""

    def in_scope(self, scope: ScopedResourceSelectorRequirement, obj: Any) -> bool:
        """Say whether an object is in a scope."""

    def missing(self, names: set[str], obj: Any) -> str:
        """Return what an object has to say and does not; empty when there is nothing."""


def count_name(group: str, plural: str) -> str:
    """Return the name under which objects of a resource are counted."""
    return f"count/{plural}.{group}" if group else f"count/{plural}"


class Count:
    """Any resource: how many there are."""

    def __init__(self, group: str, plural: str) -> None:
        counted = {count_name(group, plural)}
        if not group and plural in PLAIN_NAMES:
            counted.add(plural)
        self._counted = frozenset(counted)

    def names(self, hard: Iterable[str]) -> set[str]:
        """Its number, by both names."""
        return set(self._counted.intersection(hard))

    def usage(self, obj: Any, now: float) -> Amounts:
        """One."""
        del obj, now
        return dict.fromkeys(self._counted, ONE)

    def in_scope(self, scope: ScopedResourceSelectorRequirement, obj: Any) -> bool:
        """Scopes are about pods."""
        del scope, obj
        return False

    def missing(self, names: set[str], obj: Any) -> str:
        """Nothing has to be said."""
        del names, obj
        return ""


class Services(Count):
    """Services: those with node ports and load balancers also apart."""

    def __init__(self) -> None:
        super().__init__("", "services")
        self._counted |= {"services.nodeports", "services.loadbalancers"}

    def usage(self, obj: Service, now: float) -> Amounts:
        """One, and the ports it takes of every node."""
        del now
        spec = obj.spec
        used = {"count/services": ONE, "services": ONE, "services.nodeports": ZERO,
                "services.loadbalancers": ZERO}  # fmt: skip
        ports = spec.ports or []
        if spec.type == "LoadBalancer":
            used["services.loadbalancers"] = ONE
            if spec.allocateLoadBalancerNodePorts is False:
                ports = [port for port in ports if port.nodePort]
        if spec.type in ("NodePort", "LoadBalancer"):
            used["services.nodeports"] = Quantity(len(ports) * NANO)
        return used


class Claims(Count):
    """PersistentVolumeClaims: how many and how large, also by class."""

    def __init__(self) -> None:
        super().__init__("", "persistentvolumeclaims")

    def names(self, hard: Iterable[str]) -> set[str]:
        """Number and size, in all and of one class."""
        hard = list(hard)
        found = super().names(hard)
        found.update(name for name in hard if name == "requests.storage" or OF_CLASS in name)
        return found

    def usage(self, obj: PersistentVolumeClaim, now: float) -> Amounts:
        """One, and what it asks for, or has got already if that is more."""
        used = super().usage(obj, now)
        spec, status = obj.spec, obj.status
        asked = ((spec.resources and spec.resources.requests) or {}).get("storage")
        given = (status.allocatedResources or {}).get("storage")
        sizes = [parse(text) for text in (asked, given) if text is not None]
        size = max(sizes) if sizes else None
        name = spec.storageClassName
        if size is not None:
            used["requests.storage"] = size
        if name:
            used[f"{name}{OF_CLASS}persistentvolumeclaims"] = ONE
            if size is not None:
                used[f"{name}{OF_CLASS}requests.storage"] = size
        return used

    def in_scope(self, scope: ScopedResourceSelectorRequirement, obj: Any) -> bool:
        """Whether its attributes class is one of those named."""
        if scope.scopeName != "VolumeAttributesClass":
            return False
        return _named(scope, obj.spec.volumeAttributesClassName or "")


class Pods:
    """Pods: how many there are, and what those that are not finished ask for."""

    def names(self, hard: Iterable[str]) -> set[str]:
        """Compute resources, huge pages and extended resources."""
        return {
            name for name in hard if name in OF_PODS or name.startswith(HUGE) or _extended(name)
        }

    def usage(self, obj: Pod, now: float) -> Amounts:
        """Its requests and limits for as long as it may use them."""
        used = {"count/pods": ONE}
        if not _finished(obj, now):
            spec = held(obj)
            used.update(_compute(ask.requests(spec), ask.limits(spec)))
        return used

    def in_scope(self, scope: ScopedResourceSelectorRequirement, obj: Pod) -> bool:
        """Whether a pod is of the sort that the scope is about."""
        spec = obj.spec
        match scope.scopeName:
            case "Terminating":
                return _has_deadline(obj)
            case "NotTerminating":
                return not _has_deadline(obj)
            case "BestEffort":
                return ask.qos_class(spec) == ask.BEST_EFFORT
            case "NotBestEffort":
                return ask.qos_class(spec) != ask.BEST_EFFORT
            case "PriorityClass":
                return _named(scope, spec.priorityClassName or "")
            case "CrossNamespacePodAffinity":
                return any(term.namespaces or term.namespaceSelector for term in _affinities(obj))
        return False

    def missing(self, names: set[str], obj: Pod) -> str:
        """`limits.cpu for: a,b; requests.cpu for: a`."""
        wanted = names & MUST_BE_SAID
        if not wanted:
            return ""
        silent: dict[str, set[str]] = {}
        for container in (*obj.spec.containers, *(obj.spec.initContainers or ())):
            for name in wanted - _said(container):
                silent.setdefault(name, set()).add(container.name)
        return "; ".join(f"{name} for: {','.join(sorted(silent[name]))}" for name in sorted(silent))


def _said(container: Container) -> set[str]:
    return set(
        _compute(
            {name: parse(text) for name, text in ask.requests_of(container).items()},
            {name: parse(text) for name, text in ask.limits_of(container).items()},
        )
    )


def _compute(requests: Amounts, limits: Amounts) -> Amounts:
    used = {"pods": ONE}
    for name, amount in requests.items():
        if name in NATIVE or name.startswith("hugepages-"):
            used[name] = amount
        if name in NATIVE or name.startswith("hugepages-") or _is_extended(name):
            used[REQUESTS + name] = amount
    for name, amount in limits.items():
        if name in NATIVE:
            used[LIMITS + name] = amount
    return used


def _is_extended(name: str) -> bool:
    return "/" in name and "kubernetes.io/" not in name and not name.startswith(REQUESTS)


def _extended(name: str) -> bool:
    return name.startswith(REQUESTS) and _is_extended(name[len(REQUESTS) :])


def _finished(pod: Pod, now: float) -> bool:
    if ask.is_terminal(pod):
        return True
    meta = pod.metadata
    if meta.deletionTimestamp is None or meta.deletionGracePeriodSeconds is None:
        return False
    return now > parse_rfc3339(meta.deletionTimestamp) + meta.deletionGracePeriodSeconds


def _has_deadline(pod: Pod) -> bool:
    deadline = pod.spec.activeDeadlineSeconds
    return deadline is not None and deadline >= 0


def _affinities(pod: Pod) -> Iterable[PodAffinityTerm]:
    affinity = pod.spec.affinity
    if affinity is None:
        return
    for side in (affinity.podAffinity, affinity.podAntiAffinity):
        if side is not None:
            yield from side.requiredDuringSchedulingIgnoredDuringExecution or ()
            for weighted in side.preferredDuringSchedulingIgnoredDuringExecution or ():
                yield weighted.podAffinityTerm


def _named(scope: ScopedResourceSelectorRequirement, name: str) -> bool:
    if scope.operator == "Exists":
        return bool(name)
    requirement = Requirement("name", _OPERATORS[scope.operator], tuple(scope.values or ()))
    return requirement.matches({"name": name} if name else {})


_OPERATORS: Final = {"In": "in", "NotIn": "notin", "DoesNotExist": "!"}
_METERS: Final[dict[tuple[str, str], Meter]] = {
    ("", "pods"): Pods(),
    ("", "services"): Services(),
    ("", "persistentvolumeclaims"): Claims(),
}


def meter(group: str, plural: str) -> Meter:
    """Return what measures a resource."""
    found = _METERS.get((group, plural))
    if found is None:
        found = _METERS[group, plural] = Count(group, plural)
    return found


def scopes(quota: ResourceQuota) -> list[ScopedResourceSelectorRequirement]:
    """Return a quota's scopes; an object is counted when it is in all of them."""
    plain = [
        ScopedResourceSelectorRequirement(scopeName=name, operator="Exists")
        for name in quota.spec.scopes or ()
    ]
    selector = quota.spec.scopeSelector
    return plain + list((selector and selector.matchExpressions) or ())


def counts(
    measured_by: Meter, quota_scopes: list[ScopedResourceSelectorRequirement], obj: Any
) -> bool:
    """Say whether an object is in all scopes of a quota."""
    return all(measured_by.in_scope(scope, obj) for scope in quota_scopes)
