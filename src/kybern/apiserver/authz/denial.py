"""What a refused user is told, in upstream's words.

In:   what was asked, and the authorizer's reason.
Out:  a Forbidden.
By:   the filters that authorize; handlers and admission plugins which need one more permission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.apiserver.context import Attributes

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext


def require(ctx: RequestContext, verb: str) -> None:
    """Ask for another verb on what the request is about, because it does what that verb does.

    Raises:
        Forbidden: the user may not do that.
    """
    if ctx.user.master:
        return
    asked = Attributes(
        ctx.user, verb, group=ctx.group, version=ctx.version, plural=ctx.plural,
        subresource=ctx.subresource, namespace=ctx.namespace, name=ctx.name,
    )  # fmt: skip
    verdict = ctx.services.authorizer.authorize(asked)
    if not verdict.allowed:
        raise forbidden(asked, verdict.reason)


def forbidden(asked: Attributes | RequestContext, reason: str = "") -> errors.Forbidden:
    """Return the refusal of a request, or of one of the permissions it needs."""
    text = denial(asked)
    if reason:
        text = f"{text}: {reason}"
    if not asked.is_resource:
        return errors.Forbidden(f"forbidden: {text}", {})
    details: dict[str, Any] = {"name": asked.name} if asked.name else {}
    if asked.group:
        details["group"] = asked.group
    details["kind"] = asked.plural
    where = f"{asked.plural}.{asked.group}" if asked.group else asked.plural
    subject = f'{where} "{asked.name}"' if asked.name else where
    return errors.Forbidden(f"{subject} is forbidden: {text}", details)


def denial(asked: Attributes | RequestContext) -> str:
    """Say who may not do what."""
    who = f'User "{asked.user.name}" cannot {asked.verb}'
    if not asked.is_resource:
        return f'{who} path "{asked.path}"'
    plural = f"{asked.plural}/{asked.subresource}" if asked.subresource else asked.plural
    scope = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    return f'{who} resource "{plural}" in API group "{asked.group}" {scope}'
