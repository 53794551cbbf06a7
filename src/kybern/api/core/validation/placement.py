"""Where a pod may go: node selectors, affinities, tolerations, spreading.

In:   Affinity, Toleration, TopologySpreadConstraint, NodeSelector and their parts.
Out:  problems appended to the list given.
By:   `pod_spec`, `nodes` (taints), `persistent_volumes` (node affinity).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kybern.api.meta.validation import check_label_key, check_selector

if TYPE_CHECKING:
    from kybern.api.core.v1 import (
        Affinity,
        NodeAffinity,
        NodeSelector,
        NodeSelectorRequirement,
        NodeSelectorTerm,
        PodAffinity,
        PodAffinityTerm,
        PodAntiAffinity,
        Toleration,
        TopologySpreadConstraint,
    )
    from kybern.api.meta.v1 import LabelSelector

EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")
REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
WEIGHT: Final = "must be in the range 1-100"
NOT_AN_OPERATOR: Final = "not a valid selector operator"
NO_SELECTOR: Final = "must not be specified when labelSelector is not set"


def check_affinity(affinity: Affinity, path: Path, out: list[Problem]) -> None:
    """All three affinities."""
    if affinity.nodeAffinity is not None:
        _check_node_affinity(affinity.nodeAffinity, path / "nodeAffinity", out)
    if affinity.podAffinity is not None:
        _check_pod_affinity(affinity.podAffinity, path / "podAffinity", out)
    if affinity.podAntiAffinity is not None:
        _check_pod_affinity(affinity.podAntiAffinity, path / "podAntiAffinity", out)


def _check_node_affinity(affinity: NodeAffinity, path: Path, out: list[Problem]) -> None:
    wanted = affinity.requiredDuringSchedulingIgnoredDuringExecution
    if wanted is not None:
        check_node_selector(wanted, path / REQUIRED, out)
    for index, term in enumerate(affinity.preferredDuringSchedulingIgnoredDuringExecution or ()):
        place = (path / PREFERRED)[index]
        if not 1 <= term.weight <= 100:
            out.append(invalid(place / "weight", term.weight, WEIGHT))
        _check_term(term.preference, place / "preference", out, values=False)


def check_node_selector(selector: NodeSelector, path: Path, out: list[Problem]) -> None:
    """Terms of which one must hold."""
    place = path / "nodeSelectorTerms"
    if not selector.nodeSelectorTerms:
        out.append(required(place, "must have at least one node selector term"))
    for index, term in enumerate(selector.nodeSelectorTerms):
        _check_term(term, place[index], out, values=True)


def _check_term(term: NodeSelectorTerm, path: Path, out: list[Problem], *, values: bool) -> None:
    for index, requirement in enumerate(term.matchExpressions or ()):
        place = (path / "matchExpressions")[index]
        _check_requirement(requirement, place, out, values=values)
    for index, requirement in enumerate(term.matchFields or ()):
        _check_field_requirement(requirement, (path / "matchFields")[index], out)


def _check_requirement(
    requirement: NodeSelectorRequirement, path: Path, out: list[Problem], *, values: bool
) -> None:
    given = requirement.values or []
    operator = requirement.operator
    if operator in ("In", "NotIn"):
        if not given:
            told = "must be specified when `operator` is 'In' or 'NotIn'"
            out.append(required(path / "values", told))
    elif operator in ("Exists", "DoesNotExist"):
        if given:
            told = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            out.append(forbidden(path / "values", told))
    elif operator in ("Gt", "Lt"):
        if len(given) != 1:
            told = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            out.append(required(path / "values", told))
    else:
        out.append(invalid(path / "operator", operator, NOT_AN_OPERATOR))
    check_label_key(requirement.key, path, "key", out)
    if values:
        for index, value in enumerate(given):
            if messages := names.label_value(value):
                out += all_invalid((path / "values")[index], value, messages)


def _check_field_requirement(
    requirement: NodeSelectorRequirement, path: Path, out: list[Problem]
) -> None:
    values = requirement.values or []
    if requirement.operator not in ("In", "NotIn"):
        out.append(invalid(path / "operator", requirement.operator, NOT_AN_OPERATOR))
    elif len(values) != 1:
        told = (
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        )
        out.append(required(path / "values", told))
    if requirement.key != "metadata.name":
        out.append(invalid(path / "key", requirement.key, "not a valid field selector key"))
        return
    for index, value in enumerate(values):
        if messages := names.dns1123_subdomain(value):
            out += all_invalid((path / "values")[index], value, messages)


def _check_pod_affinity(
    affinity: PodAffinity | PodAntiAffinity, path: Path, out: list[Problem]
) -> None:
    for index, term in enumerate(affinity.requiredDuringSchedulingIgnoredDuringExecution or ()):
        _check_pod_term(term, (path / REQUIRED)[index], out)
    for index, weighted in enumerate(
        affinity.preferredDuringSchedulingIgnoredDuringExecution or ()
    ):
        place = (path / PREFERRED)[index]
        if not 1 <= weighted.weight <= 100:
            out.append(invalid(place / "weight", weighted.weight, WEIGHT))
        _check_pod_term(weighted.podAffinityTerm, place / "podAffinityTerm", out)


def _check_pod_term(term: PodAffinityTerm, path: Path, out: list[Problem]) -> None:
    check_selector(term.labelSelector, path / "labelSelector", out)
    check_selector(term.namespaceSelector, path / "namespaceSelector", out)
    for name in term.namespaces or ():
        if messages := names.dns1123_label(name):
            out += all_invalid(path / "namespace", name, messages)
    _check_label_keys(term, path, out)
    if not term.topologyKey:
        out.append(required(path / "topologyKey", "can not be empty"))
    check_label_key(term.topologyKey, path, "topologyKey", out)


def _check_label_keys(term: PodAffinityTerm, path: Path, out: list[Problem]) -> None:
    matched = term.matchLabelKeys or []
    mismatched = term.mismatchLabelKeys or []
    for field, keys in (("matchLabelKeys", matched), ("mismatchLabelKeys", mismatched)):
        if keys and term.labelSelector is None:
            out.append(forbidden(path / field, NO_SELECTOR))
            continue
        for index, key in enumerate(keys):
            if messages := names.qualified_name(key):
                out += all_invalid((path / field)[index], key, messages)
    if matched and term.labelSelector is not None:
        _check_key_once(matched, term.labelSelector, path, out)
    for index, key in enumerate(matched):
        if key in mismatched:
            told = "exists in both matchLabelKeys and mismatchLabelKeys"
            out.append(invalid((path / "matchLabelKeys")[index], key, told))


def _check_key_once(
    matched: list[str], selector: LabelSelector, path: Path, out: list[Problem]
) -> None:
    """A key of matchLabelKeys stands once in the selector: admission has put it there."""
    seen = set(selector.matchLabels or ())
    for requirement in selector.matchExpressions or ():
        if requirement.key in matched and requirement.key in seen:
            told = "exists in both matchLabelKeys and labelSelector"
            out.append(invalid(path[matched.index(requirement.key)], requirement.key, told))
        seen.add(requirement.key)


def check_tolerations(tolerations: list[Toleration], path: Path, out: list[Problem]) -> None:
    """What taints a pod puts up with."""
    for index, toleration in enumerate(tolerations):
        if toleration.key:
            check_label_key(toleration.key, path[index], "key", out)
        operator = toleration.operator or ""
        if not toleration.key and operator != "Exists":
            told = (
                "operator must be Exists when `key` is empty, which means "
                '"match all values and all keys"'
            )
            out.append(invalid(path[index] / "operator", operator, told))
        if toleration.tolerationSeconds is not None and toleration.effect != "NoExecute":
            told = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            out.append(invalid(path[index] / "effect", toleration.effect or "", told))
        _check_toleration_value(toleration, operator, path, index, out)
        if toleration.effect and toleration.effect not in EFFECTS:
            out.append(not_supported(path[index] / "effect", toleration.effect, EFFECTS))


def _check_toleration_value(
    toleration: Toleration, operator: str, path: Path, index: int, out: list[Problem]
) -> None:
    value = toleration.value or ""
    if operator in ("", "Equal"):
        if messages := names.label_value(value):
            out.append(invalid(path[index] / "operator", value, ";".join(messages)))
    elif operator == "Exists":
        if value:
            told = "value must be empty when `operator` is 'Exists'"
            out.append(invalid(path[index] / "operator", value, told))
    else:
        known = ("Equal", "Exists")
        out.append(not_supported(path[index] / "operator", operator, known))


def check_spreading(
    constraints: list[TopologySpreadConstraint], path: Path, out: list[Problem]
) -> None:
    """How evenly pods are to be spread."""
    for index, constraint in enumerate(constraints):
        place = path[index]
        action = constraint.whenUnsatisfiable
        if constraint.maxSkew <= 0:
            told = "must be greater than zero"
            out.append(invalid(place / "maxSkew", constraint.maxSkew, told))
        if not constraint.topologyKey:
            out.append(required(place / "topologyKey", "can not be empty"))
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            known = ("DoNotSchedule", "ScheduleAnyway")
            out.append(not_supported(place / "whenUnsatisfiable", action, known))
        pair = (constraint.topologyKey, action)
        if any((c.topologyKey, c.whenUnsatisfiable) == pair for c in constraints[index + 1 :]):
            where = place / "{topologyKey, whenUnsatisfiable}"
            out.append(duplicate(where, f"{{{pair[0]}, {pair[1]}}}"))
        _check_domains(constraint, place, out)
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            policy = getattr(constraint, field)
            if policy is not None and policy not in ("Honor", "Ignore"):
                out.append(not_supported(place / field, policy, ("Honor", "Ignore")))
        if constraint.matchLabelKeys:
            _check_spread_keys(constraint, place / "matchLabelKeys", out)
        check_selector(constraint.labelSelector, place / "labelSelector", out)


def _check_domains(constraint: TopologySpreadConstraint, path: Path, out: list[Problem]) -> None:
    domains = constraint.minDomains
    if domains is None:
        return
    if domains <= 0:
        out.append(invalid(path / "minDomains", domains, "must be greater than zero"))
    action = constraint.whenUnsatisfiable
    if action != "DoNotSchedule":
        told = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        out.append(invalid(path / "minDomains", domains, told))


def _check_spread_keys(
    constraint: TopologySpreadConstraint, path: Path, out: list[Problem]
) -> None:
    selector = constraint.labelSelector
    if selector is None:
        out.append(forbidden(path, NO_SELECTOR))
        known: set[str] = set()
    else:
        known = {*(selector.matchLabels or ()), *(e.key for e in selector.matchExpressions or ())}
    for index, key in enumerate(constraint.matchLabelKeys or ()):
        if messages := names.qualified_name(key):
            out += all_invalid(path[index], key, messages)
        if key in known:
            told = "exists in both matchLabelKeys and labelSelector"
            out.append(invalid(path[index], key, told))
