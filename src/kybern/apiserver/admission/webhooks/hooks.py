"""Which webhooks there are, in the order they are asked.

In:   webhook configurations in the store.
Out:  Hooks, made anew when a configuration has changed.
By:   mutating, validating.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kybern.api.admissionregistration.v1 import MatchResources, NamedRuleWithOperations
from kybern.api.scheme import SCHEME
from kybern.apiserver.admission.looking import Lookup
from kybern.apiserver.admission.policies.matching import CONFIGURATION, EXEMPT, Match, Surroundings
from kybern.store import keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.api.admissionregistration.v1 import MutatingWebhook, ValidatingWebhook
    from kybern.apiserver.admission.policies.evaluation import Compiled
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.review import Review

TIMEOUT = 10  # seconds, when the configuration was written without its default


class Hook:
    """One webhook.

    Attributes:
        key: what tells it from all others.
        fails: whether a request is refused when the webhook cannot be asked.
        again: whether it wants to see an object again that others have changed after it.
    """

    def __init__(
        self, configuration: str, spec: MutatingWebhook | ValidatingWebhook, around: Surroundings
    ) -> None:
        self.key = (configuration, spec.name)
        self.name = spec.name
        self.spec = spec
        self.fails = spec.failurePolicy != "Ignore"
        self.again = getattr(spec, "reinvocationPolicy", None) == "IfNeeded"
        self.timeout = spec.timeoutSeconds or TIMEOUT
        rules = [
            NamedRuleWithOperations(
                apiGroups=rule.apiGroups, apiVersions=rule.apiVersions, scope=rule.scope,
                operations=rule.operations, resources=rule.resources,
            )
            for rule in spec.rules or ()
        ]  # fmt: skip
        self._match = Match(
            MatchResources(
                resourceRules=rules, matchPolicy=spec.matchPolicy,
                namespaceSelector=spec.namespaceSelector, objectSelector=spec.objectSelector,
            ),
            around,
        )  # fmt: skip
        self._asks = bool(rules)
        self._conditions: Compiled | None = None

    def find(self, review: Review) -> Resource | None:
        """Return the form in which it wants to see the object; None: it is not concerned."""
        return self._match.find(review) if self._asks else None

    @property
    def conditions(self) -> Compiled | None:
        """Its match conditions, compiled when a request is first concerned."""
        if self._conditions is None and self.spec.matchConditions:
            from kybern.apiserver.admission.policies.evaluation import Compiled

            policy: Any = SimpleNamespace(
                spec=SimpleNamespace(
                    failurePolicy=self.spec.failurePolicy, paramKind=None, variables=None,
                    matchConditions=self.spec.matchConditions,
                )
            )  # fmt: skip
            self._conditions = Compiled(policy)
        return self._conditions


class Hooks:
    """The webhooks of one kind of configuration."""

    def __init__(self, services: Services, around: Surroundings, struct: type[Any]) -> None:
        kind = SCHEME.of(struct)
        self._changed = services.store.changed
        self._prefix = keys.collection(kind.group, kind.plural)
        self._configurations: Lookup[Any] = Lookup(services, struct)
        self._around = around
        self._seen = -1
        self._hooks: list[Hook] = []

    def current(self) -> list[Hook]:
        """Return all webhooks: by the names of their configurations, then as those list them."""
        seen = self._changed(self._prefix)
        if seen != self._seen:
            self._hooks = [
                Hook(each.metadata.name, spec, self._around)
                for each in self._configurations.all()
                for spec in each.webhooks or ()
            ]
            self._seen = seen
        return self._hooks

    def concerned(self, review: Review) -> Iterator[tuple[Hook, Resource]]:
        """Yield the webhooks that are about a request, and the form they want to see."""
        for hook in self.current():
            wanted = hook.find(review)
            if wanted is not None:
                yield hook, wanted


def handled(group: str, plural: str) -> bool:
    """Say whether webhooks may be about a kind: about all but what they themselves are made of."""
    return not (group == CONFIGURATION and plural in EXEMPT)
