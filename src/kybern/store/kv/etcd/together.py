"""One question for all who have it.

In:   a question whose answer is good for whoever asked before it was sent.
Out:  its answer, to all of them.
By:   `engine`, for the current revision: a thousand reads at a time ask etcd once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from kybern.store.interface import StoreClosed, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kybern.lib.tasks import Tasks

T = TypeVar("T")


class Together(Generic[T]):
    """Asks at most one question at a time, and another one when somebody came in the meantime."""

    def __init__(self, ask: Callable[[], Awaitable[T]], tasks: Tasks, name: str) -> None:
        self._ask = ask
        self._tasks = tasks
        self._name = name
        self._next: asyncio.Future[T] | None = None
        self._asking = False

    async def __call__(self) -> T:
        """Return an answer to a question that was sent after this call.

        Raises:
            StoreError: the question's.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            if not self._asking:
                self._asking = True
                self._tasks.spawn(self._run(), name=self._name)
        return await asyncio.shield(self._next)

    async def _run(self) -> None:
        try:
            while (answer := self._next) is not None:
                self._next = None
                await self._answer(answer)
        finally:
            self._asking = False

    async def _answer(self, answer: asyncio.Future[T]) -> None:
        try:
            answer.set_result(await self._ask())
        except StoreError as error:
            answer.set_exception(error)
        except BaseException:
            answer.set_exception(StoreClosed())
            raise
        finally:
            answer.exception()  # nobody may be waiting any more
