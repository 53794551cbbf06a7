"""Whether the expressions of policies and match conditions can be used.

In:   an object that passed the other checks, or not.
Out:  problems, with the compiler's words.
By:   `validation`. Facts: upstream's `pkg/apis/admissionregistration/validation`.

This module brings the language along, so it is imported when the first expression is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.expressions import admission
from kybern.api.expressions.admission import Returns, Speech, Unusable
from kybern.api.field_path import Path, Problem, invalid
from kybern.lib.cel.types import DYN, Type

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.admissionregistration import v1
    from kybern.lib.cel.environment import Environment

    Policy = v1.ValidatingAdmissionPolicy | v1.MutatingAdmissionPolicy


def check_conditions(
    conditions: Iterable[v1.MatchCondition], place: Path, out: list[Problem], *, params: bool
) -> None:
    """Match conditions, of policies and of webhooks."""
    where = admission.environment(Speech(params=params))
    for index, each in enumerate(conditions):
        _check(where, each.expression, admission.CONDITION, place[index] / "expression", out)


class Composed:
    """The environments of one policy; its variables are known to what comes after them."""

    def __init__(self, policy: Policy, *, mutation: bool = False) -> None:
        self._params = policy.spec.paramKind is not None
        self._mutation = mutation
        self._fields: dict[str, Type] = {}

    def environment(self, *, authorizer: bool = True) -> Environment:
        """Return an environment in which the variables so far are known."""
        speech = Speech(self._params, authorizer, self._mutation)
        return admission.composed(speech, self._fields, admission.variables(speech))

    def add(self, variables: Iterable[v1.Variable], place: Path, out: list[Problem]) -> None:
        """Check the variables and make them known."""
        where = self.environment()
        for index, each in enumerate(variables):
            found = _check(
                where, each.expression, admission.ANYTHING, place[index] / "expression", out
            )
            self._fields[each.name] = found


def check_validating(policy: v1.ValidatingAdmissionPolicy, out: list[Problem]) -> None:
    """Variables, validations, their messages, and annotations."""
    spec, top = policy.spec, Path("spec")
    composed = Composed(policy)
    composed.add(spec.variables or (), top / "variables", out)
    where, plain = composed.environment(), composed.environment(authorizer=False)
    for index, validation in enumerate(spec.validations or ()):
        place = (top / "validations")[index]
        _check(where, validation.expression, admission.CONDITION, place / "expression", out)
        if message := validation.messageExpression:
            _check(plain, message, admission.MESSAGE, place / "messageExpression", out)
    for index, each in enumerate(spec.auditAnnotations or ()):
        place = (top / "auditAnnotations")[index] / "valueExpression"
        _check(where, each.valueExpression, admission.ANNOTATION, place, out)


def check_mutating(policy: v1.MutatingAdmissionPolicy, out: list[Problem]) -> None:
    """Variables and mutations."""
    spec, top = policy.spec, Path("spec")
    composed = Composed(policy, mutation=True)
    composed.add(spec.variables or (), top / "variables", out)
    where = composed.environment()
    for index, mutation in enumerate(spec.mutations or ()):
        place = (top / "mutations")[index]
        if mutation.applyConfiguration is not None:
            text = mutation.applyConfiguration.expression or ""
            _check(where, text, admission.OBJECT, place / "applyConfiguration" / "expression", out)
        if mutation.jsonPatch is not None:
            text = mutation.jsonPatch.expression or ""
            _check(where, text, admission.PATCH, place / "jsonPatch" / "expression", out)


def _check(
    where: Environment, text: str, returns: Returns, place: Path, out: list[Problem]
) -> Type:
    """Return the type of an expression; anything when it has none."""
    if not text.strip():
        return DYN
    try:
        return admission.compiled(where, text, returns).type
    except Unusable as error:
        out.append(invalid(place, text, str(error)))
        return DYN
