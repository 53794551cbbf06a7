"""Time: the only module that reads it.

In:   nothing; or, under `run_virtual`, a coroutine to run in simulated time.
Out:  a `Clock` to hand to whoever needs the time, and the text forms of RFC 3339.
By:   everything that waits or stamps; decisions get `now` as a plain number instead.

In virtual time the event loop jumps to the next timer as soon as nothing is ready to run, so
a simulated day takes as long as the work done in it. Given a source of chance, the loop also
draws which of the ready callbacks runs next: each seed is another order of events, and the same
seed always the same one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import selectors
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from random import Random

T = TypeVar("T")


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> float:
        """Return the wall-clock time as seconds since 1970."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes backwards."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long; zero or less yields once to other tasks."""


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    def now(self) -> float:
        """Return the wall-clock time as seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that long; zero or less yields once to other tasks."""
        await asyncio.sleep(seconds)


SYSTEM: Clock = SystemClock()


class VirtualClock:
    """The clock of a `VirtualLoop`: wall time is `start` plus what the loop has simulated."""

    __slots__ = ("start",)

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self.start = start

    def now(self) -> float:
        """Return the simulated wall-clock time as seconds since 1970."""
        return self.start + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        """Return the simulated seconds since the loop began."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait that long in simulated time."""
        await asyncio.sleep(seconds)


class Deadlock(RuntimeError):
    """In virtual time every task waits, and no timer, thread or socket will wake one."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer when nothing else is ready.

    Work in threads does not count as idleness: while a `run_in_executor` call is out, or inside
    `outside()`, time stands still and the loop waits for real.
    """

    def __init__(self, patience: float = 5.0, rng: Random | None = None) -> None:
        """Make a loop at time 0.

        Args:
            patience: the real seconds before `Deadlock` is raised.
            rng: draws what runs next; first come, first served when None. Work for threads is
                then done at once instead.
        """
        self.elapsed = 0.0
        self.patience = patience
        self.outstanding = 0
        super().__init__(_JumpingSelector(self))
        self._draws = rng is not None
        if rng is not None:
            self._ready = _Lottery(rng)
            self.set_task_factory(_numbered())

    def time(self) -> float:
        """Return the simulated seconds since the loop began."""
        return self.elapsed

    def run_in_executor(  # type: ignore[override]  # the future's type is the same at run time
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run in a thread, holding simulated time until it answers.

        Where what runs next is drawn, it runs at once: threads answer in no order that could be
        had again.
        """
        if self._draws:
            return self._at_once(func, *args)
        future = super().run_in_executor(executor, func, *args)
        self.outstanding += 1
        future.add_done_callback(self._returned)
        return future

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """Hold simulated time while something outside the loop is at work."""
        self.outstanding += 1
        try:
            yield
        finally:
            self.outstanding -= 1

    def _at_once(self, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is raised to whoever waits for the answer
            future.set_exception(error)
        return future

    def _returned(self, _future: asyncio.Future[Any]) -> None:
        self.outstanding -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: where the real selector would block, simulated time moves on."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        loop = self._loop
        if loop.outstanding:
            return super().select(loop.patience)
        if timeout is not None:
            loop.elapsed += timeout
            return events
        events = super().select(loop.patience)
        if not events:
            raise Deadlock("every task waits and no timer is set")
        return events


class _Lottery(deque[asyncio.Handle]):
    """What is ready to run; the next is drawn from the few that have waited longest.

    So nothing starves: whatever is at the head runs, on average, after `TICKETS` draws.
    """

    TICKETS = 8

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._random = rng.random

    def popleft(self) -> asyncio.Handle:
        count = len(self)
        if count > 1:
            drawn = int(self._random() * min(count, self.TICKETS))
            if drawn:
                self[0], self[drawn] = self[drawn], self[0]
        return super().popleft()


class _NumberedTask(asyncio.Task[Any]):
    """A task with a hash of its own: sets of tasks have the same order in every run."""

    number = 0

    def __hash__(self) -> int:
        return self.number


def _numbered() -> Callable[..., asyncio.Task[Any]]:
    count = 0

    def make(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> asyncio.Task[Any]:
        nonlocal count
        count += 1
        _NumberedTask.number = count  # the constructor already asks for the hash
        task = _NumberedTask(coro, loop=loop, **more)
        task.number = count
        return task

    return make


def run_virtual(
    main: Coroutine[Any, Any, T], *, patience: float = 5.0, rng: Random | None = None
) -> T:
    """Run a coroutine to its end in virtual time and return its result."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(patience, rng)) as runner:
        return runner.run(main)


# --- RFC 3339 ------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))",
    re.ASCII,
)
_last_second: tuple[int, str] = (0, "1970-01-01T00:00:00")


def _to_second(second: int) -> str:
    # Most stamps made in a row are of the same second.
    global _last_second
    known, text = _last_second
    if known != second:
        year, month, day, hour, minute, sec = time.gmtime(second)[:6]
        text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{sec:02}"
        _last_second = (second, text)
    return text


def rfc3339(timestamp: float) -> str:
    """Write a time as `2026-01-02T03:04:05Z`, the fraction cut off."""
    return _to_second(int(timestamp // 1)) + "Z"


def rfc3339_milli(timestamp: float) -> str:
    """Write a time as `2026-01-02T03:04:05.123Z`."""
    second, milli = divmod(int(timestamp * 1000 // 1), 1000)
    return f"{_to_second(second)}.{milli:03}Z"


def rfc3339_micro(timestamp: float) -> str:
    """Write a time as `2026-01-02T03:04:05.123456Z`, to the nearest microsecond."""
    second, micro = divmod(round(timestamp * 1_000_000), 1_000_000)
    return f"{_to_second(second)}.{micro:06}Z"


def parse_rfc3339(text: str) -> float:
    """Read an RFC 3339 time with any offset and up to nine digits of fraction.

    Raises:
        ValueError: the text is not such a time, or names a day or hour that does not exist.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    year, month, day, hour, minute, second, fraction, sign, off_hour, off_minute = match.groups()
    moment = datetime(
        int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC
    )
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    if sign:
        if int(off_hour) > 23 or int(off_minute) > 59:
            raise ValueError(f"not an RFC 3339 time: {text!r}")
        offset = int(off_hour) * 3600 + int(off_minute) * 60
        seconds += offset if sign == "-" else -offset
    if not fraction:
        return float(seconds)
    return float(f"{seconds}.{fraction}") if seconds >= 0 else seconds + float(f"0.{fraction}")
