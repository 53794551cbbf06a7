"""Values that may be absent.

In:   values.
Out:  `FUNCTIONS`, a table of overloads. `.?`, `[?]`, optMap and optFlatMap are syntax.
By:   environments that want them.
"""

from __future__ import annotations

from typing import Any

from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.values import NONE, EvalError, Optional


def _value(wrapped: Optional) -> Any:
    if wrapped.present:
        return wrapped.value
    raise EvalError("optional.none() dereference")


def _of_non_zero(value: Any) -> Optional:
    return Optional(value) if _is_something(value) else NONE


def _is_something(value: Any) -> bool:
    if isinstance(value, Optional):
        return value.present
    ns = getattr(value, "ns", None)
    return bool(value) if ns is None else bool(ns)


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "optional.of": (Overload("V -> optional(V)", Optional),),
    "optional.ofNonZeroValue": (Overload("V -> optional(V)", _of_non_zero),),
    "optional.none": (Overload("-> optional(V)", lambda: NONE),),
    "hasValue": (Overload("optional(V) -> bool", lambda o: o.present, member=True),),
    "value": (Overload("optional(V) -> V", _value, member=True),),
    "or": (
        Overload(
            "optional(V), optional(V) -> optional(V)", lambda a, b: a if a.present else b,
            member=True,
        ),
    ),
    "orValue": (
        Overload(
            "optional(V), V -> V", lambda o, other: o.value if o.present else other, member=True
        ),
    ),
}  # fmt: skip
