"""What Leases must be.

In:   a Lease.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/coordination/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.field_path import Problem, all_invalid, forbidden, invalid
from kybern.api.meta.validation import SPEC, check_not_negative
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.coordination.v1 import Lease


def check_lease(obj: Lease, out: list[Problem]) -> None:
    """Who holds something, and for how long."""
    spec = obj.spec
    if spec.leaseDurationSeconds is not None and spec.leaseDurationSeconds <= 0:
        told = "must be greater than 0"
        out.append(invalid(SPEC / "leaseDurationSeconds", spec.leaseDurationSeconds, told))
    check_not_negative(spec.leaseTransitions, SPEC, "leaseTransitions", out)
    if spec.strategy is not None and (messages := names.qualified_name(spec.strategy)):
        out += all_invalid(SPEC / "strategy", spec.strategy, messages)
    if spec.preferredHolder and not spec.strategy:
        told = "may only be specified if `strategy` is defined"
        out.append(forbidden(SPEC / "preferredHolder", told))


VALIDATORS: Final[dict[str, Rules]] = {"Lease": rules(check_lease)}
