"""Every resource there is.

In:   the table of kinds, and the resources that are not generic.
Out:  Registry: a resource by group, version and plural.
By:   app. A kind that no module here names is served by the generic resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.scheme import SCHEME, Kind
from kybern.apiserver.registry import selectable
from kybern.apiserver.registry.resource import ConvertedResource, Resource, Subresource
from kybern.apiserver.registry.rules import rules_of
from kybern.apiserver.registry.special import ANSWERS, CONVERTED, STATUS, STRATEGIES, SUBRESOURCES
from kybern.apiserver.registry.strategy import StatusStrategy, Strategy
from kybern.store import keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.store.objects import Store


class Registry:
    """Resources by where they are served. Those of custom kinds come and go.

    A resource is made when it is first asked for: its Structs and validators take a while to
    import, and a server should not wait for those of kinds that nobody uses.
    """

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self._kinds = {(kind.group, kind.version, kind.plural): kind for kind in kinds}
        self._by_path: dict[tuple[str, str, str], Resource] = {}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource of a path, or None."""
        path = (group, version, plural)
        found = self._by_path.get(path)
        if found is None and (kind := self._kinds.get(path)) is not None:
            found = self._by_path[path] = _resource(kind, self)
        return found

    def of(self, kind: Kind) -> Resource:
        """Return the resource of a kind; KeyError when there is none."""
        found = self.find(kind.group, kind.version, kind.plural)
        if found is None:
            raise KeyError(kind)
        return found

    def named(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource of an apiVersion and kind, or None."""
        found = SCHEME.by_kind(api_version, kind)
        if found is None:  # a user's: they were added last
            added = reversed(self._kinds.values())
            found = next((k for k in added if (k.api_version, k.kind) == (api_version, kind)), None)
        return None if found is None else self.find(found.group, found.version, found.plural)

    def versions(self, group: str, plural: str) -> list[Resource]:
        """Return a resource in all its versions."""
        paths = [path for path in self._kinds if (path[0], path[2]) == (group, plural)]
        found = (self.find(*path) for path in paths)
        return [each for each in found if each is not None]

    def kinds(self) -> tuple[Kind, ...]:
        """Return every kind that is served, in the order of the table of kinds."""
        return tuple(self._kinds.values())

    def add(self, resource: Resource) -> None:
        """Serve a resource."""
        kind = resource.kind
        path = (kind.group, kind.version, kind.plural)
        self._kinds[path], self._by_path[path] = kind, resource

    def remove(self, resource: Resource) -> None:
        """Serve a resource no more; a built-in one that it stood in for is back."""
        kind = resource.kind
        path = (kind.group, kind.version, kind.plural)
        if self._by_path.get(path) is not resource:
            return
        del self._by_path[path], self._kinds[path]
        if (before := SCHEME.by_resource(*path)) is not None:
            self._kinds[path] = before

    def register(self, store: Store) -> None:
        """Tell the store what to know about stored objects."""
        for kind in self.kinds():
            converted = (kind.group, kind.version, kind.kind) in CONVERTED
            if "list" in kind.verbs and not converted:
                look = selectable.fields_of(kind).look
                store.collection(keys.collection(kind.group, kind.plural), look)


def registry() -> Registry:
    """Return the resources of all built-in kinds."""
    return Registry(kind for kind in SCHEME.kinds if kind.plural)


def _resource(kind: Kind, registry: Registry) -> Resource:
    if (kind.group, kind.version, kind.kind) in CONVERTED:
        return _converted_resource(kind, registry)
    return stored_resource(kind)


def stored_resource(kind: Kind) -> Resource:
    """Return the resource of a kind that is stored as it is served."""
    strategy = _strategy(kind)
    resource = Resource(
        kind, keys.collection(kind.group, kind.plural), strategy, _subresources(kind, strategy)
    )
    resource.answer = ANSWERS.get((kind.group, kind.kind))
    return resource


def _converted_resource(kind: Kind, registry: Registry) -> Resource:
    path, convert_in, convert_out = CONVERTED[(kind.group, kind.version, kind.kind)]
    stored = registry.find(*path)
    assert stored is not None
    strategy = _strategy(kind)
    return ConvertedResource(
        kind, stored, strategy, convert_in, convert_out, _subresources(kind, strategy)
    )


def _strategy(kind: Kind) -> Strategy:
    return STRATEGIES.get((kind.group, kind.kind), Strategy)(kind, rules_of(kind))


def _subresources(kind: Kind, strategy: Strategy) -> dict[str, Subresource]:
    named = (kind.group, kind.kind)
    found = [make(strategy) for make in SUBRESOURCES.get(named, ())]
    if kind.has_status:
        found.append(Subresource("status", strategy=STATUS.get(named, StatusStrategy)(strategy)))
    return {subresource.name: subresource for subresource in found}
