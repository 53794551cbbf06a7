"""Validating webhooks: all that are concerned are asked at a time.

In:   an operation as it will be stored.
Out:  the first refusal, in the order of the webhooks; warnings.
By:   admission.plugins.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api.admissionregistration.v1 import ValidatingWebhookConfiguration
from kybern.apiserver.admission.policies.matching import Surroundings
from kybern.apiserver.admission.webhooks.hooks import Hook, Hooks, handled

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kybern.api import errors
    from kybern.apiserver.admission.policies.subjects import Subject
    from kybern.apiserver.admission.webhooks.calls import Caller
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.review import Review


class ValidatingWebhooks:
    """Asks validating webhooks."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._around = Surroundings(services)
        self._hooks = Hooks(services, self._around, ValidatingWebhookConfiguration)
        self._caller: Caller | None = None

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want everything but what webhooks themselves are made of."""
        del subresource, operation
        return handled(group, plural)

    def validate(self, review: Review) -> Awaitable[None] | None:
        """Refuse what a webhook refuses; None when none is concerned."""
        if not self._hooks.current():
            return None
        concerned = list(self._hooks.concerned(review))
        return self._ask(review, concerned) if concerned else None

    async def _ask(self, review: Review, concerned: list[tuple[Hook, Resource]]) -> None:
        """Ask all that are concerned.

        Raises:
            ApiError: what the first of them said that refused, or could not be asked.
        """
        from kybern.apiserver.admission.policies.subjects import Subject
        from kybern.apiserver.admission.webhooks.asking import is_asked

        subjects: dict[Resource, Subject] = {}
        asked: list[tuple[Hook, Subject]] = []
        for hook, wanted in concerned:
            subject = subjects.get(wanted)
            if subject is None:
                subject = subjects[wanted] = Subject(review, wanted, self._around.namespaces)
            if is_asked(hook, subject):
                asked.append((hook, subject))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._ask_one(hook, subject), name=f"webhook {hook.name}")
                for hook, subject in asked
            ]
        refusals = [found for task in tasks if (found := task.result()) is not None]
        if refusals:
            raise refusals[0]

    async def _ask_one(self, hook: Hook, subject: Subject) -> errors.ApiError | None:
        from kybern.apiserver.admission.webhooks.asking import failure
        from kybern.apiserver.admission.webhooks.calls import Caller, Refused
        from kybern.apiserver.webhook_client import CallFailed

        if self._caller is None:
            self._caller = Caller(self._services)
        try:
            answer = await self._caller.ask(hook, subject)
        except Refused as refused:
            return refused
        except CallFailed as error:
            return failure(hook, error)
        for text in answer.warnings:
            subject.review.ctx.warn(text)
        return None
