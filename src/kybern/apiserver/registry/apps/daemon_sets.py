"""DaemonSets: they count the changes of their template in an annotation, as they always have.

In:   DaemonSets to be created or changed.
Out:  `deprecated.daemonset.template.generation`.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import codec
from kybern.api.decimals import natural
from kybern.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext

TEMPLATE_GENERATION: Final = "deprecated.daemonset.template.generation"


class DaemonSetStrategy(Strategy):
    """DaemonSets."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Begin to count at one, or where the creator says."""
        super().prepare_for_create(ctx, obj)
        _count(obj, max(1, _generation(obj)))

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Count one more when the template changed."""
        super().prepare_for_update(ctx, obj, old)
        same = codec.equal(obj.spec.template, old.spec.template)
        _count(obj, _generation(old) + (not same))


def _generation(obj: Any) -> int:
    return natural((obj.metadata.annotations or {}).get(TEMPLATE_GENERATION, "")) or 0


def _count(obj: Any, generation: int) -> None:
    if generation or TEMPLATE_GENERATION in (obj.metadata.annotations or {}):
        annotations = {**(obj.metadata.annotations or {}), TEMPLATE_GENERATION: str(generation)}
        obj.metadata.annotations = annotations
