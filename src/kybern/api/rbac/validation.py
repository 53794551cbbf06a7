"""What roles and their bindings must be.

In:   an object; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/rbac/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    invalid,
    not_supported,
    required,
)
from kybern.api.meta.validation import check_selector
from kybern.api.rbac.defaults import GROUP
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.rbac.v1 import (
        ClusterRole,
        ClusterRoleBinding,
        PolicyRule,
        Role,
        RoleBinding,
        RoleRef,
        Subject,
    )

ROLE_REF: Final = Path("roleRef")


def check_role(obj: Role, out: list[Problem]) -> None:
    """What may be done within a namespace."""
    for index, rule in enumerate(obj.rules or ()):
        _check_rule(rule, Path("rules")[index], out, namespaced=True)


def check_cluster_role(obj: ClusterRole, out: list[Problem]) -> None:
    """What may be done anywhere."""
    for index, rule in enumerate(obj.rules or ()):
        _check_rule(rule, Path("rules")[index], out, namespaced=False)
    if obj.aggregationRule is None:
        return
    place = Path("aggregationRule") / "clusterRoleSelectors"
    wanted = obj.aggregationRule.clusterRoleSelectors or []
    if not wanted:
        told = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        out.append(required(place, told))
    for index, selector in enumerate(wanted):
        check_selector(selector, place[index], out)


def _check_rule(rule: PolicyRule, path: Path, out: list[Problem], *, namespaced: bool) -> None:
    if not rule.verbs:
        out.append(required(path / "verbs", "verbs must contain at least one value"))
    if rule.nonResourceURLs:
        place, urls = path / "nonResourceURLs", rule.nonResourceURLs
        if namespaced:
            told = "namespaced rules cannot apply to non-resource URLs"
            out.append(invalid(place, urls, told))
        if rule.apiGroups or rule.resources or rule.resourceNames:
            told = "rules cannot apply to both regular resources and non-resource URLs"
            out.append(invalid(place, urls, told))
        return
    if not rule.apiGroups:
        told = "resource rules must supply at least one api group"
        out.append(required(path / "apiGroups", told))
    if not rule.resources:
        told = "resource rules must supply at least one resource"
        out.append(required(path / "resources", told))


def check_role_binding(obj: RoleBinding, out: list[Problem]) -> None:
    """Who has a role within a namespace."""
    _check_ref(obj.roleRef, ("Role", "ClusterRole"), out)
    for index, subject in enumerate(obj.subjects or ()):
        _check_subject(subject, Path("subjects")[index], out, namespaced=True)


def check_cluster_role_binding(obj: ClusterRoleBinding, out: list[Problem]) -> None:
    """Who has a role anywhere."""
    _check_ref(obj.roleRef, ("ClusterRole",), out)
    for index, subject in enumerate(obj.subjects or ()):
        _check_subject(subject, Path("subjects")[index], out, namespaced=False)


def _check_ref(ref: RoleRef, kinds: tuple[str, ...], out: list[Problem]) -> None:
    if ref.apiGroup != GROUP:
        out.append(not_supported(ROLE_REF / "apiGroup", ref.apiGroup or "", (GROUP,)))
    if ref.kind not in kinds:
        out.append(not_supported(ROLE_REF / "kind", ref.kind, kinds))
    if not ref.name:
        out.append(required(ROLE_REF / "name"))
    elif messages := names.path_segment(ref.name):
        out += all_invalid(ROLE_REF / "name", ref.name, messages)


def _check_subject(subject: Subject, path: Path, out: list[Problem], *, namespaced: bool) -> None:
    group = subject.apiGroup or ""
    if not subject.name:
        out.append(required(path / "name"))
    if subject.kind == "ServiceAccount":
        if subject.name and (messages := names.dns1123_subdomain(subject.name)):
            out += all_invalid(path / "name", subject.name, messages)
        if group:
            out.append(not_supported(path / "apiGroup", group, ("",)))
        if not namespaced and not subject.namespace:
            out.append(required(path / "namespace"))
    elif subject.kind in ("User", "Group"):
        if not subject.name:
            told = f"{subject.kind.lower()} name cannot be empty"
            out.append(invalid(path / "name", "", told))
        if group != GROUP:
            out.append(not_supported(path / "apiGroup", group, (GROUP,)))
    else:
        known = ("ServiceAccount", "User", "Group")
        out.append(not_supported(path / "kind", subject.kind, known))


def check_binding_change(
    new: RoleBinding | ClusterRoleBinding,
    old: RoleBinding | ClusterRoleBinding,
    out: list[Problem],
) -> None:
    """A binding to another role is another binding."""
    if new.roleRef != old.roleRef:
        out.append(invalid(ROLE_REF, new.roleRef, "cannot change roleRef"))


VALIDATORS: Final[dict[str, Rules]] = {
    "ClusterRole": rules(check_cluster_role, namespaced=False, name=names.path_segment),
    "ClusterRoleBinding": rules(
        check_cluster_role_binding,
        namespaced=False,
        name=names.path_segment,
        change=check_binding_change,
    ),
    "Role": rules(check_role, name=names.path_segment),
    "RoleBinding": rules(check_role_binding, name=names.path_segment, change=check_binding_change),
}
