"""MutatingAdmissionPolicies: changes to objects before they are validated.

In:   an operation, after the built-in plugins had their say.
Out:  another object in the review; a refusal where a policy fails.
By:   admission.plugins. Facts: upstream's `policy/{generic/policy_dispatcher,mutating/dispatcher}`.

When a policy has changed the object, the chain lets everything before it look again, once. In that
second round only policies with `reinvocationPolicy: IfNeeded` take part, and only when something
has changed the object after their turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from kybern.api import codec
from kybern.api.admissionregistration.v1 import (
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
)
from kybern.api.conform import Mismatch
from kybern.api.custom.kinds import CustomKind
from kybern.api.patch.schema import schema_of
from kybern.apiserver.admission.policies import matching
from kybern.apiserver.admission.policies.hooks import Hooks
from kybern.apiserver.admission.policies.params import Misconfigured, Params, unknown
from kybern.apiserver.admission.policies.refusals import Denied
from kybern.apiserver.registry.rules import default_of

if TYPE_CHECKING:
    from kybern.apiserver.admission.policies.hooks import Binding, Hook
    from kybern.apiserver.admission.policies.mutators import Mutation, Mutator
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.review import Review

    Key = tuple[str, str, str]


class Invocation(NamedTuple):
    """A policy that has its turn."""

    hook: Hook[Mutator]
    binding: Binding
    wanted: Resource
    param: Any

    @property
    def key(self) -> Key:
        """What tells it from others."""
        meta = self.param["metadata"] if self.param else {}
        return self.hook.name, self.binding.name, f"{meta.get('namespace')}/{meta.get('name')}"

    def denial(self, why: Any) -> str:
        """Say that the policy failed."""
        return _denial(self.hook, self.binding, why)


class History:
    """What happened to an object in the first round."""

    __slots__ = ("after", "again", "waiting")

    def __init__(self) -> None:
        self.waiting: set[Key] = set()
        self.again: set[Key] = set()
        self.after: Any = None

    @property
    def over(self) -> bool:
        """Whether nobody wants to look again."""
        return not self.waiting and not self.again

    def changed(self) -> None:
        """Note that those who want to look again have a reason to."""
        self.again |= self.waiting
        self.waiting = set()


class Problems:
    """What went wrong, with policies that are to fail then."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._reason = "Forbidden"

    def add(self, hook: Hook[Mutator], text: str, reason: str = "Forbidden") -> None:
        """Note a problem; the first one gives the reason."""
        if hook.policy.spec.failurePolicy == "Ignore":
            return
        if not self._texts:
            self._reason = reason
        self._texts.append(text)

    def check(self, review: Review) -> None:
        """Refuse when there were any.

        Raises:
            Denied.
        """
        if self._texts:
            raise Denied.of(review, self._texts, self._reason)


class MutatingPolicies:
    """Lets the policies change objects."""

    def __init__(self, services: Services) -> None:
        self._around = matching.Surroundings(services)
        self._params = Params(services)
        self._hooks: Hooks[Mutator] = Hooks(
            services, self._around,
            (MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding), _mutator,
        )  # fmt: skip

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want everything but what policies themselves are made of."""
        del subresource
        return operation in ("CREATE", "UPDATE") and matching.concerned(group, plural)

    def mutate(self, review: Review) -> None:
        """Change the object.

        Raises:
            Denied: a policy failed.
        """
        history = review.history
        if not self._hooks.current() or (history is not None and history.over):
            return
        problems = Problems()
        invocations = self._invocations(review, problems)
        if invocations:
            self._run(review, invocations, problems)
        problems.check(review)

    def _invocations(self, review: Review, problems: Problems) -> list[Invocation]:
        found: list[Invocation] = []
        space = review.namespace
        if review.resource.kind.kind == "Namespace":
            space = review.name
        for hook, wanted in self._hooks.concerned(review):
            kind = hook.policy.spec.paramKind
            if kind is not None and self._params.resource(kind) is None:
                why = f"failed to configure policy: {unknown(kind)}"
                problems.add(hook, f'policy "{hook.name}" denied request: {why}')
                continue
            for binding in hook.bindings:
                if not binding.concerns(review):
                    continue
                try:
                    params = self._params.collect(kind, binding.spec.paramRef, space)
                except Misconfigured as error:
                    why = f"failed to configure binding: {error}"
                    problems.add(hook, _denial(hook, binding, why))
                    continue
                found += (Invocation(hook, binding, wanted, param) for param in params)
        return found

    def _run(self, review: Review, invocations: list[Invocation], problems: Problems) -> None:
        history = review.history
        first = history is None
        if history is None:
            history = review.history = History()
        elif not codec.equal(history.after, review.obj):
            history.changed()
        for each in invocations:
            if not first and each.key not in history.again:
                continue
            before = review.obj
            self._apply(review, each, problems)
            if review.obj is not before and not codec.equal(review.obj, before):
                history.changed()
                review.reinvoke = True
            if each.hook.compiled.again:
                history.waiting.add(each.key)
        if not history.over:
            history.after = codec.clone(review.obj)

    def _apply(self, review: Review, each: Invocation, problems: Problems) -> None:
        from kybern.apiserver.admission.policies.evaluation import Failed
        from kybern.apiserver.admission.policies.subjects import Subject

        compiled = each.hook.compiled
        subject = Subject(review, each.wanted, self._around.namespaces)
        try:
            if not compiled.applies(subject, each.param):
                return
        except Failed as error:
            problems.add(each.hook, each.denial(error), "Invalid")
            return
        for mutation in compiled.mutations:
            try:
                _mutate(review, mutation, each, subject)
            except (Failed, Mismatch, msgspec.ValidationError, ValueError) as error:
                problems.add(each.hook, each.denial(error), "Invalid")
            subject.pop("object", None)


def _mutate(review: Review, mutation: Mutation, each: Invocation, subject: Any) -> None:
    """Put the object after one mutation into the review."""
    from kybern.apiserver.admission.policies.subjects import kind_of, restored

    shown = subject.shown(review.obj)
    kind = each.wanted.kind
    node = kind.node if isinstance(kind, CustomKind) else None
    if node is None or type(shown) is not kind.struct:  # built in, as a scale is
        node = schema_of(type(shown))
    tree = each.hook.compiled.mutate(mutation, subject, each.param, node)
    if tree is subject["object"]:
        return
    changed = each.wanted.rebuilt(tree, type(shown))
    obj = restored(review, each.wanted, changed)
    default_of(kind_of(review))(obj)
    review.obj = obj


def _mutator(policy: Any) -> Mutator:
    """Bring the language along only when there is something to say in it."""
    from kybern.apiserver.admission.policies.mutators import Mutator

    return Mutator(policy)


def _denial(hook: Hook[Mutator], binding: Binding, why: Any) -> str:
    return f"policy '{hook.name}' with binding '{binding.name}' denied request: {why}"
