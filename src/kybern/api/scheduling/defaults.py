"""What a PriorityClass gets that its author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/scheduling/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.scheduling.v1 import PriorityClass


def default_priority_class(obj: PriorityClass) -> None:
    """The important may push the unimportant out."""
    if obj.preemptionPolicy is None:
        obj.preemptionPolicy = "PreemptLowerPriority"


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {"PriorityClass": default_priority_class}
