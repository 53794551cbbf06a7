"""What a RuntimeClass gets: its overhead as resource lists are stored.

In:   an object as decoded.
Out:  the same object, in place.
By:   `api.defaults`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.core.pod_defaults import round_resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.node.v1 import RuntimeClass


def default_runtime_class(obj: RuntimeClass) -> None:
    """Quantities of the overhead."""
    if obj.overhead is not None:
        round_resources(obj.overhead.podFixed)


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {"RuntimeClass": default_runtime_class}
