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
    from collections.abc import Iterator


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
    began = SYSTEM.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console

        console = Console(stderr=True)
        try:
            with console.status(f"{doing} …"):
                yield
        except BaseException:
            console.print(f"[red]✗[/] {doing}")
            raise
        took = SYSTEM.monotonic() - began
        console.print(f"[green]✓[/] {done or doing} [dim]{took:.1f} s[/]", highlight=False)
        return
    yield
    say(f"{done or doing} ({SYSTEM.monotonic() - began:.1f} s)")
