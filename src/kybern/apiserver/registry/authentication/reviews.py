"""TokenReview and SelfSubjectReview: who is this.

In:   a review POSTed by somebody.
Out:  the same with its status.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.authentication.v1 import (
    SelfSubjectReview,
    SelfSubjectReviewStatus,
    TokenReview,
    TokenReviewStatus,
    UserInfo,
)
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext, User


async def review_token(ctx: RequestContext, review: TokenReview) -> TokenReview:
    """Say whom a token stands for."""
    token = review.spec.token
    if not token:
        raise errors.BadRequest("token is required for TokenReview in authentication")
    audiences = tuple(review.spec.audiences or ())
    user = ctx.services.authenticator.by_token(token, audiences)
    status = TokenReviewStatus()
    if user is None:
        status.user = UserInfo()
        if not ctx.services.tokens.verify(token):
            status.error = "[invalid bearer token]"
    else:
        status.authenticated = True
        status.user = user_info(user)
        status.audiences = list(audiences or ctx.services.config.audiences)
        verified = ctx.services.tokens.verify(token)
        if verified is not None and audiences:
            status.audiences = [a for a in audiences if a in verified.audiences]
    review.status = status
    return review


async def review_self(ctx: RequestContext, review: SelfSubjectReview) -> SelfSubjectReview:
    """Say who asks: `kubectl auth whoami`."""
    review.metadata.creationTimestamp = rfc3339(ctx.services.clock.now())
    review.status = SelfSubjectReviewStatus(userInfo=user_info(ctx.user))
    return review


def user_info(user: User) -> UserInfo:
    """Return a user as the API shows one."""
    return UserInfo(
        username=user.name,
        uid=user.uid or None,
        groups=list(user.groups) or None,
        extra=user.extra or None,
    )
