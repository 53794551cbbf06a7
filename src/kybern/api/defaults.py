"""Defaults of every built-in kind.

In:   an object as decoded from a request.
Out:  the same object, in place, with what its author left out.
By:   the codec's callers in create, update and patch; the kubelet for pods from files.

`DEFAULTERS[group, kind]` is the function of one kind; kinds without defaults are not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.by_group import ByGroup
from kybern.api.scheme import SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULTERS: Final[ByGroup[Callable[[Any], None]]] = ByGroup("defaults", "DEFAULTERS")


def apply(obj: Any) -> None:
    """Fill in the defaults of an object of a built-in kind."""
    kind = SCHEME.of(obj)
    fill = DEFAULTERS.get((kind.group, kind.kind))
    if fill is not None:
        fill(obj)
