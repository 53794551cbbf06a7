"""What a container gets that asks for nothing, and what it may ask for at most.

In:   pods and claims to be created, and the LimitRanges of their namespace.
Out:  default requests and limits filled in; Forbidden where a range is left.
By:   admission.plugins. The decisions are in limits.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core.v1 import LimitRange
from kybern.apiserver.admission import limits
from kybern.apiserver.admission.looking import Lookup, named
from kybern.apiserver.registry.review import CREATE, UPDATE

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review


class LimitRanger:
    """Applies the ranges of a namespace."""

    def __init__(self, services: Services) -> None:
        self._ranges = Lookup(services, LimitRange)

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want new pods, resized pods, and claims."""
        if group:
            return False
        if plural == "pods":
            return (subresource, operation) in (("", CREATE), ("resize", UPDATE))
        return plural == "persistentvolumeclaims" and not subresource and operation != "DELETE"

    def mutate(self, review: Review) -> None:
        """Fill in what the ranges give."""
        if review.resource.kind.kind != "Pod" or review.operation != CREATE:
            return
        for each in self._ranges.all(review.namespace):
            limits.apply_defaults(review.obj, each)

    def validate(self, review: Review) -> None:
        """Refuse what is outside of a range."""
        for each in self._ranges.all(review.namespace):
            problems = self._problems(review, each)
            if problems:
                text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
                raise errors.Forbidden.of(review.resource.kind, named(review), text)

    def _problems(self, review: Review, each: LimitRange) -> list[str]:
        obj: Any = review.obj
        if review.resource.kind.kind == "Pod":
            return limits.pod_problems(obj, each)
        return limits.claim_problems(obj, each)
