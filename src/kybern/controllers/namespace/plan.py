"""What the deletion of a namespace tells about itself.

In:   what is left of each resource, what failed.
Out:  conditions, and how long to wait before the next attempt.
By:   namespace.controller. Pure. Types, reasons and messages are upstream's: clients match them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api.core.v1 import NamespaceCondition
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kybern.api.core.v1 import Namespace
    from kybern.api.scheme import Kind
    from kybern.client.metadata import Partial

FINALIZER = "kubernetes"
TERMINATING = "Terminating"
FINALIZERS_TAKE = 15.0  # seconds that whoever holds a finalizer probably needs
SOON, LOOKS_SOON = 0.25, 6
PODS = ("", "pods")


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of one resource after its deletion was asked for."""

    kind: Kind
    count: int
    finalizers: Counter[str]
    estimate: float


@dataclass(slots=True)
class Findings:
    """What one attempt found out.

    Attributes:
        undiscovered: groups that could not be asked what they serve, and why.
        errors: sentences about what could not be deleted.
        remaining: what is left.
    """

    undiscovered: Sequence[tuple[str, str]] = ()
    errors: list[str] = field(default_factory=list)
    remaining: list[Remaining] = field(default_factory=list)

    @property
    def estimate(self) -> float:
        """Seconds until it is worth trying again; 0 when nothing is left."""
        return max((rest.estimate for rest in self.remaining), default=0.0)

    @property
    def done(self) -> bool:
        """Whether the namespace may go."""
        return not (self.undiscovered or self.errors or self.remaining)


def order(kinds: Iterable[Kind]) -> tuple[list[Kind], list[Kind]]:
    """Return the resources to delete first, which are pods, and the others."""
    deletable = [kind for kind in kinds if kind.namespaced and {"delete", "list"} <= {*kind.verbs}]
    pods = [kind for kind in deletable if (kind.group, kind.plural) == PODS]
    return pods, [kind for kind in deletable if kind not in pods]


def remains(kind: Kind, left: Sequence[Partial]) -> Remaining | None:
    """Judge what a listing after the deletion shows."""
    if not left:
        return None
    finalizers = Counter(name for obj in left for name in obj.metadata.finalizers or ())
    waits = [float(obj.metadata.deletionGracePeriodSeconds or 0) for obj in left]
    waits += [FINALIZERS_TAKE] if finalizers else []
    return Remaining(kind, len(left), finalizers, max(*waits, 1.0))


def pause(found: Findings, looks: int) -> float:
    """Return the seconds to the next attempt, after so many before this one.

    Most who hold a finalizer let go at once, so the first attempts follow soon. The end of the
    last pod is told; there is no use in asking for it.
    """
    enough = found.estimate / 2 + 1
    pods = any((rest.kind.group, rest.kind.plural) == PODS for rest in found.remaining)
    if pods or looks >= LOOKS_SOON:
        return enough
    return min(enough, SOON * 2.0**looks)


def conditions(namespace: Namespace, found: Findings, now: float) -> list[NamespaceCondition]:
    """Return the conditions the namespace shall have, untouched ones with their old times."""
    old = {condition.type: condition for condition in namespace.status.conditions or ()}
    fresh = [
        _discovery(found),
        _condition("NamespaceDeletionGroupVersionParsingFailure", ("ParsedGroupVersions", _PARSED)),
        _content(found),
        _left_over(found),
        _finalizers(found),
    ]
    known = {condition.type for condition in fresh}
    kept = [condition for condition in old.values() if condition.type not in known]
    for condition in fresh:
        before = old.get(condition.type)
        same = before is not None and before.status == condition.status
        condition.lastTransitionTime = before.lastTransitionTime if before and same else None
        condition.lastTransitionTime = condition.lastTransitionTime or rfc3339(now)
    return kept + fresh


_PARSED = "All legacy kube types successfully parsed"


def _discovery(found: Findings) -> NamespaceCondition:
    problem = None
    if found.undiscovered:
        groups = ", ".join(f"{name}: {why}" for name, why in found.undiscovered)
        problem = (
            "DiscoveryFailed",
            f"Discovery failed for some groups, {len(found.undiscovered)} failing: "
            f"unable to retrieve the complete list of server APIs: {groups}",
        )
    fine = ("ResourcesDiscovered", "All resources successfully discovered")
    return _condition("NamespaceDeletionDiscoveryFailure", fine, problem)


def _content(found: Findings) -> NamespaceCondition:
    problem = None
    if found.errors:
        text = found.errors[0] if len(found.errors) == 1 else f"[{', '.join(found.errors)}]"
        counted = f"Failed to delete all resource types, {len(found.errors)} remaining: {text}"
        problem = ("ContentDeletionFailed", counted)
    text = "All content successfully deleted, may be waiting on finalization"
    return _condition("NamespaceDeletionContentFailure", ("ContentDeleted", text), problem)


def _left_over(found: Findings) -> NamespaceCondition:
    problem = None
    if found.remaining:
        parts = sorted(
            f"{rest.kind.plural}.{rest.kind.group} has {rest.count} resource instances"
            for rest in found.remaining
        )
        problem = ("SomeResourcesRemain", f"Some resources are remaining: {', '.join(parts)}")
    fine = ("ContentRemoved", "All content successfully removed")
    return _condition("NamespaceContentRemaining", fine, problem)


def _finalizers(found: Findings) -> NamespaceCondition:
    total: Counter[str] = Counter()
    for rest in found.remaining:
        total += rest.finalizers
    problem = None
    if total:
        parts = [f"{name} in {count} resource instances" for name, count in sorted(total.items())]
        text = f"Some content in the namespace has finalizers remaining: {', '.join(parts)}"
        problem = ("SomeFinalizersRemain", text)
    fine = ("ContentHasNoFinalizers", "All content-preserving finalizers finished")
    return _condition("NamespaceFinalizersRemaining", fine, problem)


def _condition(
    kind: str, fine: tuple[str, str], problem: tuple[str, str] | None = None
) -> NamespaceCondition:
    reason, message = problem or fine
    status = "True" if problem is not None else "False"
    return NamespaceCondition(type=kind, status=status, reason=reason, message=message)
