"""Whom they ask to be: `kubectl --as`.

In:   Impersonate-User, -Group, -Uid and -Extra-* headers.
Out:  ctx.user replaced; the real one in ctx.impersonator.
By:   app, after audit. Each part of the new identity has to be allowed by the authorizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from kybern.api import errors
from kybern.apiserver.authz.denial import forbidden
from kybern.apiserver.context import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    Attributes,
    User,
)

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext, Services

USER, GROUP, UID, EXTRA = (
    "impersonate-user", "impersonate-group", "impersonate-uid", "impersonate-extra-",
)  # fmt: skip
ACCOUNT = "system:serviceaccount:"
AUTHENTICATION_GROUP = "authentication.k8s.io"


class Impersonation:
    """Let those who may act as someone else."""

    def __init__(self, services: Services) -> None:
        self._authorizer = services.authorizer

    def enter(self, ctx: RequestContext) -> None:
        """Replace the user when asked to and allowed."""
        headers = ctx.request.headers
        if USER not in headers and not any(name.startswith("impersonate-") for name in headers):
            return
        name = headers.get(USER, "")
        groups = [group for group in ctx.request.values(GROUP) if group]
        uid = headers.get(UID, "")
        extra = _extra(headers)
        if not name:
            if groups or uid or extra:
                raise errors.InternalError(
                    f"requested [{', '.join([*groups, *extra])}] without impersonating a user"
                )
            return
        self._check_user(ctx, name)
        for group in groups:
            self._check(ctx, "groups", group)
        if uid:
            self._check(ctx, "uids", uid, group=AUTHENTICATION_GROUP)
        for key, values in extra.items():
            for value in values:
                self._check(ctx, "userextras", value, group=AUTHENTICATION_GROUP, subresource=key)
        ctx.impersonator = ctx.user
        ctx.user = User(name, _with_implied(name, groups), uid, extra)

    def _check_user(self, ctx: RequestContext, name: str) -> None:
        namespace, _, account = name.removeprefix(ACCOUNT).partition(":")
        if name.startswith(ACCOUNT) and account:
            self._check(ctx, "serviceaccounts", account, namespace=namespace)
        else:
            self._check(ctx, "users", name)

    def _check(
        self,
        ctx: RequestContext,
        plural: str,
        name: str,
        *,
        group: str = "",
        namespace: str = "",
        subresource: str = "",
    ) -> None:
        asked = Attributes(
            ctx.user, "impersonate", group=group, version="v1", plural=plural,
            subresource=subresource, namespace=namespace, name=name,
        )  # fmt: skip
        verdict = self._authorizer.authorize(asked)
        if not verdict.allowed:
            raise forbidden(asked, verdict.reason)


def _extra(headers: dict[str, str]) -> dict[str, list[str]]:
    return {
        unquote(name[len(EXTRA) :]).lower(): [v.strip() for v in value.split(",")]
        for name, value in headers.items()
        if name.startswith(EXTRA)
    }


def _with_implied(name: str, groups: list[str]) -> tuple[str, ...]:
    found = list(groups)
    if name == ANONYMOUS:
        implied = [UNAUTHENTICATED]
    elif name.startswith(ACCOUNT) and not groups:
        namespace = name.removeprefix(ACCOUNT).partition(":")[0]
        implied = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED]
    else:
        implied = [AUTHENTICATED]
    return tuple(found + [g for g in implied if g not in found])
