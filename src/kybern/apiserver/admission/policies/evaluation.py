"""The expressions of one policy: compiled once, evaluated for each request, within a budget.

In:   a policy; a Subject and parameters.
Out:  values; `Failed` with upstream's words, `OutOfBudget`.
By:   validating, mutating. Facts: upstream's `admission/plugin/cel/{condition,composition}.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.expressions import admission
from kybern.api.expressions.admission import BUDGET, MATCH_BUDGET, PER_CALL, Speech, Unusable
from kybern.lib.cel.types import DYN, Type
from kybern.lib.cel.values import CostExceeded, EvalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.admissionregistration import v1
    from kybern.api.expressions.admission import Returns
    from kybern.apiserver.admission.policies.subjects import Subject
    from kybern.lib.cel.environment import Program

    Policy = v1.ValidatingAdmissionPolicy | v1.MutatingAdmissionPolicy


class Failed(Exception):  # a verdict about one expression
    """An expression has no value."""


class OutOfBudget(Exception):
    """The expressions of a policy cost too much together."""

    def __init__(self) -> None:
        super().__init__(
            "validation failed due to running out of cost budget, no further validation rules will "
            "be run"
        )


class Budget:
    """What may still be spent."""

    __slots__ = ("left",)

    def __init__(self, left: int = BUDGET) -> None:
        self.left = left

    def spend(self, cost: int) -> None:
        """Pay.

        Raises:
            OutOfBudget.
        """
        self.left -= cost
        if self.left < 0:
            raise OutOfBudget


class Expression:
    """One expression, which may turn out not to compile."""

    __slots__ = ("problem", "program", "text")

    def __init__(self, text: str, program: Program | None, problem: str = "") -> None:
        self.text = text
        self.program = program
        self.problem = problem

    def evaluate(self, scope: Scope) -> Any:
        """Return the value.

        Raises:
            Failed, OutOfBudget.
        """
        if self.program is None:
            raise Failed(f"compilation error: {self.problem}")
        try:
            value, cost = self.program.evaluate(scope, PER_CALL)
        except EvalError as error:
            scope.budget.spend(getattr(error, "cost", 0))
            raise Failed(f"expression '{self.text}' resulted in error: {error}") from None
        except CostExceeded as error:
            scope.budget.spend(PER_CALL)
            raise Failed(f"expression '{self.text}' resulted in error: {error}") from None
        scope.budget.spend(cost)
        return value


class Scope(dict[str, Any]):
    """The variables of one evaluation: those of the request, parameters, and the policy's own."""

    def __init__(
        self, subject: Subject, param: Any, variables: dict[str, Expression], budget: Budget
    ) -> None:
        super().__init__()
        self._subject = subject
        self.budget = budget
        self._variables = variables
        self["params"] = param

    def __missing__(self, name: str) -> Any:
        if name == "variables":
            # Made when it is needed: it knows this scope, and circles are work for the collector.
            found = self[name] = Variables(self, self._variables)
            return found
        return self._subject[name]


class Variables(dict[str, Any]):
    """`variables`: each is evaluated when it is first asked for."""

    def __init__(self, scope: Scope, expressions: dict[str, Expression]) -> None:
        super().__init__()
        self._scope = scope
        self._expressions = expressions

    def __contains__(self, name: object) -> bool:
        return name in self._expressions

    def __missing__(self, name: str) -> Any:
        expression = self._expressions.get(name)
        if expression is None:
            raise KeyError(name)
        try:
            value = self[name] = expression.evaluate(self._scope)
        except Failed as error:
            program = expression.program
            why = str(error)
            if program is not None:
                why = why.removeprefix(f"expression '{expression.text}' resulted in error: ")
            raise EvalError(f'composited variable "{name}" fails to evaluate: {why}') from None
        return value


class Compiled:
    """What is common to policies: match conditions, variables, and how to compile the rest."""

    def __init__(self, policy: Policy, *, mutation: bool = False) -> None:
        spec = policy.spec
        self.fails = spec.failurePolicy != "Ignore"
        self._params = spec.paramKind is not None
        self._mutation = mutation
        self._fields: dict[str, Type] = {}
        self.variables: dict[str, Expression] = {}
        for each in spec.variables or ():
            made = self.compile(each.expression, admission.ANYTHING)
            self.variables[each.name] = made
            self._fields[each.name] = DYN if made.program is None else made.program.type
        self._conditions = [
            self.compile(each.expression, admission.CONDITION)
            for each in spec.matchConditions or ()
        ]

    def compile(self, text: str, returns: Returns, *, authorizer: bool = True) -> Expression:
        """Compile an expression in which the variables so far are known."""
        speech = Speech(self._params, authorizer, self._mutation)
        where = admission.composed(speech, self._fields, admission.variables(speech))
        try:
            return Expression(text, admission.compiled(where, text, returns))
        except Unusable as error:
            return Expression(text, None, str(error))

    def scope(self, subject: Subject, param: Any, budget: Budget) -> Scope:
        """Return what the expressions see."""
        return Scope(subject, param, self.variables, budget)

    def applies(self, subject: Subject, param: Any) -> bool:
        """Return whether all match conditions hold; one that does not hides what went wrong.

        Raises:
            Failed: some have no value, and the policy is to fail then.
        """
        if not self._conditions:
            return True
        scope = self.scope(subject, param, Budget(MATCH_BUDGET))
        problems: list[str] = []
        for each in self._conditions:
            try:
                if each.evaluate(scope) is False:
                    return False
            except Failed as error:
                problems.append(str(error))
            except OutOfBudget as error:
                problems = [str(error)]
                break
        if problems and self.fails:
            raise Failed(_joined(problems))
        return not problems


def _joined(problems: Iterable[str]) -> str:
    texts = list(dict.fromkeys(problems))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
