"""Which pods a Service selects, and which Services select a pod.

In:   pods and Services as they come, change and go.
Out:  both directions of the relation, each at the cost of its answer.
By:   endpointslice, endpoints.

Pure bookkeeping. Services are filed under one label of their selector, so that a pod only meets
those it could be selected by; members are remembered, so that nobody scans a namespace again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.controllers.runtime.reconcile import Key, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Pod, Service

Label = tuple[str, str, str]  # namespace, key, value


class Selections:
    """The relation between Services with a selector and pods."""

    def __init__(self) -> None:
        self._selectors: dict[Key, dict[str, str]] = {}
        self._filed: dict[Label, set[Key]] = {}
        self._members: dict[Key, set[Key]] = {}
        self._selected_by: dict[Key, tuple[Key, ...]] = {}

    def pods_of(self, service: Key) -> Iterable[Key]:
        """Return the keys of the pods a Service selects."""
        return self._members.get(service, ())

    def services_of(self, pod: Key) -> tuple[Key, ...]:
        """Return the keys of the Services that select a pod."""
        return self._selected_by.get(pod, ())

    def put_service(self, service: Service, pods: Iterable[Pod]) -> None:
        """Note a Service; `pods` are those of its namespace, looked at if its selector is new."""
        key = key_of(service)
        selector = dict(service.spec.selector or {})
        if self._selectors.get(key) == selector:
            return
        self.drop_service(key)
        if not selector:
            return
        self._selectors[key] = selector
        self._filed.setdefault(_label(key, selector), set()).add(key)
        self._members[key] = set()
        for pod in pods:
            if _selects(selector, pod):
                self._join(key, key_of(pod))

    def drop_service(self, key: Key) -> None:
        """Forget a Service."""
        selector = self._selectors.pop(key, None)
        if selector is None:
            return
        label = _label(key, selector)
        self._filed[label].discard(key)
        if not self._filed[label]:
            del self._filed[label]
        for pod in self._members.pop(key, ()):
            rest = tuple(service for service in self._selected_by[pod] if service != key)
            if rest:
                self._selected_by[pod] = rest
            else:
                del self._selected_by[pod]

    def put_pod(self, pod: Pod) -> set[Key]:
        """Note a pod's labels and return the Services that began or ceased to select it."""
        key = key_of(pod)
        before = set(self._selected_by.get(key, ()))
        after = self._matching(pod)
        if before == after:
            return set()
        self.drop_pod(key)
        for service in sorted(after):
            self._join(service, key)
        return before ^ after

    def drop_pod(self, key: Key) -> tuple[Key, ...]:
        """Forget a pod and return the Services that selected it."""
        services = self._selected_by.pop(key, ())
        for service in services:
            self._members[service].discard(key)
        return services

    def _matching(self, pod: Pod) -> set[Key]:
        namespace = pod.metadata.namespace or ""
        return {
            service
            for name, value in (pod.metadata.labels or {}).items()
            for service in self._filed.get((namespace, name, value), ())
            if _selects(self._selectors[service], pod)
        }

    def _join(self, service: Key, pod: Key) -> None:
        self._members[service].add(pod)
        self._selected_by[pod] = (*self._selected_by.get(pod, ()), service)


def _label(key: Key, selector: dict[str, str]) -> Label:
    name = min(selector)
    return (key.namespace, name, selector[name])


def _selects(selector: dict[str, str], pod: Pod) -> bool:
    return selector.items() <= (pod.metadata.labels or {}).items()
