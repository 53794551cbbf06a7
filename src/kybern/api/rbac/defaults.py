"""What role bindings get that their author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/rbac/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.rbac.v1 import ClusterRoleBinding, RoleBinding

GROUP: Final = "rbac.authorization.k8s.io"


def default_binding(obj: RoleBinding | ClusterRoleBinding) -> None:
    """The groups of the role and of its subjects."""
    obj.roleRef.apiGroup = obj.roleRef.apiGroup or GROUP
    for subject in obj.subjects or ():
        if not subject.apiGroup and subject.kind in ("User", "Group"):
            subject.apiGroup = GROUP


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "ClusterRoleBinding": default_binding,
    "RoleBinding": default_binding,
}
