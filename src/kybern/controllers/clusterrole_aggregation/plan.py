"""The rules of an aggregated ClusterRole.

In:   the role, and all others.
Out:  its rules.
By:   clusterrole_aggregation.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec, selectors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.rbac.v1 import ClusterRole, PolicyRule


def rules(role: ClusterRole, roles: Iterable[ClusterRole]) -> list[PolicyRule]:
    """Return the rules of everything a role selects, each once, in the order of names."""
    assert role.aggregationRule is not None
    chosen = [
        selectors.from_struct(selector)
        for selector in role.aggregationRule.clusterRoleSelectors or ()
    ]
    found: list[PolicyRule] = []
    for other in sorted(roles, key=lambda each: each.metadata.name or ""):
        if other.metadata.name == role.metadata.name:
            continue
        if not any(selector.matches(other.metadata.labels) for selector in chosen):
            continue
        for rule in other.rules or ():
            if not any(codec.equal(rule, known) for known in found):
                found.append(rule)
    return found
