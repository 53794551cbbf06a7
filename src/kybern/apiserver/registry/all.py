"""Every resource there is.

In:   the table of kinds, and the resources that are not generic.
Out:  Registry: a resource by group, version and plural.
By:   app. A kind that no module here names is served by the generic resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.scheme import SCHEME, Kind
from kybern.store import keys
from kybern.apiserver.registry.resource import Resource, Subresource
from kybern.apiserver.registry.rules import rules_of
from kybern.apiserver.registry.special import SPECIAL, STRATEGIES
from kybern.apiserver.registry.strategy import StatusStrategy, Strategy

if TYPE_CHECKING:
    from kybern.store.objects import Store


class Registry:
    """Resources by where they are served. Those of custom kinds come and go."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource of a path, or None."""
        return self._by_path.get((group, version, plural))

    def of(self, kind: Kind) -> Resource:
        """Return the resource of a kind; KeyError when there is none."""
        return self._by_path[(kind.group, kind.version, kind.plural)]

    def named(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource of an apiVersion and kind, or None."""
        found = SCHEME.by_kind(api_version, kind)
        return None if found is None else self.find(found.group, found.version, found.plural)

    def all(self) -> tuple[Resource, ...]:
        """Return every resource, in the order of the table of kinds."""
        return tuple(self._by_path.values())

    def add(self, resource: Resource) -> None:
        """Serve a resource."""
        kind = resource.kind
        self._by_path[(kind.group, kind.version, kind.plural)] = resource

    def remove(self, resource: Resource) -> None:
        """Serve a resource no more."""
        kind = resource.kind
        self._by_path.pop((kind.group, kind.version, kind.plural), None)

    def register(self, store: Store) -> None:
        """Tell the store what to know about stored objects."""
        for resource in self.all():
            if resource.verbs & {"list", "watch"}:
                store.collection(resource.prefix, resource.fields.look)


def registry() -> Registry:
    """Return the resources of all built-in kinds."""
    found = Registry()
    for kind in SCHEME.kinds:
        if not kind.plural:
            continue
        make = SPECIAL.get((kind.group, kind.version, kind.kind))
        found.add(make(kind, found) if make is not None else generic_resource(kind))
    return found


def generic_resource(kind: Kind) -> Resource:
    """Return the resource of a kind with nothing special but maybe its strategy."""
    make = STRATEGIES.get((kind.group, kind.kind), Strategy)
    strategy = make(kind, rules_of(kind))
    subresources = {}
    if kind.has_status:
        subresources["status"] = Subresource("status", strategy=StatusStrategy(strategy))
    return Resource(kind, keys.collection(kind.group, kind.plural), strategy, subresources)
