"""Which policies there are, compiled and with their bindings.

In:   policies and bindings in the store.
Out:  Hooks in the order of the policies' names; made anew when one of them has changed.
By:   validating, mutating.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kybern.api.scheme import SCHEME
from kybern.apiserver.admission.looking import Lookup
from kybern.apiserver.admission.policies.matching import Match, Surroundings
from kybern.store import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.review import Review

C = TypeVar("C")


class Binding:
    """Where a policy holds."""

    __slots__ = ("match", "name", "spec")

    def __init__(self, obj: Any, around: Surroundings) -> None:
        self.name: str = obj.metadata.name
        self.spec = obj.spec
        match = obj.spec.matchResources
        self.match = None if match is None else Match(match, around)

    def concerns(self, review: Review) -> bool:
        """Say whether the policy holds for a request."""
        return self.match is None or self.match.find(review) is not None


class Hook(Generic[C]):
    """A policy that is bound."""

    __slots__ = ("_compile", "_compiled", "bindings", "match", "name", "policy")

    def __init__(self, policy: Any, around: Surroundings, compile_: Callable[[Any], C]) -> None:
        self.policy = policy
        self.name: str = policy.metadata.name
        self.match = Match(policy.spec.matchConstraints, around)
        self.bindings: list[Binding] = []
        self._compile = compile_
        self._compiled: C | None = None

    @property
    def compiled(self) -> C:
        """The expressions; compiled when a request is first concerned."""
        if self._compiled is None:
            self._compiled = self._compile(self.policy)
        return self._compiled


class Hooks(Generic[C]):
    """The bound policies of one kind."""

    def __init__(
        self,
        services: Services,
        around: Surroundings,
        structs: tuple[type[Any], type[Any]],
        compile_: Callable[[Any], C],
    ) -> None:
        self._changed = services.store.changed
        self._around = around
        self._policies, self._bindings = (Lookup[Any](services, struct) for struct in structs)
        kinds = [SCHEME.of(struct) for struct in structs]
        self._prefixes = [keys.collection(kind.group, kind.plural) for kind in kinds]
        self._compile = compile_
        self._seen = (-1, -1)
        self._hooks: list[Hook[C]] = []

    def current(self) -> list[Hook[C]]:
        """Return the policies that have bindings."""
        policies, bindings = self._prefixes
        seen = self._changed(policies), self._changed(bindings)
        if seen != self._seen:
            self._hooks = self._made()
            self._seen = seen
        return self._hooks

    def concerned(self, review: Review) -> Iterator[tuple[Hook[C], Resource]]:
        """Yield the policies that are about a request, and the form they want to see."""
        for hook in self.current():
            wanted = hook.match.find(review)
            if wanted is not None:
                yield hook, wanted

    def _made(self) -> list[Hook[C]]:
        bound: dict[str, list[Binding]] = {}
        for obj in self._bindings.all():
            bound.setdefault(obj.spec.policyName or "", []).append(Binding(obj, self._around))
        if not bound:
            return []
        before = {hook.name: hook for hook in self._hooks}
        found: list[Hook[C]] = []
        for policy in self._policies.all():
            bindings = bound.get(policy.metadata.name or "")
            if bindings is None or policy.spec.matchConstraints is None:
                continue
            hook = before.get(policy.metadata.name)
            if hook is None or hook.policy is not policy:
                hook = Hook(policy, self._around, self._compile)
            hook.bindings = bindings
            found.append(hook)
        return found
