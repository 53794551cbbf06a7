"""What both kinds of webhooks have in common: who is asked, and what a failure means.

In:   a Review, a Hook.
Out:  a Subject where the webhook is to be asked; errors.
By:   mutating, validating.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.admission.looking import named
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.apiserver.admission.policies.subjects import Subject
    from kybern.apiserver.admission.webhooks.hooks import Hook

log = logs.get("apiserver.webhooks")


def is_asked(hook: Hook, subject: Subject) -> bool:
    """Say whether the match conditions of a webhook hold.

    Raises:
        ApiError: nobody can say, or it cannot be asked in a dry run.
    """
    from kybern.apiserver.admission.policies.evaluation import Failed

    review = subject.review
    conditions = hook.conditions
    if conditions is not None:
        try:
            if not conditions.applies(subject, None):
                return False
        except Failed as error:
            kind = review.resource.kind
            raise errors.Forbidden.of(kind, named(review), str(error)) from None
    if review.ctx.dry_run and hook.spec.sideEffects not in ("None", "NoneOnDryRun"):
        raise errors.BadRequest(f"admission webhook {hook.name} does not support dry run")
    return True


def failure(hook: Hook, why: object) -> errors.InternalError | None:
    """Return what a request is answered whose webhook cannot be asked; None: it goes on."""
    if hook.fails:
        return errors.InternalError.of(f'failed calling webhook "{hook.name}": {why}')
    log.warning("a webhook was passed over", name=hook.name, why=str(why))
    return None
