"""Progress of a long action.

In:   the names of the steps, as they begin and end.
Out:  a spinner with the time on a terminal; plain lines elsewhere.
By:   the verbs. Everything goes to standard error: standard output is for results.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console


def say(text: str) -> None:
    """Write a line to the user."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def step(doing: str, done: str = "") -> Iterator[None]:
    """Show that something goes on, and how long it took.

    Args:
        doing: `Starting the control plane`.
        done: what to say afterwards; the same words when empty.
    """
    if sys.stderr.isatty():
        from rich.console import Console

        console = Console(stderr=True)
        with _ticked(console, doing, done), console.status(f"{doing} …"):
            yield
        return
    began = SYSTEM.monotonic()
    yield
    say(f"{done or doing} ({SYSTEM.monotonic() - began:.1f} s)")


@contextmanager
def counted(doing: str, done: str = "") -> Iterator[Callable[[int, int], None]]:
    """Show an action of many like steps; call what is returned with how many are done, of all."""
    if not sys.stderr.isatty():
        with step(doing, done):
            yield lambda _made, _all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        "{task.description} …", BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
        console=console, transient=True,
    )  # fmt: skip
    with _ticked(console, doing, done), bar:
        task = bar.add_task(doing, total=None)
        yield lambda made, every: bar.update(task, completed=made, total=every)


@contextmanager
def _ticked(console: Console, doing: str, done: str) -> Iterator[None]:
    """Tick the action off when it is over, with the time it took."""
    began = SYSTEM.monotonic()
    try:
        yield
    except BaseException:
        console.print(f"[red]✗[/] {doing}")
        raise
    took = SYSTEM.monotonic() - began
    console.print(f"[green]✓[/] {done or doing} [dim]{took:.1f} s[/]", highlight=False)
