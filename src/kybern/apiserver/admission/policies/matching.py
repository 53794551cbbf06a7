"""Whether a policy is about a request, and in which version it wants to see the object.

In:   a Review; the matchConstraints of a policy or the matchResources of a binding.
Out:  the resource whose form the policy asked for, or None.
By:   hooks. Facts: upstream's `admission/plugin/policy/matching/matching.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import selectors
from kybern.api.core.v1 import Namespace
from kybern.api.custom.kinds import CustomKind
from kybern.apiserver.admission.looking import Lookup
from kybern.apiserver.registry.review import CREATE, UPDATE
from kybern.apiserver.registry.special import CONVERTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.admissionregistration.v1 import MatchResources, NamedRuleWithOperations
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.review import Review

CONFIGURATION = "admissionregistration.k8s.io"
EXEMPT = frozenset(
    (
        "validatingwebhookconfigurations", "mutatingwebhookconfigurations",
        "validatingadmissionpolicies", "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
    )
)  # fmt: skip
"""What a policy may not stand in the way of, or nobody could ever take it away again."""
REVIEWS = frozenset(
    (
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "localsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    )
)


def concerned(group: str, plural: str) -> bool:
    """Say whether policies may speak about objects of a kind."""
    if group == CONFIGURATION and plural in EXEMPT:
        return False
    return (group, plural) not in REVIEWS


class Surroundings:
    """What matching has to know beyond the request: namespaces, and which kinds are the same."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.namespaces: Lookup[Namespace] = Lookup(services, Namespace)
        self._same = _equivalents()

    def equivalents(self, resource: Resource) -> list[Resource]:
        """Return the other forms in which the objects of a resource are served."""
        kind = resource.kind
        paths = self._same.get((kind.group, kind.version, kind.plural), ())
        registry = self._services.resources
        found = [registry.find(*path) for path in paths]
        if isinstance(kind, CustomKind):
            found = registry.versions(kind.group, kind.plural)
        return [each for each in found if each is not None and each is not resource]


def _equivalents() -> dict[tuple[str, str, str], tuple[tuple[str, str, str], ...]]:
    found: dict[tuple[str, str, str], tuple[tuple[str, str, str], ...]] = {}
    for (group, version, kind), (stored, _, _) in CONVERTED.items():
        del kind
        served = (group, version, stored[2])
        found[served] = (stored,)
        found[stored] = (*found.get(stored, ()), served)
    return found


class Rules:
    """Rules about resources and operations; what they say about a kind of request is kept."""

    def __init__(
        self, rules: Sequence[NamedRuleWithOperations], around: Surroundings, *, equivalent: bool
    ) -> None:
        self._rules = rules
        self._around = around
        self._equivalent = equivalent
        self._by_name = any(rule.resourceNames for rule in rules)
        self._known: dict[tuple[Resource, str, str, bool], Resource | None] = {}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def find(self, review: Review) -> Resource | None:
        """Return the form in which a rule speaks of the object; None: none does."""
        if self._by_name or isinstance(review.resource.kind, CustomKind):
            return self._find(review)
        key = (review.resource, review.subresource, review.operation, bool(review.namespace))
        try:
            return self._known[key]
        except KeyError:
            found = self._known[key] = self._find(review)
            return found

    def _find(self, review: Review) -> Resource | None:
        resource = review.resource
        if any(_fits(rule, review, resource) for rule in self._rules):
            return resource
        if self._equivalent:
            for other in self._around.equivalents(resource):
                if any(_fits(rule, review, other) for rule in self._rules):
                    return other
        return None


class Match:
    """The rules of one policy or binding."""

    def __init__(self, match: MatchResources, around: Surroundings) -> None:
        self._around = around
        equivalent = match.matchPolicy != "Exact"
        self._rules = Rules(match.resourceRules or (), around, equivalent=equivalent)
        self._excluded = Rules(match.excludeResourceRules or (), around, equivalent=equivalent)
        self._namespaces = selectors.from_struct(match.namespaceSelector)
        self._objects = selectors.from_struct(match.objectSelector)

    def find(self, review: Review) -> Resource | None:
        """Return the resource in whose form the object is wanted; None: not concerned."""
        if self._rules:
            found = self._rules.find(review)
            if found is None:
                return None
        else:
            found = review.resource
        if self._excluded and self._excluded.find(review) is not None:
            return None
        return found if self._selected(review) else None

    def _selected(self, review: Review) -> bool:
        if not self._objects.everything and not any(
            self._objects.matches(each.metadata.labels or {})
            for each in (review.obj, review.old)
            if getattr(each, "metadata", None) is not None
        ):
            return False
        if self._namespaces.everything:
            return True
        labels = self._namespace_labels(review)
        return labels is None or self._namespaces.matches(labels)

    def _namespace_labels(self, review: Review) -> dict[str, str] | None:
        """Return the labels that a selector of namespaces looks at; None: it does not matter."""
        if review.resource.kind.kind == "Namespace":
            is_new = review.operation in (CREATE, UPDATE) and not review.subresource
            obj = review.obj if is_new else review.old or review.obj
            return obj.metadata.labels or {}
        if not review.namespace:
            return None
        namespace = self._around.namespaces.get(review.namespace)
        return (namespace.metadata.labels or {}) if namespace is not None else {}


def _fits(rule: NamedRuleWithOperations, review: Review, resource: Resource) -> bool:
    kind = resource.kind
    return (
        _named(kind.group, rule.apiGroups)
        and _named(kind.version, rule.apiVersions)
        and _named(review.operation, rule.operations)
        and any(
            _is_resource(each, kind.plural, review.subresource) for each in rule.resources or ()
        )
        and _in_scope(rule.scope, review)
        and (not rule.resourceNames or review.name in rule.resourceNames)
    )


def _named(name: str, wanted: list[str] | None) -> bool:
    return wanted is not None and (name in wanted or "*" in wanted)


def _is_resource(wanted: str, plural: str, subresource: str) -> bool:
    resource, _, part = wanted.partition("/")
    return resource in ("*", plural) and part in ("*", subresource)


def _in_scope(scope: Any, review: Review) -> bool:
    if scope == "Namespaced":
        return bool(review.namespace)
    return scope != "Cluster" or not review.namespace
