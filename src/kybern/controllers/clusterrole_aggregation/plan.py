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
    """Return the rules of what a role selects, each once, by selectors and then by names."""
    assert role.aggregationRule is not None
    others = sorted(
        (other for other in roles if other.metadata.name != role.metadata.name),
        key=lambda other: other.metadata.name or "",
    )
    found: list[PolicyRule] = []
    for struct in role.aggregationRule.clusterRoleSelectors or ():
        selector = selectors.from_struct(struct)
        for other in others:
            if not selector.matches(other.metadata.labels):
                continue
            for rule in other.rules or ():
                if not any(codec.equal(rule, known) for known in found):
                    found.append(rule)
    return found
