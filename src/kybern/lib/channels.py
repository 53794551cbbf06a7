"""Bounded channels between tasks, each with a stated answer to "full".

In:   items, from any number of senders in the same event loop.
Out:  the same items in the same order, to any number of receivers.
By:   whoever hands work or news from one task to another; `asyncio.Queue` is not used.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Overflow(enum.Enum):
    """What a full channel does with one more item."""

    BLOCK = "block"  # the sender waits
    DROP_NEWEST = "drop newest"  # the new item is lost, and counted
    CLOSE = "close"  # the reader keeps what is queued, then learns that it was too slow


class ChannelClosed(Exception):
    """Nothing more can be sent, or there is nothing more to receive."""


class ReaderTooSlow(ChannelClosed):
    """The channel was closed because it was full; what came after the last item is lost."""


class Channel(Generic[T]):
    """A bounded queue of items between tasks.

    Order is kept. Closing lets the receivers take what is still queued. When several tasks
    receive, each item goes to one of them.
    """

    __slots__ = ("_closed", "_getters", "_items", "_putters", "dropped", "maxsize", "overflow")

    def __init__(self, maxsize: int, overflow: Overflow = Overflow.BLOCK) -> None:
        if maxsize < 1:
            raise ValueError("a channel has a bound of at least 1")
        self.maxsize = maxsize
        self.overflow = overflow
        self.dropped = 0
        self._items: deque[T] = deque()
        self._closed: BaseException | None = None
        self._getters: deque[asyncio.Future[None]] = deque()
        self._putters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Whether sending is over; there may still be items to receive."""
        return self._closed is not None

    def try_send(self, item: T) -> bool:
        """Send without waiting and say whether the item was accepted.

        A full channel answers by its policy: BLOCK and DROP_NEWEST refuse the item (the latter
        counts it), CLOSE closes the channel. A closed channel refuses.
        """
        if self._closed is not None:
            return False
        if len(self._items) >= self.maxsize:
            if self.overflow is Overflow.DROP_NEWEST:
                self.dropped += 1
            elif self.overflow is Overflow.CLOSE:
                self.close(ReaderTooSlow(f"more than {self.maxsize} items were waiting"))
            return False
        self._items.append(item)
        _wake_one(self._getters)
        return True

    async def send(self, item: T) -> None:
        """Send, waiting for room only when the policy is BLOCK.

        Raises:
            ChannelClosed: the channel is closed, or was closed by this item (CLOSE).
        """
        while not self.try_send(item):
            if self._closed is not None:
                raise _again(self._closed)
            if self.overflow is not Overflow.BLOCK:
                return
            await self._wait(self._putters)

    async def recv(self) -> T:
        """Receive the next item, waiting for one.

        Raises:
            ChannelClosed: closed and empty; or what `close` was given.
        """
        await self._wait_for_items()
        item = self._items.popleft()
        _wake_one(self._putters)
        return item

    async def recv_all(self) -> list[T]:
        """Receive everything that is queued, at least one item, waiting for it."""
        await self._wait_for_items()
        items = list(self._items)
        self._items.clear()
        while self._putters:
            _wake_one(self._putters)
        return items

    def close(self, error: BaseException | None = None) -> None:
        """End the channel; receivers get what is queued and then `error`, or `ChannelClosed`."""
        if self._closed is not None:
            return
        self._closed = error or ChannelClosed("the channel is closed")
        for waiters in (self._getters, self._putters):
            while waiters:
                _wake_one(waiters)

    def __aiter__(self) -> Channel[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.recv()
        except ChannelClosed as closed:
            if type(closed) is ChannelClosed:
                raise StopAsyncIteration from None
            raise

    async def _wait_for_items(self) -> None:
        while not self._items:
            if self._closed is not None:
                raise _again(self._closed)
            await self._wait(self._getters)

    async def _wait(self, waiters: deque[asyncio.Future[None]]) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                _wake_one(waiters)  # this turn was ours and we are leaving: pass it on
            elif waiter in waiters:
                waiters.remove(waiter)
            raise


class Broadcaster(Generic[T]):
    """Sends each item to every subscriber; a slow one never delays the others."""

    __slots__ = ("_closed", "_subscribers")

    def __init__(self) -> None:
        self._subscribers: set[Channel[T]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._subscribers)

    def subscribe(self, maxsize: int, overflow: Overflow = Overflow.CLOSE) -> Channel[T]:
        """Return a channel of everything sent from now on; leave by closing it."""
        if overflow is Overflow.BLOCK:
            raise ValueError("a broadcaster does not wait: choose DROP_NEWEST or CLOSE")
        channel: Channel[T] = Channel(maxsize, overflow)
        if self._closed:
            channel.close()
        else:
            self._subscribers.add(channel)
        return channel

    def send(self, item: T) -> None:
        """Send to every subscriber; those which closed, or are too slow, are forgotten."""
        gone = [
            channel
            for channel in self._subscribers
            if not channel.try_send(item) and channel.closed
        ]
        self._subscribers.difference_update(gone)

    def close(self) -> None:
        """End every subscription, after what is queued."""
        self._closed = True
        for channel in self._subscribers:
            channel.close()
        self._subscribers.clear()


def _wake_one(waiters: deque[asyncio.Future[None]]) -> None:
    while waiters:
        waiter = waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return


def _again(error: BaseException) -> BaseException:
    # Each raise of one shared object would add to the same traceback.
    return error.with_traceback(None)
