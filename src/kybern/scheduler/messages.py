"""Upstream's sentences about pods that found no node, which people and programs read.

In:   how many nodes there are, why they do not fit, what preemption had to say.
Out:  the text of the pod's condition and of the event.
By:   cycle, preemption, loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_NODES: Final = "no nodes available to schedule pods"
UNHELPFUL: Final = "Preemption is not helpful for scheduling"
NO_VICTIMS: Final = "No preemption victims found for incoming pod"
NEVER: Final = "not eligible due to preemptionPolicy=Never."
VICTIMS_LEAVING: Final = "not eligible due to a terminating pod on the nominated node."
# What upstream's plugin for dynamic resources says before preemption has its turn.
NO_CLAIMS: Final = "no new claims to deallocate"


def unavailable(nodes: int, reasons: Mapping[str, int], rejection: str = "") -> str:
    """Return `0/3 nodes are available: 2 Insufficient cpu, 1 …`; or the one reason for all."""
    if rejection:
        return f"0/{nodes} nodes are available: {rejection}."
    if not reasons:
        return f"0/{nodes} nodes are available:"
    counted = sorted(f"{count} {reason}" for reason, count in reasons.items())
    return f"0/{nodes} nodes are available: {', '.join(counted)}."


def with_preemption(text: str, preemption: str) -> str:
    """Add what preemption found."""
    return f"{text} {NO_CLAIMS}, preemption: {preemption}"
