"""ValidatingAdmissionPolicies: conditions that objects must meet.

In:   an operation as it will be stored.
Out:  a refusal with the first failed validation, warnings, log lines.
By:   admission.plugins. Facts: upstream's `policy/validating/{dispatcher,validator}.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import codec, errors
from kybern.api.admissionregistration.v1 import (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)
from kybern.apiserver.admission.policies import matching
from kybern.apiserver.admission.policies.hooks import Hooks
from kybern.apiserver.admission.policies.params import Misconfigured, Params, unknown
from kybern.apiserver.admission.policies.refusals import refusal
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.apiserver.admission.policies.hooks import Binding, Hook
    from kybern.apiserver.admission.policies.subjects import Subject
    from kybern.apiserver.admission.policies.validators import Decision, Validator
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.review import Review

log = logs.get("apiserver.policies")

LONGEST_ANNOTATION = 10 * 1024
REASONS: dict[str, type[errors.ApiError]] = {
    "Forbidden": errors.Forbidden, "Unauthorized": errors.Unauthorized,
    "RequestEntityTooLarge": errors.RequestEntityTooLarge, "Invalid": errors.Invalid,
}  # fmt: skip


class Denial(NamedTuple):
    """Why a request is refused."""

    text: str
    reason: str = "Invalid"


class ValidatingPolicies:
    """Asks the policies."""

    def __init__(self, services: Services) -> None:
        self._around = matching.Surroundings(services)
        self._params = Params(services)
        self._hooks: Hooks[Validator] = Hooks(
            services, self._around,
            (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding), _validator,
        )  # fmt: skip

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want everything but what policies themselves are made of."""
        del subresource, operation
        return matching.concerned(group, plural)

    def validate(self, review: Review) -> None:
        """Refuse what a policy denies.

        Raises:
            ApiError: with the policy's reason.
        """
        if not self._hooks.current():
            return
        denials: list[Denial] = []
        subjects: dict[Resource, Subject] = {}
        for hook, wanted in self._hooks.concerned(review):
            subject = subjects.get(wanted)
            if subject is None:
                from kybern.apiserver.admission.policies.subjects import Subject

                subject = subjects[wanted] = Subject(review, wanted, self._around.namespaces)
            self._ask(hook, subject, denials)
        if denials:
            first = denials[0]
            raise refusal(review, first.text, REASONS.get(first.reason, errors.Invalid))

    def _ask(self, hook: Hook[Validator], subject: Subject, denials: list[Denial]) -> None:
        kind = hook.policy.spec.paramKind
        if kind is not None and self._params.resource(kind) is None:
            if hook.compiled.fails:
                why = f"failed to configure policy: {unknown(kind)}"
                denials.append(Denial(f"{_named(hook)} denied request: {why}"))
            return
        annotations: dict[str, list[str]] = {}
        for binding in hook.bindings:
            if binding.concerns(subject.review):
                self._ask_bound(hook, binding, subject, denials, annotations)
        for key, values in annotations.items():
            told = ", ".join(values)
            log.info("audit annotation", key=f"{hook.name}/{key}", value=told)

    def _ask_bound(
        self,
        hook: Hook[Validator],
        binding: Binding,
        subject: Subject,
        denials: list[Denial],
        annotations: dict[str, list[str]],
    ) -> None:
        review = subject.review
        space = review.namespace
        if review.resource.kind.kind == "Namespace":
            space = review.name
        try:
            params = self._params.collect(hook.policy.spec.paramKind, binding.spec.paramRef, space)
        except Misconfigured as error:
            if hook.compiled.fails:
                why = f"failed to configure binding: {error}"
                denials.append(_denial(hook, binding, why))
            return
        for param in params:
            result = hook.compiled.validate(subject, param)
            for decision in result.failed:
                self._act(hook, binding, review, decision, denials)
            denials += (_denial(hook, binding, text) for text in result.broken)
            for key, value in result.annotations:
                known = annotations.setdefault(key, [])
                if value[:LONGEST_ANNOTATION] not in known:
                    known.append(value[:LONGEST_ANNOTATION])

    def _act(
        self,
        hook: Hook[Validator],
        binding: Binding,
        review: Review,
        decision: Decision,
        denials: list[Denial],
    ) -> None:
        for action in binding.spec.validationActions or ():
            if action == "Deny":
                denials.append(_denial(hook, binding, decision.message, decision.reason))
            elif action == "Warn":
                told = f"Validation failed for {_named(hook, binding)}: {decision.message}"
                review.ctx.warn(told)
            elif action == "Audit":
                _audit(hook, binding, decision)


def _validator(policy: Any) -> Validator:
    """Bring the language along only when there is something to say in it."""
    from kybern.apiserver.admission.policies.validators import Validator

    return Validator(policy)


def _named(hook: Hook[Validator], binding: Binding | None = None) -> str:
    text = f"ValidatingAdmissionPolicy '{hook.name}'"
    return text if binding is None else f"{text} with binding '{binding.name}'"


def _denial(hook: Hook[Validator], binding: Binding, why: str, reason: str = "") -> Denial:
    return Denial(f"{_named(hook, binding)} denied request: {why}", reason)


def _audit(hook: Hook[Validator], binding: Binding, decision: Decision) -> None:
    value = {
        "message": decision.message, "policy": hook.name, "binding": binding.name,
        "expressionIndex": decision.place, "validationActions": binding.spec.validationActions,
    }  # fmt: skip
    key = "validation.policy.admission.k8s.io/validation_failure"
    log.info("audit annotation", key=key, value=codec.encode([value]).decode())
