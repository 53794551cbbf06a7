"""The access reviews: may somebody do something.

In:   a review POSTed by somebody.
Out:  the same with its status.
By:   registry.special; `kubectl auth can-i` asks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.authorization.v1 import (
    LocalSubjectAccessReview,
    NonResourceRule,
    ResourceRule,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
    SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
)
from kybern.api.field_path import Path, Problem, invalid, required
from kybern.apiserver.context import Attributes, User

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext

SPEC = Path("spec")


async def review_self(
    ctx: RequestContext, review: SelfSubjectAccessReview
) -> SelfSubjectAccessReview:
    """Say whether whoever asks may do something."""
    _check_attributes(ctx, review)
    review.status = _decide(ctx, ctx.user, review.spec)
    return review


async def review_subject(ctx: RequestContext, review: SubjectAccessReview) -> SubjectAccessReview:
    """Say whether somebody may do something."""
    problems = _subject_problems(review)
    _check_attributes(ctx, review, problems)
    review.status = _decide(ctx, _user_of(review.spec), review.spec)
    return review


async def review_local(
    ctx: RequestContext, review: LocalSubjectAccessReview
) -> LocalSubjectAccessReview:
    """Say whether somebody may do something in this namespace."""
    problems = _subject_problems(review)
    attributes = review.spec.resourceAttributes
    if attributes is not None and attributes.namespace != ctx.namespace:
        text = f"must match metadata.namespace: {ctx.namespace}"
        where = SPEC / "resourceAttributes" / "namespace"
        problems.append(invalid(where, attributes.namespace or "", text))
    if review.spec.nonResourceAttributes is not None:
        problems.append(
            invalid(SPEC / "nonResourceAttributes", "", "disallowed on this kind of request")
        )
    _check_attributes(ctx, review, problems)
    review.metadata.namespace = ctx.namespace
    review.status = _decide(ctx, _user_of(review.spec), review.spec)
    return review


async def review_rules(ctx: RequestContext, review: SelfSubjectRulesReview) -> Any:
    """List what whoever asks may do in a namespace."""
    namespace = review.spec.namespace or ""
    if not namespace:
        raise errors.BadRequest("no namespace on request")
    resource_rules, other_rules = [], []
    for rule in ctx.services.rbac.rules_of(ctx.user, namespace):
        if rule.resources:
            resource_rules.append(
                ResourceRule(
                    verbs=list(rule.verbs),
                    apiGroups=rule.apiGroups,
                    resources=rule.resources,
                    resourceNames=rule.resourceNames,
                )
            )
        if rule.nonResourceURLs:
            other_rules.append(
                NonResourceRule(verbs=list(rule.verbs), nonResourceURLs=rule.nonResourceURLs)
            )
    review.status = SubjectRulesReviewStatus(
        resourceRules=resource_rules, nonResourceRules=other_rules, incomplete=False
    )
    return review


def _subject_problems(review: Any) -> list[Problem]:
    if review.spec.user or review.spec.groups:
        return []
    text = "at least one of user or group must be specified"
    return [required(SPEC / "user", text), required(SPEC / "groups", text)]


def _check_attributes(
    ctx: RequestContext, review: Any, problems: list[Problem] | None = None
) -> None:
    problems = problems or []
    spec = review.spec
    if spec.resourceAttributes is not None and spec.nonResourceAttributes is not None:
        text = "cannot be specified in combination with resourceAttributes"
        problems.append(invalid(SPEC / "nonResourceAttributes", "", text))
    if spec.resourceAttributes is None and spec.nonResourceAttributes is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        problems.append(invalid(SPEC / "resourceAttributes", None, text))
    if problems:
        raise errors.Invalid.of(ctx.resource.kind, "", problems)


def _user_of(spec: Any) -> User:
    return User(spec.user or "", tuple(spec.groups or ()), spec.uid or "", spec.extra)


def _decide(ctx: RequestContext, user: User, spec: Any) -> SubjectAccessReviewStatus:
    verdict = ctx.services.authorizer.authorize(_asked(user, spec))
    return SubjectAccessReviewStatus(allowed=bool(verdict.allowed), reason=verdict.reason or None)


def _asked(user: User, spec: Any) -> Attributes:
    wanted = spec.resourceAttributes
    if wanted is None:
        other = spec.nonResourceAttributes
        return Attributes(user, other.verb or "", path=other.path or "/")
    return Attributes(
        user,
        wanted.verb or "",
        group=wanted.group or "",
        version=wanted.version or "",
        plural=wanted.resource or "",
        subresource=wanted.subresource or "",
        namespace=wanted.namespace or "",
        name=wanted.name or "",
    )
