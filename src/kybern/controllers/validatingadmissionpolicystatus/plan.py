"""Do a policy's expressions make sense for the objects it is about?

In:   a ValidatingAdmissionPolicy, and what is known of kinds that are not built in.
Out:  ExpressionWarnings, in upstream's words.
By:   validatingadmissionpolicystatus.controller. Pure. Facts: upstream's
      `policy/validating/typechecking.go`.

Kinds nobody knows are not checked.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from kybern.api.admissionregistration.v1 import ExpressionWarning
from kybern.api.expressions import admission, schemas
from kybern.api.expressions.admission import Speech
from kybern.api.scheme import SCHEME
from kybern.lib.cel.source import CompileError
from kybern.lib.cel.types import DYN, ObjectType, Type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.admissionregistration.v1 import NamedRuleWithOperations
    from kybern.api.admissionregistration.v1 import ValidatingAdmissionPolicy as Policy
    from kybern.lib.cel.environment import Environment

MOST_KINDS = 10


class Known(NamedTuple):
    """A kind and the type of its objects."""

    group: str
    version: str
    kind: str
    plural: str
    type: ObjectType


def warnings(policy: Policy, learned: Iterable[Known] = ()) -> list[ExpressionWarning]:
    """Return what is wrong, by expression."""
    found: list[ExpressionWarning] = []
    customs = list(learned)
    where = [(kind, _environment(policy, kind, customs)) for kind in kinds(policy, customs)]
    for index, validation in enumerate(policy.spec.validations or ()):
        for field in ("expression", "messageExpression"):
            text = getattr(validation, field)
            told = [_checked(text, *each) for each in where] if text else []
            if any(told):
                place = f"spec.validations[{index}].{field}"
                warning = "\n".join(each for each in told if each)
                found.append(ExpressionWarning(fieldRef=place, warning=warning))
    return found


def kinds(policy: Policy, learned: Iterable[Known] = ()) -> list[Known]:
    """Return the kinds that the policy names, as long as it does not say "all"."""
    customs = {(each.group, each.version, each.plural): each for each in learned}
    found: dict[tuple[str, str, str], Known] = {}
    for path in _resources(policy):
        known = _built_in(*path) or customs.get(path)
        if known is not None and len(found) < MOST_KINDS:
            found[known.group, known.version, known.kind] = known
    return [found[key] for key in sorted(found)]


def unknown(policy: Policy) -> list[tuple[str, str]]:
    """Return the groups and versions of which somebody else has to know."""
    found = {path[:2] for path in _resources(policy) if SCHEME.by_resource(*path) is None}
    asked = policy.spec.paramKind
    if asked is not None and SCHEME.by_kind(asked.apiVersion or "", asked.kind or "") is None:
        group, _, version = (asked.apiVersion or "").rpartition("/")
        found.add((group, version))
    return sorted(found)


def _built_in(group: str, version: str, plural: str) -> Known | None:
    kind = SCHEME.by_resource(group, version, plural)
    if kind is None:
        return None
    return Known(group, version, kind.kind, plural, schemas.type_of(kind.struct))


def _resources(policy: Policy) -> list[tuple[str, str, str]]:
    match = policy.spec.matchConstraints
    rules = (match.resourceRules if match is not None else None) or ()
    return [path for rule in rules for path in _named(rule)]


def _named(rule: NamedRuleWithOperations) -> list[tuple[str, str, str]]:
    groups, versions = sorted(rule.apiGroups or ()), sorted(rule.apiVersions or ())
    if any("*" in each for each in (*groups, *versions)):
        return []
    plurals = sorted(each for each in rule.resources or () if not {"*", "/"} & set(each))
    return list(product(groups, versions, plurals))


def _environment(policy: Policy, kind: Known, customs: list[Known]) -> Environment:
    """Return what expressions see when the object is of a kind."""
    params = _params(policy, customs)
    speech = Speech(params=params is not None)
    base = admission.variables(speech, kind.type, params or DYN)
    fields: dict[str, Type] = {}
    where = admission.composed(speech, fields, base)
    for variable in policy.spec.variables or ():
        try:
            fields[variable.name] = where.check(variable.expression).type
        except CompileError:
            fields[variable.name] = DYN  # nobody warns of variables
    return where


def _params(policy: Policy, customs: list[Known]) -> Type | None:
    asked = policy.spec.paramKind
    if asked is None:
        return None
    built_in = SCHEME.by_kind(asked.apiVersion or "", asked.kind or "")
    if built_in is not None:
        return schemas.type_of(built_in.struct)
    group, _, version = (asked.apiVersion or "").rpartition("/")
    wanted = (group, version, asked.kind)
    return next((each.type for each in customs if each[:3] == wanted), None)


def _checked(text: str, kind: Known, where: Environment) -> str:
    try:
        where.check(text)
    except CompileError as error:
        return f"{kind.group}/{kind.version}, Kind={kind.kind}: {error}\n"
    return ""
