"""What the kinds of flow control get that their author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/flowcontrol/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.flowcontrol import v1

if TYPE_CHECKING:
    from collections.abc import Callable

PRECEDENCE: Final = 1000
SHARES: Final = 30


def default_flow_schema(obj: v1.FlowSchema) -> None:
    """Where it stands among the others."""
    obj.spec.matchingPrecedence = obj.spec.matchingPrecedence or PRECEDENCE


def default_priority_level(obj: v1.PriorityLevelConfiguration) -> None:
    """Shares, and the sizes of its queues."""
    spec = obj.spec
    if spec.type == "Exempt" and spec.exempt is None:
        spec.exempt = v1.ExemptPriorityLevelConfiguration()
    if spec.exempt is not None:
        if spec.exempt.nominalConcurrencyShares is None:
            spec.exempt.nominalConcurrencyShares = 0
        if spec.exempt.lendablePercent is None:
            spec.exempt.lendablePercent = 0
    limited = spec.limited
    if limited is None:
        return
    if limited.nominalConcurrencyShares is None:
        limited.nominalConcurrencyShares = SHARES
    if limited.lendablePercent is None:
        limited.lendablePercent = 0
    queuing = limited.limitResponse.queuing if limited.limitResponse is not None else None
    if queuing is not None:
        queuing.queues = queuing.queues or 64
        queuing.handSize = queuing.handSize or 8
        queuing.queueLengthLimit = queuing.queueLengthLimit or 50


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "FlowSchema": default_flow_schema,
    "PriorityLevelConfiguration": default_priority_level,
}
