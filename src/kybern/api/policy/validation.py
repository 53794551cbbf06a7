"""What PodDisruptionBudgets must be.

In:   a PodDisruptionBudget; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/policy/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api.apps.validation import check_at_most_all, check_int_or_percent
from kybern.api.field_path import Problem, invalid, not_supported
from kybern.api.meta.validation import (
    SPEC,
    STATUS,
    check_all_not_negative,
    check_meta_update,
    check_selector,
)
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.policy.v1 import PodDisruptionBudget

EVICTIONS: Final = ("AlwaysAllow", "IfHealthyBudget")
COUNTS: Final = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def check_budget(obj: PodDisruptionBudget, out: list[Problem]) -> None:
    """How many pods must stay, or may go."""
    spec = obj.spec
    if spec.minAvailable is not None and spec.maxUnavailable is not None:
        told = "minAvailable and maxUnavailable cannot be both set"
        out.append(invalid(SPEC, spec, told))
    for field in ("minAvailable", "maxUnavailable"):
        value = getattr(spec, field)
        if value is not None:
            check_int_or_percent(value, SPEC / field, out)
            check_at_most_all(value, SPEC / field, out)
    check_selector(spec.selector, SPEC / "selector", out)
    policy = spec.unhealthyPodEvictionPolicy
    if policy is not None and policy not in EVICTIONS:
        out.append(not_supported(SPEC / "unhealthyPodEvictionPolicy", policy, EVICTIONS))


def validate_budget_status_update(
    new: PodDisruptionBudget, old: PodDisruptionBudget
) -> list[Problem]:
    """New counts."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    check_all_not_negative(new.status, STATUS, COUNTS, out)
    return out


VALIDATORS: Final[dict[str, Rules]] = {
    "PodDisruptionBudget": rules(check_budget, status=validate_budget_status_update),
}
