"""Roles and bindings, from the tables to objects, and into the store.

In:   the tables of roles.py, controller_roles.py and namespaced_roles.py.
Out:  stored ClusterRoles, Roles and bindings; existing ones get what they lack, unless their
      annotation says to leave them alone.
By:   bootstrap.start.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.api.rbac.v1 import (
    AggregationRule,
    ClusterRole,
    ClusterRoleBinding,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)
from kybern.apiserver.bootstrap import namespaced_roles
from kybern.apiserver.bootstrap.controller_roles import CONTROLLERS
from kybern.apiserver.bootstrap.roles import AGGREGATED, BINDINGS, PARTS, ROLES
from kybern.apiserver.registry.rbac.rules import Rule, uncovered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kybern.apiserver.bootstrap.loopback import Loopback

GROUP = "rbac.authorization.k8s.io"
LABEL = {"kubernetes.io/bootstrapping": "rbac-defaults"}
UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
COLLECT = "rbac.authorization.k8s.io/aggregate-to-"
CONTROLLER = "system:controller:"


def rule(line: str) -> PolicyRule:
    """Read one line of a table."""
    verbs, groups, resources, *names = line.split(": ")
    if groups == "url":
        return PolicyRule(verbs=sorted(verbs.split()), nonResourceURLs=sorted(resources.split()))
    return PolicyRule(
        verbs=sorted(verbs.split()),
        apiGroups=sorted("" if group == "core" else group for group in groups.split()),
        resources=sorted(resources.split()),
        resourceNames=sorted(names[0].split()) if names else None,
    )


def objects() -> Iterator[Any]:
    """Return every role and binding."""
    for name, lines in ROLES.items():
        labels = {COLLECT + PARTS[name]: "true"} if name in PARTS else {}
        yield ClusterRole(metadata=_meta(name, labels=labels), rules=_rules(lines))
    for name, (collects, collected) in AGGREGATED.items():
        labels = {COLLECT + collected: "true"} if collected else {}
        yield ClusterRole(
            metadata=_meta(name, labels=labels),
            aggregationRule=AggregationRule(
                clusterRoleSelectors=[LabelSelector(matchLabels={COLLECT + collects: "true"})]
            ),
            rules=_rules(_collected(collects)),
        )
    for name, subjects in BINDINGS.items():
        yield _cluster_binding(name, subjects)
    for name, lines in CONTROLLERS.items():
        yield ClusterRole(metadata=_meta(CONTROLLER + name), rules=_rules(lines))
        yield _cluster_binding(CONTROLLER + name, (f"ServiceAccount kube-system/{name}",))
    for (namespace, name), lines in namespaced_roles.ROLES.items():
        yield Role(metadata=_meta(name, namespace), rules=_rules(lines))
    for (namespace, name), (role, subjects) in namespaced_roles.BINDINGS.items():
        yield RoleBinding(
            metadata=_meta(name, namespace),
            roleRef=RoleRef(apiGroup=GROUP, kind="Role", name=role),
            subjects=[_subject(text) for text in subjects],
        )


async def ensure(loopback: Loopback) -> None:
    """Store what is missing."""
    async with asyncio.TaskGroup() as group:
        for obj in objects():
            group.create_task(_ensure(loopback, obj), name=obj.metadata.name)


async def _ensure(loopback: Loopback, wanted: Any) -> None:
    meta = wanted.metadata
    found = loopback.get(type(wanted), meta.name, meta.namespace or "")
    if found is None:
        await loopback.create(wanted)
        return
    if (found.metadata.annotations or {}).get(UPDATE) != "true" or not _complete(found, wanted):
        return
    await loopback.complete(found)


def _complete(found: Any, wanted: Any) -> bool:
    """Add to an existing object what it lacks; say whether it lacked anything."""
    lacking = False
    labels = found.metadata.labels or {}
    if not wanted.metadata.labels.items() <= labels.items():
        found.metadata.labels = {**labels, **wanted.metadata.labels}
        lacking = True
    if isinstance(wanted, (ClusterRole, Role)):
        if getattr(wanted, "aggregationRule", None) is not None or found.rules == wanted.rules:
            return lacking
        owned = [Rule(r) for r in found.rules or ()]
        extra = [r for r in wanted.rules or () if uncovered(owned, [r])]
        if extra:
            found.rules = [*(found.rules or ()), *extra]
        return lacking or bool(extra)
    missing = [s for s in wanted.subjects or () if s not in (found.subjects or ())]
    if missing:
        found.subjects = [*(found.subjects or ()), *missing]
    return lacking or bool(missing)


def _collected(name: str) -> list[str]:
    """Return the lines of all roles that the label of `name` collects, in order of names."""
    parts = [part for part, label in PARTS.items() if label == name]
    parts += [role for role, (_, label) in AGGREGATED.items() if label == name]
    lines: list[str] = []
    for part in sorted(parts):
        lines += ROLES[part] if part in ROLES else _collected(AGGREGATED[part][0])
    return list(dict.fromkeys(lines))


def _rules(lines: Iterable[str]) -> list[PolicyRule]:
    return [rule(line) for line in lines]


def _meta(name: str, namespace: str = "", labels: dict[str, str] | None = None) -> ObjectMeta:
    return ObjectMeta(
        name=name,
        namespace=namespace or None,
        labels={**LABEL, **(labels or {})},
        annotations={UPDATE: "true"},
    )


def _cluster_binding(name: str, subjects: Iterable[str]) -> ClusterRoleBinding:
    return ClusterRoleBinding(
        metadata=_meta(name),
        roleRef=RoleRef(apiGroup=GROUP, kind="ClusterRole", name=name),
        subjects=[_subject(text) for text in subjects] or None,
    )


def _subject(text: str) -> Subject:
    kind, name = text.split(" ")
    if kind == "ServiceAccount":
        namespace, _, account = name.partition("/")
        return Subject(kind=kind, name=account, namespace=namespace)
    return Subject(kind=kind, apiGroup=GROUP, name=name)
