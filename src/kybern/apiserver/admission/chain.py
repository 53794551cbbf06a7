"""What may be stored: the plugins, in the order they are asked.

In:   a Review of one operation.
Out:  the object, maybe changed; or Forbidden or another ApiError from a plugin.
By:   registry.generic and handlers.connect.

Which plugins care for which resource and operation is worked out once, so that an object nobody
cares for costs one look-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

    Step = Callable[[Review], Awaitable[None] | None]


class Plugin(Protocol):
    """One rule about what may be stored.

    A plugin has `mutate`, `validate` or both. Each may return an awaitable where it has to wait.
    """

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Say whether the plugin wants to see such operations."""
        ...


class Chain:
    """Asks every plugin that cares."""

    def __init__(self, plugins: tuple[Plugin, ...]) -> None:
        self._plugins = plugins
        self._mutating: dict[Any, tuple[Step, ...]] = {}
        self._validating: dict[Any, tuple[Step, ...]] = {}

    def mutates(self, review: Review) -> tuple[Step, ...]:
        """Return the steps that may change the object."""
        key = (review.resource, review.subresource, review.operation)
        steps = self._mutating.get(key)
        return self._steps(self._mutating, key, "mutate") if steps is None else steps

    def validates(self, review: Review) -> tuple[Step, ...]:
        """Return the steps that may refuse the object as it will be stored."""
        key = (review.resource, review.subresource, review.operation)
        steps = self._validating.get(key)
        return self._steps(self._validating, key, "validate") if steps is None else steps

    async def mutate(self, review: Review) -> None:
        """Let plugins change the object, a second time when a policy did so after them."""
        steps = self.mutates(review)
        for step in steps:
            waiting = step(review)
            if waiting is not None:
                await waiting
        if review.reinvoke:
            for step in steps:
                waiting = step(review)
                if waiting is not None:
                    await waiting

    async def validate(self, review: Review) -> None:
        """Let plugins refuse the object."""
        for step in self.validates(review):
            waiting = step(review)
            if waiting is not None:
                await waiting

    def _steps(self, table: dict[Any, tuple[Step, ...]], key: Any, name: str) -> tuple[Step, ...]:
        resource, subresource, operation = key
        kind = resource.kind
        found = tuple(
            getattr(plugin, name)
            for plugin in self._plugins
            if hasattr(plugin, name)
            and plugin.handles(kind.group, kind.plural, subresource, operation)
        )
        table[key] = found
        return found


def chain(services: Services) -> Chain:
    """Return the plugins of a server."""
    from kybern.apiserver.admission.plugins import PLUGINS

    return Chain(tuple(plugin(services) for plugin in PLUGINS))
