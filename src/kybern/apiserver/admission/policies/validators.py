"""What one ValidatingAdmissionPolicy says about one object.

In:   a policy; then subjects and parameters.
Out:  Verdicts: failed validations with their messages, audit annotations.
By:   validating. Facts: upstream's `policy/validating/validator.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api.expressions import admission
from kybern.apiserver.admission.policies.evaluation import (
    Budget,
    Compiled,
    Expression,
    Failed,
    OutOfBudget,
)

if TYPE_CHECKING:
    from kybern.api.admissionregistration import v1
    from kybern.apiserver.admission.policies.evaluation import Scope
    from kybern.apiserver.admission.policies.subjects import Subject


class Decision(NamedTuple):
    """A validation that failed."""

    message: str
    reason: str = ""
    place: int = 0


class Verdict(NamedTuple):
    """What came out; `broken` has what went wrong with annotations."""

    failed: list[Decision]
    annotations: list[tuple[str, str]]
    broken: list[str]


class Rule(NamedTuple):
    """One validation."""

    expression: Expression
    message: Expression | None
    spec: v1.Validation


class Validator(Compiled):
    """A compiled policy."""

    def __init__(self, policy: v1.ValidatingAdmissionPolicy) -> None:
        super().__init__(policy)
        self._rules = [self._rule(each) for each in policy.spec.validations or ()]
        self._annotations = [
            (each.key, self.compile(each.valueExpression, admission.ANNOTATION))
            for each in policy.spec.auditAnnotations or ()
        ]

    def _rule(self, spec: v1.Validation) -> Rule:
        message = spec.messageExpression
        return Rule(
            self.compile(spec.expression, admission.CONDITION),
            self.compile(message, admission.MESSAGE, authorizer=False) if message else None,
            spec,
        )

    def validate(self, subject: Subject, param: Any) -> Verdict:
        """Evaluate everything."""
        verdict = Verdict([], [], [])
        try:
            if not self.applies(subject, param):
                return verdict
            scope = self.scope(subject, param, Budget())
            for index, rule in enumerate(self._rules):
                decision = self._decide(index, rule, scope)
                if decision is not None:
                    verdict.failed.append(decision)
            if self._annotations:
                self._annotate(self.scope(subject, param, Budget()), verdict)
        except (Failed, OutOfBudget) as error:
            return Verdict([Decision(str(error))] if self.fails else [], [], [])
        return verdict

    def _decide(self, index: int, rule: Rule, scope: Scope) -> Decision | None:
        try:
            if rule.expression.evaluate(scope) is True:
                return None
        except Failed as error:
            return Decision(str(error), "", index) if self.fails else None
        return Decision(self._message(rule, scope), rule.spec.reason or "Invalid", index)

    def _message(self, rule: Rule, scope: Scope) -> str:
        message = ""
        if rule.message is not None:
            try:
                message = rule.message.evaluate(scope).strip()
            except Failed:
                message = ""  # upstream logs it and goes on to the next best
            except OutOfBudget as error:
                return f"failed messageExpression: {error}"
            if len(message.encode()) > admission.LONGEST_MESSAGE or "\n" in message:
                message = ""
        message = message or (rule.spec.message or "").strip()
        return message or f"failed expression: {rule.spec.expression.strip()}"

    def _annotate(self, scope: Scope, verdict: Verdict) -> None:
        for key, expression in self._annotations:
            try:
                value = expression.evaluate(scope)
            except Failed as error:
                if self.fails:
                    verdict.broken.append(str(error))
                continue
            if value is not None and (text := value.strip()):
                verdict.annotations.append((key, text))
