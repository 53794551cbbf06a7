"""Zero values that are encoded although they are defaults.

`omit_defaults` leaves out what `list`, `dict` or a literal default made. Upstream always writes
required fields, so their zero values come from the functions here, which
msgspec does not look into.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@functools.cache
def always(value: str) -> Callable[[], str]:
    """Return a factory of this one value."""
    return lambda: value


def empty_list() -> list[Any]:
    """Return a list that is written even when it stays empty."""
    return []


def empty_dict() -> dict[str, Any]:
    """Return a map that is written even when it stays empty."""
    return {}
