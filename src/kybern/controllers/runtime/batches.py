"""Doing the same to many objects.

In:   the objects and what to do to one.
Out:  everything done, or the first reason why not.
By:   controllers that make and delete pods.

One, two, four, … at a time: what fails for one mostly fails for all, and a quota that is used up
should not cost ten thousand requests.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from kybern.api import errors
from kybern.client.transport import Unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")

FAILURES = (errors.ApiError, Unreachable)


async def slow_start(
    items: Sequence[T], do: Callable[[T], Awaitable[None]], *, first: int = 1
) -> Exception | None:
    """Do something to each, in batches that double; after one with a failure, return that."""
    failures: list[Exception] = []

    async def one(item: T) -> None:
        try:
            await do(item)
        except FAILURES as error:
            failures.append(error)

    start, size = 0, first
    while start < len(items) and not failures:
        async with asyncio.TaskGroup() as group:
            for item in items[start : start + size]:
                group.create_task(one(item))
        start += size
        size *= 2
    return failures[0] if failures else None


def namespace_is_terminating(error: Exception) -> bool:
    """Whether something failed only because its namespace is on its way out."""
    return isinstance(error, errors.ApiError) and any(
        cause.get("reason") == "NamespaceTerminating" for cause in error.causes
    )
