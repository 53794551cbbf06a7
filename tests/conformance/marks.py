"""Which upstream conformance test one of ours stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def conforms(*codenames: str) -> Callable[[T], T]:
    """Say that a test demands what these upstream tests demand.

    The names are read from the source by tools/conformance_table.py, so they must be literals.
    """

    def mark(test: T) -> T:
        test.conforms = codenames  # type: ignore[attr-defined]
        return test

    return mark
