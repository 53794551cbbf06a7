"""What the kinds of flow control must be.

In:   a FlowSchema or PriorityLevelConfiguration.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/flowcontrol/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import names
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kybern.api.meta.validation import SPEC, check_not_negative
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.flowcontrol.v1 import (
        FlowSchema,
        LimitedPriorityLevelConfiguration,
        NonResourcePolicyRule,
        PolicyRulesWithSubjects,
        PriorityLevelConfiguration,
        QueuingConfiguration,
        ResourcePolicyRule,
        Subject,
    )

PRECEDENCE_MAX: Final = 10000
QUEUES_MAX: Final = 10_000_000
DISTINGUISHERS: Final = ("ByNamespace", "ByUser")
VERBS: Final = frozenset(
    (
        "get", "list", "create", "update", "delete", "deletecollection", "patch", "watch",
        "proxy", "*",
    )
)  # fmt: skip
NON_RESOURCE_VERBS: Final = frozenset(
    ("get", "head", "post", "put", "patch", "delete", "options", "*")
)
SUBJECTS: Final = {"User": "user", "Group": "group", "ServiceAccount": "serviceAccount"}


def check_flow_schema(obj: FlowSchema, out: list[Problem]) -> None:
    """Which requests belong to which priority level."""
    spec = obj.spec
    precedence = spec.matchingPrecedence or 0
    place = SPEC / "matchingPrecedence"
    if not 1 <= precedence <= PRECEDENCE_MAX:
        if precedence > PRECEDENCE_MAX:
            told = f"must not be greater than {PRECEDENCE_MAX}"
        else:
            told = "must be a positive value"
        out.append(invalid(place, precedence, told))
    if precedence == 1 and obj.metadata.name != "exempt":
        told = "only the schema named 'exempt' may have matchingPrecedence 1"
        out.append(invalid(place, precedence, told))
    if spec.distinguisherMethod is not None:
        kind = spec.distinguisherMethod.type
        if kind not in DISTINGUISHERS:
            where = SPEC / "distinguisherMethod" / "type"
            out.append(not_supported(where, kind, DISTINGUISHERS))
    name, where = spec.priorityLevelConfiguration.name, SPEC / "priorityLevelConfiguration" / "name"
    if not name:
        out.append(required(where, "must reference a priority level"))
    elif messages := names.dns1123_subdomain(name):
        out += all_invalid(where, name, messages)
    for index, rule in enumerate(spec.rules or ()):
        _check_rules(rule, (SPEC / "rules")[index], out)


def _check_rules(rule: PolicyRulesWithSubjects, path: Path, out: list[Problem]) -> None:
    if not rule.subjects:
        out.append(required(path / "subjects", "subjects must contain at least one value"))
    for index, subject in enumerate(rule.subjects):
        _check_subject(subject, (path / "subjects")[index], out)
    if not rule.resourceRules and not rule.nonResourceRules:
        told = "at least one of resourceRules and nonResourceRules has to be non-empty"
        out.append(required(path, told))
    for index, resource in enumerate(rule.resourceRules or ()):
        _check_resource_rule(resource, (path / "resourceRules")[index], out)
    for index, other in enumerate(rule.nonResourceRules or ()):
        _check_non_resource_rule(other, (path / "nonResourceRules")[index], out)


def _check_subject(subject: Subject, path: Path, out: list[Problem]) -> None:
    if subject.kind not in SUBJECTS:
        known = ("Group", "ServiceAccount", "User")
        out.append(not_supported(path / "kind", subject.kind, known))
        return
    for kind, field in SUBJECTS.items():
        value = getattr(subject, field)
        if kind != subject.kind:
            if value is not None:
                told = f"{field} is forbidden when subject kind is not '{kind}'"
                out.append(forbidden(path / field, told))
        elif value is None:
            told = f"{field} is required when subject kind is '{kind}'"
            out.append(required(path / field, told))
        elif not value.name:
            out.append(required(path / field / "name"))


def _check_star(values: list[str], path: Path, noun: str, out: list[Problem]) -> None:
    if not values:
        out.append(required(path, f"{noun} must contain at least one value"))
    elif "*" in values and len(values) > 1:
        told = f"if '*' is present, must not specify other {noun}"
        out.append(invalid(path, values, told))


def _check_verbs(verbs: list[str], known: frozenset[str], path: Path, out: list[Problem]) -> None:
    _check_star(verbs, path, "verbs", out)
    if not known.issuperset(verbs):
        out.append(not_supported(path, verbs, sorted(known)))


def _check_resource_rule(rule: ResourcePolicyRule, path: Path, out: list[Problem]) -> None:
    _check_verbs(rule.verbs, VERBS, path / "verbs", out)
    _check_star(rule.apiGroups, path / "apiGroups", "api groups", out)
    _check_star(rule.resources, path / "resources", "resources", out)
    namespaces = rule.namespaces or []
    if not namespaces and not rule.clusterScope:
        told = "resource rules that are not cluster scoped must supply at least one namespace"
        out.append(required(path / "namespaces", told))
    elif namespaces:
        _check_star(namespaces, path / "namespaces", "namespaces", out)
        for index, name in enumerate(namespaces):
            if name != "*" and (messages := names.dns1123_label(name)):
                out += all_invalid((path / "namespaces")[index], name, messages)


def _check_non_resource_rule(rule: NonResourcePolicyRule, path: Path, out: list[Problem]) -> None:
    _check_verbs(rule.verbs, NON_RESOURCE_VERBS, path / "verbs", out)
    _check_star(rule.nonResourceURLs, path / "nonResourceURLs", "non-resource URLs", out)
    for index, url in enumerate(rule.nonResourceURLs):
        if url != "*" and not url.startswith("/"):
            place = (path / "nonResourceURLs")[index]
            out.append(invalid(place, url, "must start with slash"))


def check_priority_level(obj: PriorityLevelConfiguration, out: list[Problem]) -> None:
    """How much of the server a level may take."""
    spec = obj.spec
    if spec.type == "Exempt":
        if spec.limited is not None:
            told = "must be nil if the type is not Limited"
            out.append(forbidden(SPEC / "limited", told))
        if spec.exempt is not None:
            _check_shares(spec.exempt, SPEC / "exempt", out)
    elif spec.type == "Limited":
        if spec.exempt is not None:
            told = "must be nil if the type is Limited"
            out.append(forbidden(SPEC / "exempt", told))
        if spec.limited is None:
            out.append(required(SPEC / "limited", "must not be empty when type is Limited"))
        else:
            _check_limited(spec.limited, SPEC / "limited", out)
    else:
        out.append(not_supported(SPEC / "type", spec.type, ("Exempt", "Limited")))


def _check_shares(part: Any, path: Path, out: list[Problem]) -> None:
    shares = part.nominalConcurrencyShares
    check_not_negative(shares, path, "nominalConcurrencyShares", out)
    percent = part.lendablePercent
    if percent is not None and not 0 <= percent <= 100:
        told = names.between(0, 100)
        out.append(invalid(path / "lendablePercent", percent, told))


def _check_limited(part: LimitedPriorityLevelConfiguration, path: Path, out: list[Problem]) -> None:
    _check_shares(part, path, out)
    check_not_negative(part.borrowingLimitPercent, path, "borrowingLimitPercent", out)
    response = part.limitResponse
    place = path / "limitResponse"
    if response is None or response.type not in ("Queue", "Reject"):
        kind = response.type if response is not None else ""
        out.append(not_supported(place / "type", kind, ("Queue", "Reject")))
    elif response.type == "Reject":
        if response.queuing is not None:
            told = "must be nil if limited.limitResponse.type is not Limited"
            out.append(forbidden(place / "queuing", told))
    elif response.queuing is None:
        told = "must not be empty if limited.limitResponse.type is Limited"
        out.append(required(place / "queuing", told))
    else:
        _check_queuing(response.queuing, place / "queuing", out)


def _check_queuing(queuing: QueuingConfiguration, path: Path, out: list[Problem]) -> None:
    for field in ("queueLengthLimit", "queues", "handSize"):
        number = getattr(queuing, field) or 0
        if number <= 0:
            out.append(invalid(path / field, number, "must be positive"))
    queues, hand = queuing.queues or 0, queuing.handSize or 0
    if queues > QUEUES_MAX:
        told = f"must not be greater than {QUEUES_MAX}"
        out.append(invalid(path / "queues", queues, told))
    if hand > queues:
        told = f"should not be greater than queues ({queues})"
        out.append(invalid(path / "handSize", hand, told))


VALIDATORS: Final[dict[str, Rules]] = {
    "FlowSchema": rules(check_flow_schema, namespaced=False),
    "PriorityLevelConfiguration": rules(check_priority_level, namespaced=False),
}
