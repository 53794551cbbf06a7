"""What PriorityClasses must be.

In:   a PriorityClass; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/scheduling/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api.field_path import Path, Problem, forbidden, not_supported, required
from kybern.api.meta.validation import METADATA, check_immutable
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.scheduling.v1 import PriorityClass

HIGHEST: Final = 1_000_000_000
SYSTEM: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
PREEMPTION: Final = ("PreemptLowerPriority", "Never")


def check_priority_class(obj: PriorityClass, out: list[Problem]) -> None:
    """A name for a priority; the highest are the system's."""
    name, value = obj.metadata.name or "", obj.value or 0
    if name.startswith("system-"):
        # The two that exist are made by the API server, exactly so.
        if SYSTEM.get(name) != value or obj.globalDefault:
            told = "priority class names with 'system-' prefix are reserved for system use only"
            out.append(forbidden(METADATA / "name", told))
    elif value > HIGHEST:
        told = f"maximum allowed value of a user defined priority is {HIGHEST}"
        out.append(forbidden(Path("value"), told))
    policy = obj.preemptionPolicy
    place = Path("preemptionPolicy")
    if policy is not None and policy not in PREEMPTION:
        out.append(not_supported(place, policy, PREEMPTION) if policy else required(place))


def check_priority_class_change(new: PriorityClass, old: PriorityClass, out: list[Problem]) -> None:
    """Pods already have the number."""
    if (new.value or 0) != (old.value or 0):
        out.append(forbidden(Path("value"), "may not be changed in an update."))
    check_immutable(new.preemptionPolicy, old.preemptionPolicy, Path("preemptionPolicy"), out)


VALIDATORS: Final[dict[str, Rules]] = {
    "PriorityClass": rules(
        check_priority_class, namespaced=False, change=check_priority_class_change
    ),
}
