"""The answer to a request that a policy denies.

In:   a Review and what the policy said.
Out:  an ApiError.
By:   validating, mutating.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.admission.looking import named

if TYPE_CHECKING:
    from kybern.apiserver.registry.review import Review


def refusal(review: Review, text: str, error: type[errors.ApiError]) -> errors.ApiError:
    """Return an error that says so as upstream does: forbidden, with another reason."""
    base = errors.Forbidden.of(review.resource.kind, named(review), text)
    details = {**(base.details or {}), "causes": [{"message": text}]}
    return error(base.message, details)


class Denied(errors.ApiError):
    """A mutating policy failed: 403, with a reason of its own."""

    code = 403

    @classmethod
    def of(cls, review: Review, texts: list[str], reason: str) -> Denied:
        """Return the refusal; the first text is the message."""
        name = named(review) if review.obj is not None else review.ctx.name
        base = errors.Forbidden.of(review.resource.kind, name, "")
        causes = [{"message": text} for text in texts]
        denied = cls(texts[0], {**(base.details or {}), "causes": causes})
        denied.reason = reason
        return denied
