"""How long a pod may stay on a node with taints.

In:   a pod, the taints of its node, since when it has been there with them.
Out:  the moment it has to go.
By:   tainteviction.controller. Pure.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from kybern.api.core import pods as ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.core.v1 import Node, Pod, Taint

NO_EXECUTE = "NoExecute"


def driving_off(node: Node | None) -> tuple[Taint, ...]:
    """Return the taints that drive pods off a node."""
    if node is None:
        return ()
    return tuple(taint for taint in node.spec.taints or () if taint.effect == NO_EXECUTE)


def may_stay(pod: Pod, taints: Sequence[Taint]) -> float:
    """Return for how many seconds a pod may stay: 0 for not at all, infinity for ever."""
    longest = inf
    for taint in taints:
        allowing = [each for each in pod.spec.tolerations or () if ask.tolerates(each, taint)]
        if not allowing:
            return 0.0
        for toleration in allowing:
            if toleration.tolerationSeconds is not None:
                longest = min(longest, max(0.0, float(toleration.tolerationSeconds)))
    return longest
