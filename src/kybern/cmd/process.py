"""What every long-running program does: an event loop, signals, one sentence when it cannot go on.

In:   a coroutine function.
Out:  its run, ended by SIGTERM or SIGINT with exit code 0, or by a Fatal with exit code 1.
By:   the entry points beside this file.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Fatal(Exception):
    """The program cannot run; the message says why and what to do."""


def run(main: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Run a program until it is told to stop."""
    import uvloop

    logs.configure()
    # what was loaded by now lives as long as the program: no need to look at it again
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        runner.run(_until_stopped(main, name))
    except Fatal as error:
        sys.stderr.write(f"{error}\n")
        _leave(1)
    except BaseException:  # noqa: BLE001 - the last one who can say anything
        logs.get(name).exception("the program ends because of an error nobody expected")
        _leave(1)
    _leave(0)


def _leave(code: int) -> NoReturn:
    """End the process without closing the event loop.

    Everything of ours is closed by now, the kernel closes the sockets, and uvloop's `close`
    sometimes waits for ever for a connected UDP handle that it never closes.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _until_stopped(main: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_report)
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
    try:
        await main()
    except asyncio.CancelledError:
        logs.get(name).info("stopped")
    except BaseExceptionGroup as group:
        raise _first_fatal(group) or group from None


def _report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the event loop could not hand to anybody.

    A TLS connection whose peer dies in the middle of a record is such a thing: uvloop then writes
    to a transport that is gone. Whoever used the connection has been told; no trace is needed.
    """
    log = logs.get("loop")
    error, message = context.get("exception"), context.get("message", "")
    if isinstance(error, OSError) or "SSL" in message:
        log.warning("connection broken off", why=message, error=repr(error))
    elif isinstance(error, Exception):
        log.exception("error in the event loop", error=error, why=message)
    else:
        log.error("error in the event loop", why=message)


def _first_fatal(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the Fatal among what went wrong at the same time."""
    found = group.subgroup(Fatal)
    error: BaseException | None = found
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
