"""Do a policy's expressions make sense for the objects it is about?

In:   a ValidatingAdmissionPolicy.
Out:  ExpressionWarnings, in upstream's words.
By:   validatingadmissionpolicystatus.controller. Pure. Facts: upstream's
      `policy/validating/typechecking.go`.

Kinds that are not built in have no schema here and are not checked.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from kybern.api.admissionregistration.v1 import ExpressionWarning
from kybern.api.expressions import admission, schemas
from kybern.api.expressions.admission import Speech
from kybern.api.scheme import SCHEME
from kybern.lib.cel.source import CompileError
from kybern.lib.cel.types import DYN, Type

if TYPE_CHECKING:
    from kybern.api.admissionregistration.v1 import NamedRuleWithOperations
    from kybern.api.admissionregistration.v1 import ValidatingAdmissionPolicy as Policy
    from kybern.api.scheme import Kind
    from kybern.lib.cel.environment import Environment

MOST_KINDS = 10


def warnings(policy: Policy) -> list[ExpressionWarning]:
    """Return what is wrong, by expression."""
    found: list[ExpressionWarning] = []
    where = [(kind, _environment(policy, kind)) for kind in kinds(policy)]
    for index, validation in enumerate(policy.spec.validations or ()):
        for field in ("expression", "messageExpression"):
            text = getattr(validation, field)
            told = [_checked(text, *each) for each in where] if text else []
            if any(told):
                place = f"spec.validations[{index}].{field}"
                warning = "\n".join(each for each in told if each)
                found.append(ExpressionWarning(fieldRef=place, warning=warning))
    return found


def kinds(policy: Policy) -> list[Kind]:
    """Return the kinds that the policy names, as long as it does not say "all"."""
    found: dict[tuple[str, str, str], Kind] = {}
    match = policy.spec.matchConstraints
    for rule in (match.resourceRules if match is not None else None) or ():
        for group, version, plural in _named(rule):
            kind = SCHEME.by_resource(group, version, plural)
            if kind is not None and len(found) < MOST_KINDS:
                found[kind.group, kind.version, kind.kind] = kind
    return [found[key] for key in sorted(found)]


def _named(rule: NamedRuleWithOperations) -> list[tuple[str, str, str]]:
    groups, versions = sorted(rule.apiGroups or ()), sorted(rule.apiVersions or ())
    if any("*" in each for each in (*groups, *versions)):
        return []
    plurals = sorted(each for each in rule.resources or () if not {"*", "/"} & set(each))
    return list(product(groups, versions, plurals))


def _environment(policy: Policy, kind: Kind) -> Environment:
    """Return what expressions see when the object is of a kind."""
    params = None
    if (asked := policy.spec.paramKind) is not None:
        params = SCHEME.by_kind(asked.apiVersion or "", asked.kind or "")
    speech = Speech(params=params is not None)
    held = DYN if params is None else schemas.type_of(params.struct)
    base = admission.variables(speech, schemas.type_of(kind.struct), held)
    fields: dict[str, Type] = {}
    where = admission.composed(speech, fields, base)
    for variable in policy.spec.variables or ():
        try:
            fields[variable.name] = where.check(variable.expression).type
        except CompileError:
            fields[variable.name] = DYN  # nobody warns of variables
    return where


def _checked(text: str, kind: Kind, where: Environment) -> str:
    try:
        where.check(text)
    except CompileError as error:
        return f"{kind.group}/{kind.version}, Kind={kind.kind}: {error}\n"
    return ""
