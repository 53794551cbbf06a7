"""Mutating webhooks: asked one after the other, each sees what those before it made.

In:   an operation, after the built-in plugins had their say.
Out:  another object in the review; refusals, warnings.
By:   admission.plugins.

When a webhook has changed the object, the chain lets everything before it look again, once. In that
second round only webhooks with `reinvocationPolicy: IfNeeded` take part, and only when somebody has
changed the object after their turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kybern.api import codec, errors
from kybern.api.admissionregistration.v1 import MutatingWebhookConfiguration
from kybern.api.conform import Mismatch
from kybern.apiserver.admission.policies.matching import Surroundings
from kybern.apiserver.admission.webhooks.hooks import Hook, Hooks, handled
from kybern.apiserver.registry.rules import default_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kybern.apiserver.admission.webhooks.calls import Answer, Caller
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.review import Review


class MutatingWebhooks:
    """Lets mutating webhooks change objects."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._around = Surroundings(services)
        self._hooks = Hooks(services, self._around, MutatingWebhookConfiguration)
        self._caller: Caller | None = None

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want everything but what webhooks themselves are made of."""
        del subresource, operation
        return handled(group, plural)

    def mutate(self, review: Review) -> Awaitable[None] | None:
        """Change the object; None when no webhook is concerned."""
        if not self._hooks.current():
            return None
        concerned = list(self._hooks.concerned(review))
        return self._ask(review, concerned) if concerned else None

    async def _ask(self, review: Review, concerned: list[tuple[Hook, Resource]]) -> None:
        """Ask one after the other.

        Raises:
            ApiError: one refused, or could not be asked.
        """
        shown = review.shown_to
        for hook, wanted in concerned:
            if shown is not None and not _is_due(hook, shown, review.obj):
                continue
            before = review.obj
            await self._ask_one(review, hook, wanted)
            if review.obj is not before and not codec.equal(review.obj, before):
                review.reinvoke = True
            if review.shown_to is None:
                review.shown_to = {}
            review.shown_to[hook.key] = review.obj

    async def _ask_one(self, review: Review, hook: Hook, wanted: Resource) -> None:
        from kybern.apiserver.admission.policies.subjects import Subject
        from kybern.apiserver.admission.webhooks.asking import failure, is_asked
        from kybern.apiserver.admission.webhooks.calls import Caller
        from kybern.apiserver.webhook_client import CallFailed

        subject = Subject(review, wanted, self._around.namespaces)
        if not is_asked(hook, subject):
            return
        if self._caller is None:
            self._caller = Caller(self._services)
        try:
            answer = await self._caller.ask(hook, subject)
            for text in answer.warnings:
                review.ctx.warn(text)
            if answer.patch and review.obj is not None:
                _change(review, wanted, subject, answer)
        except CallFailed as error:
            refused = failure(hook, error)
            if refused is not None:
                raise refused from None


def _is_due(hook: Hook, shown: dict[Any, Any], obj: Any) -> bool:
    """Say whether a webhook is asked in the second round."""
    return hook.again and hook.key in shown and not codec.equal(shown[hook.key], obj)


def _change(review: Review, wanted: Resource, subject: Any, answer: Answer) -> None:
    """Put the patched object into the review.

    Raises:
        CallFailed: the patch does not fit.
    """
    from kybern.api.patch import json_patch
    from kybern.apiserver.admission.policies.subjects import restored
    from kybern.apiserver.webhook_client import CallFailed

    shown = subject.shown(review.obj)
    try:
        tree = json_patch.apply(codec.to_tree(shown), answer.patch or [])
        changed = wanted.rebuilt(tree, type(shown))
    except (
        errors.ApiError, json_patch.TestFailed, Mismatch, msgspec.ValidationError, ValueError,
    ) as error:  # fmt: skip
        raise CallFailed(f"the patch cannot be applied: {error.__cause__ or error}") from None
    obj = restored(review, wanted, changed)
    default_of(review.resource.kind)(obj)
    review.obj = obj
