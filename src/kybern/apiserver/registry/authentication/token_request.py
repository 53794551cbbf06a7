"""`serviceaccounts/token`: a token, bound to what it is for.

In:   a TokenRequest POSTed to a service account.
Out:  the same with `status.token`.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.authentication.v1 import TokenRequest, TokenRequestStatus
from kybern.api.field_path import Path, Problem, invalid
from kybern.api.scheme import SCHEME
from kybern.apiserver.registry import selectable
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.authentication.v1 import BoundObjectReference
    from kybern.apiserver.context import RequestContext

DEFAULT_SECONDS, SHORTEST, LONGEST = 3600, 600, 1 << 32
SPEC = Path("spec")
BINDABLE = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


async def issue(ctx: RequestContext, request: TokenRequest) -> TokenRequest:
    """Return the request with a token.

    Raises:
        NotFound, Conflict, Invalid, BadRequest.
    """
    resources = ctx.services.resources
    accounts = resources.find("", "v1", "serviceaccounts")
    entry = ctx.services.store.get(accounts.key(ctx.namespace, ctx.name))
    if entry is None:
        raise errors.NotFound.of(accounts.kind, ctx.name)
    account = accounts.decode(entry)
    _complete(ctx, request)
    bound = _bound(ctx, request.spec.boundObjectRef)
    seconds = request.spec.expirationSeconds or DEFAULT_SECONDS
    longest = ctx.services.config.longest_token
    if longest:
        seconds = min(seconds, longest)
    now = ctx.services.clock.now()
    token = "" if ctx.dry_run else ctx.services.tokens.issue(
        ctx.namespace, ctx.name, account.metadata.uid or "",
        audiences=tuple(request.spec.audiences or ()), seconds=seconds, bound=bound,
        jti=ctx.services.identities.uid(),
    )  # fmt: skip
    request.metadata.name, request.metadata.namespace = ctx.name, ctx.namespace
    request.metadata.creationTimestamp = rfc3339(now)
    request.status = TokenRequestStatus(token=token, expirationTimestamp=rfc3339(now + seconds))
    return request


def _complete(ctx: RequestContext, request: TokenRequest) -> None:
    if request.metadata.name and request.metadata.name != ctx.name:
        raise errors.BadRequest("name on the token request does not match the service account")
    spec = request.spec
    if not spec.audiences:
        spec.audiences = list(ctx.services.config.audiences)
    if spec.expirationSeconds is None:
        spec.expirationSeconds = DEFAULT_SECONDS
    problems: list[Problem] = []
    where = SPEC / "expirationSeconds"
    if spec.expirationSeconds < SHORTEST:
        text = "may not specify a duration less than 10 minutes"
        problems.append(invalid(where, spec.expirationSeconds, text))
    if spec.expirationSeconds > LONGEST:
        text = "may not specify a duration larger than 2^32 seconds"
        problems.append(invalid(where, spec.expirationSeconds, text))
    if problems:
        kind = SCHEME.by_kind("authentication.k8s.io/v1", "TokenRequest")
        assert kind is not None
        raise errors.Invalid.of(kind, "", problems)


def _bound(ctx: RequestContext, ref: BoundObjectReference | None) -> dict[str, dict[str, str]]:
    if ref is None:
        return {}
    if ref.apiVersion not in (None, "", "v1") or ref.kind not in BINDABLE:
        raise errors.BadRequest(
            f"cannot bind token to object of type {_gvk(ref.apiVersion, ref.kind)}"
        )
    resource = ctx.services.resources.find("", "v1", BINDABLE[ref.kind])
    entry = ctx.services.store.get(resource.key(ctx.namespace, ref.name or ""))
    if entry is None:
        raise errors.NotFound.of(resource.kind, ref.name or "")
    uid = selectable.PLAIN.look(entry.held).metadata.uid
    if ref.uid and ref.uid != uid:
        raise errors.Conflict.of(
            resource.kind, ref.name or "",
            f"the UID in the bound object reference ({ref.uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated",
        )  # fmt: skip
    found = {ref.kind.lower(): {"name": ref.name or "", "uid": uid}}
    if ref.kind == "Pod":
        found.update(_node_of(ctx, codec.decode(entry.held, resource.struct)))
    return found


def _node_of(ctx: RequestContext, pod: Any) -> dict[str, dict[str, str]]:
    if (pod.spec.serviceAccountName or "default") != ctx.name:
        raise errors.BadRequest(
            f'cannot bind token for serviceaccount "{ctx.name}" to pod running with different '
            "serviceaccount name."
        )
    if not pod.spec.nodeName:
        return {}
    nodes = ctx.services.resources.find("", "v1", "nodes")
    entry = ctx.services.store.get(nodes.key("", pod.spec.nodeName))
    node = {"name": pod.spec.nodeName}
    if entry is not None:
        node["uid"] = selectable.PLAIN.look(entry.held).metadata.uid
    return {"node": node}


def _gvk(api_version: str | None, kind: str | None) -> str:
    group, _, version = (api_version or "").rpartition("/")
    return f"{group}/{version}, Kind={kind}"
