"""What pods say about each other: affinity terms, in a form that can be compared and counted.

In:   the affinity of a pod.
Out:  `Term`s and `Matcher`s, hashable, so that the same wish of a thousand pods is kept once.
By:   pod_info, pod_index, and the plugins about pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api import selectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import Pod, PodAffinityTerm, WeightedPodAffinityTerm
    from kybern.api.selectors import Selector

    NamespaceLabels = Mapping[str, Mapping[str, str]]

MUST: Final = "must"  # required affinity
MUST_NOT: Final = "must not"  # required anti-affinity
LIKE: Final = "like"  # preferred, or with a negative weight disliked


class Matcher(NamedTuple):
    """Chooses pods by namespace and labels.

    Attributes:
        namespaces: the pods' namespaces; None for all.
        selector: what their labels must be.
    """

    namespaces: frozenset[str] | None
    selector: Selector

    def matches(self, pod: Pod) -> bool:
        """Say whether a pod is chosen."""
        if self.namespaces is not None and (pod.metadata.namespace or "") not in self.namespaces:
            return False
        return self.selector.matches(pod.metadata.labels)


class Term(NamedTuple):
    """A wish of a pod about the company it keeps.

    Attributes:
        kind: `MUST`, `MUST_NOT` or `LIKE`.
        weight: how much it counts, when it is no condition.
        topology_key: the label whose value makes nodes one place.
        namespaces: whom it is about, by name …
        namespace_selector: … or by labels of their namespace.
        selector: … and by their own labels.
    """

    kind: str
    weight: int
    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: Selector | None
    selector: Selector

    def matcher(self, known: NamespaceLabels) -> Matcher:
        """Return whom the term is about, given the namespaces there are."""
        if self.namespace_selector is None:
            return Matcher(self.namespaces, self.selector)
        if self.namespace_selector.everything:
            return Matcher(None, self.selector)
        chosen = {name for name, labels in known.items() if self.namespace_selector.matches(labels)}
        return Matcher(self.namespaces | chosen, self.selector)

    def is_about(self, pod: Pod, known: NamespaceLabels) -> bool:
        """Say whether the term is about this pod."""
        namespace = pod.metadata.namespace or ""
        if namespace not in self.namespaces and not (
            self.namespace_selector is not None
            and self.namespace_selector.matches(known.get(namespace, {}))
        ):
            return False
        return self.selector.matches(pod.metadata.labels)


def terms_of(pod: Pod) -> tuple[Term, ...]:
    """Return everything a pod wishes about others."""
    affinity = pod.spec.affinity
    if affinity is None or (affinity.podAffinity is None and affinity.podAntiAffinity is None):
        return ()
    namespace = pod.metadata.namespace or ""
    found: list[Term] = []
    near, far = affinity.podAffinity, affinity.podAntiAffinity
    if near is not None:
        required = near.requiredDuringSchedulingIgnoredDuringExecution
        found += [_term(MUST, 0, each, namespace) for each in required or ()]
        found += _preferred(near.preferredDuringSchedulingIgnoredDuringExecution, 1, namespace)
    if far is not None:
        required = far.requiredDuringSchedulingIgnoredDuringExecution
        found += [_term(MUST_NOT, 0, each, namespace) for each in required or ()]
        found += _preferred(far.preferredDuringSchedulingIgnoredDuringExecution, -1, namespace)
    return tuple(found)


def _preferred(
    terms: Iterable[WeightedPodAffinityTerm] | None, sign: int, namespace: str
) -> list[Term]:
    return [
        _term(LIKE, sign * each.weight, each.podAffinityTerm, namespace) for each in terms or ()
    ]


def _term(kind: str, weight: int, term: PodAffinityTerm, namespace: str) -> Term:
    names = frozenset(term.namespaces or ())
    chosen = None
    if term.namespaceSelector is not None:
        chosen = selectors.from_struct(term.namespaceSelector)
    elif not names:
        names = frozenset((namespace,))
    return Term(
        kind, weight, term.topologyKey, names, chosen, selectors.from_struct(term.labelSelector)
    )
