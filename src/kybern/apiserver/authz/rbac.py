"""Role-based access: what the bindings of a user allow.

In:   roles and bindings, as the store has them; `follow` keeps up with their changes.
Out:  Allow, or NoOpinion.
By:   authz.chain; the strategies of roles and bindings ask `rules_of` before they let anyone
      grant; the rules review shows them.

Decisions are kept until any role or binding changes, which is rare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.rbac.v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from kybern.apiserver.context import NO_OPINION, Verdict
from kybern.apiserver.registry.rbac.rules import Rule

if TYPE_CHECKING:
    from kybern.api.rbac.v1 import PolicyRule, RoleRef, Subject
    from kybern.apiserver.context import Attributes, RequestContext, User

ALLOWED = Verdict(True)
KEPT = 8192
GROUP = "rbac.authorization.k8s.io"

PREFIXES: dict[str, type[Any]] = {
    "/registry/clusterroles/": ClusterRole,
    "/registry/clusterrolebindings/": ClusterRoleBinding,
    "/registry/roles/": Role,
    "/registry/rolebindings/": RoleBinding,
}


class Rbac:
    """An index of roles and bindings."""

    def __init__(self) -> None:
        self._roles: dict[tuple[str, str], list[PolicyRule]] = {}
        self._bindings: dict[tuple[str, str], tuple[RoleRef, list[str]]] = {}
        self._by_subject: dict[tuple[str, str], dict[str, RoleRef]] = {}
        self._rules: dict[Any, tuple[list[Rule], list[str]]] = {}
        self._decisions: dict[Any, bool] = {}
        self._compiled: dict[tuple[str, str], list[Rule]] = {}

    def authorize(self, asked: Attributes | RequestContext) -> Verdict:
        """Allow what a rule of a binding of the user allows."""
        key = (
            asked.user.key, asked.verb, asked.group, asked.plural, asked.subresource,
            asked.namespace, asked.name, "" if asked.is_resource else asked.path,
        )  # fmt: skip
        decision = self._decisions.get(key)
        if decision is None:
            decision = self._decide(asked)
            if len(self._decisions) >= KEPT:
                self._decisions.clear()
            self._decisions[key] = decision
        if decision:
            return ALLOWED
        missing = self._gather(asked.user, asked.namespace)[1]
        if missing:
            return Verdict(None, "RBAC: " + (
                missing[0] if len(missing) == 1 else f"[{', '.join(missing)}]"
            ))  # fmt: skip
        return NO_OPINION

    def rules_of(self, user: User, namespace: str) -> list[PolicyRule]:
        """Return the rules that hold for a user in a namespace, cluster-wide ones included."""
        return [
            rule
            for ref, where in self._refs(user, namespace)
            for rule in self._roles.get(_role_key(ref, where), ())
        ]

    def compiled_rules_of(self, user: User, namespace: str) -> list[Rule]:
        """Return the same, ready to match."""
        return self._gather(user, namespace)[0]

    def role(self, ref: RoleRef, namespace: str) -> list[PolicyRule] | None:
        """Return the rules of a role that a binding refers to; None when there is none."""
        return self._roles.get(_role_key(ref, namespace))

    def set(self, obj: Any) -> None:
        """Take in a role or binding as it is now."""
        namespace = obj.metadata.namespace or ""
        name = obj.metadata.name or ""
        if isinstance(obj, (ClusterRole, Role)):
            self._roles[(namespace, name)] = list(obj.rules or ())
        else:
            self._unbind(namespace, name)
            subjects = [_subject_key(s, namespace) for s in obj.subjects or ()]
            self._bindings[(namespace, name)] = (obj.roleRef, subjects)
            for subject in subjects:
                self._by_subject.setdefault((namespace, subject), {})[name] = obj.roleRef
        self._forget()

    def remove(self, obj: Any) -> None:
        """Forget a role or binding."""
        namespace, name = obj.metadata.namespace or "", obj.metadata.name or ""
        if isinstance(obj, (ClusterRole, Role)):
            self._roles.pop((namespace, name), None)
        else:
            self._unbind(namespace, name)
        self._forget()

    async def follow(self, store: Any, prefix: str) -> None:
        """Read what is under a prefix and keep up with it; ends only with an error."""
        struct = PREFIXES[prefix]
        listing, watcher = store.snapshot_and_watch(prefix)
        try:
            self._replace(struct, [codec.decode(entry.held, struct) for entry in listing.entries])
            async for batch in watcher:
                for event in batch:
                    obj = codec.decode(event.entry.held, struct)
                    if event.type == "DELETED":
                        self.remove(obj)
                    else:
                        self.set(obj)
        finally:
            watcher.close()

    def load(self, store: Any) -> None:
        """Read everything there is now; before the first request, when `follow` has not run."""
        for prefix, struct in PREFIXES.items():
            for entry in store.list(prefix).entries:
                self.set(codec.decode(entry.held, struct))

    def _replace(self, struct: type[Any], objects: list[Any]) -> None:
        """Take in all objects of a type: what is not among them is gone."""
        table: dict[tuple[str, str], Any]
        table = self._roles if struct in (ClusterRole, Role) else self._bindings
        clustered = struct in (ClusterRole, ClusterRoleBinding)
        named = {(o.metadata.namespace or "", o.metadata.name or "") for o in objects}
        for key in [k for k in table if (k[0] == "") is clustered and k not in named]:
            if table is self._roles:
                del self._roles[key]
            else:
                self._unbind(*key)
        for obj in objects:
            self.set(obj)
        self._forget()

    def _decide(self, asked: Attributes | RequestContext) -> bool:
        rules = self._gather(asked.user, asked.namespace)[0]
        return any(rule.allows(asked) for rule in rules)

    def _gather(self, user: User, namespace: str) -> tuple[list[Rule], list[str]]:
        key = (user.key, namespace)
        found = self._rules.get(key)
        if found is None:
            rules: list[Rule] = []
            missing: list[str] = []
            for ref, where in self._refs(user, namespace):
                role_key = _role_key(ref, where)
                if role_key not in self._roles:
                    kind = ref.kind.lower()
                    missing.append(f'{kind}.{GROUP} "{ref.name}" not found')
                    continue
                rules += self._compile(role_key)
            if len(self._rules) >= KEPT:
                self._rules.clear()
            found = self._rules[key] = (rules, missing)
        return found

    def _compile(self, role_key: tuple[str, str]) -> list[Rule]:
        compiled = self._compiled.get(role_key)
        if compiled is None:
            compiled = [Rule(rule) for rule in self._roles[role_key]]
            self._compiled[role_key] = compiled
        return compiled

    def _refs(self, user: User, namespace: str) -> list[tuple[RoleRef, str]]:
        """Return the roles bound to the user: cluster-wide, and in the namespace."""
        subjects = [f"User/{user.name}", *(f"Group/{group}" for group in user.groups)]
        return [
            (ref, where)
            for where in dict.fromkeys(("", namespace))
            for subject in subjects
            for ref in self._by_subject.get((where, subject), {}).values()
        ]

    def _unbind(self, namespace: str, name: str) -> None:
        _, subjects = self._bindings.pop((namespace, name), (None, []))
        for subject in subjects:
            bound = self._by_subject.get((namespace, subject))
            if bound is not None:
                bound.pop(name, None)
                if not bound:
                    del self._by_subject[(namespace, subject)]

    def _forget(self) -> None:
        self._decisions.clear()
        self._rules.clear()
        self._compiled.clear()


def _role_key(ref: RoleRef, namespace: str) -> tuple[str, str]:
    return ("" if ref.kind == "ClusterRole" else namespace, ref.name)


def _subject_key(subject: Subject, namespace: str) -> str:
    if subject.kind == "ServiceAccount":
        where = subject.namespace or namespace
        return f"User/system:serviceaccount:{where}:{subject.name}"
    return f"{subject.kind}/{subject.name}"
