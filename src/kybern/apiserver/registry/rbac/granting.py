"""Nobody grants more than they have.

In:   roles and bindings to be created or changed.
Out:  Forbidden, unless the writer holds every permission in them, or may `escalate` or `bind`.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.apiserver.context import Attributes
from kybern.apiserver.registry.rbac.rules import uncovered
from kybern.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from kybern.api.rbac.v1 import PolicyRule, RoleRef
    from kybern.apiserver.context import RequestContext

GROUP = "rbac.authorization.k8s.io"
PLURALS = {"Role": "roles", "ClusterRole": "clusterroles"}


class RoleStrategy(Strategy):
    """Roles and ClusterRoles."""

    def authorize_write(self, ctx: RequestContext, obj: Any, old: Any | None) -> None:
        """Refuse rules the writer does not hold."""
        if ctx.user.master or (old is not None and codec.equal(obj.rules, old.rules)
                               and _aggregation(obj) == _aggregation(old)):  # fmt: skip
            return
        namespace = obj.metadata.namespace or ""
        if _may(ctx, "escalate", self.kind.plural, namespace, obj.metadata.name or ""):
            return
        if _aggregation(obj) is not None and _aggregation(obj) != (
            None if old is None else _aggregation(old)
        ):
            # Whoever chooses what is aggregated chooses every rule there will ever be.
            check_covered(ctx, self.kind, obj, [_everything()], namespace)
        check_covered(ctx, self.kind, obj, obj.rules or [], namespace)


class BindingStrategy(Strategy):
    """RoleBindings and ClusterRoleBindings."""

    def authorize_write(self, ctx: RequestContext, obj: Any, old: Any | None) -> None:
        """Refuse to bind a role whose rules the writer does not hold."""
        if ctx.user.master or (
            old is not None
            and codec.equal(obj.roleRef, old.roleRef)
            and codec.equal(obj.subjects, old.subjects)
        ):
            return
        namespace = obj.metadata.namespace or ""
        ref: RoleRef = obj.roleRef
        if _may(ctx, "bind", PLURALS.get(ref.kind, ref.kind), namespace, ref.name):
            return
        rules = ctx.services.rbac.role(ref, namespace)
        if rules is None:
            plural = PLURALS.get(ref.kind, ref.kind)
            text = f'{plural}.{GROUP} "{ref.name}" not found'
            raise errors.NotFound(text, {"name": ref.name, "group": GROUP, "kind": plural})
        check_covered(ctx, self.kind, obj, rules, namespace)


def check_covered(
    ctx: RequestContext, kind: Any, obj: Any, rules: list[PolicyRule], namespace: str
) -> None:
    """Refuse rules of which the writer lacks a part.

    Raises:
        Forbidden: naming what is lacking.
    """
    owned = ctx.services.rbac.compiled_rules_of(ctx.user, namespace)
    missing = uncovered(owned, rules)
    if not missing:
        return
    groups = ", ".join(f'"{group}"' for group in ctx.user.groups)
    listed = "\n".join(str(part) for part in missing)
    raise errors.Forbidden.of(
        kind, obj.metadata.name or "",
        f'user "{ctx.user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not '
        f"currently held:\n{listed}",
    )  # fmt: skip


def _may(ctx: RequestContext, verb: str, plural: str, namespace: str, name: str) -> bool:
    asked = Attributes(
        ctx.user, verb, group=GROUP, version="v1", plural=plural, namespace=namespace, name=name
    )
    return bool(ctx.services.authorizer.authorize(asked).allowed)


def _aggregation(obj: Any) -> Any:
    return getattr(obj, "aggregationRule", None)


def _everything() -> PolicyRule:
    from kybern.api.rbac.v1 import PolicyRule

    return PolicyRule(apiGroups=["*"], resources=["*"], verbs=["*"])
