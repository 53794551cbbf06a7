"""Start, ask and stop the supervisor of a cluster.

In:   a Directory and the list of programs.
Out:  a running supervisor, its state, or an error in one sentence.
By:   the verbs `up`, `down` and `status`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.cluster import supervisor

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory


START_TIMEOUT = 10.0  # seconds


class StartError(Exception):
    """The supervisor did not start; the message is what it said."""


class StopTimeoutError(Exception):
    """The supervisor did not end in time."""


@dataclass(frozen=True, slots=True)
class Program:
    """One program for the supervisor to keep running."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]


@dataclass(frozen=True, slots=True)
class Running:
    """One program as the supervisor sees it; pid 0 means that it waits for its next start."""

    name: str
    pid: int
    started: float
    restarts: int
    last_exit: str
    log: Path


def start(
    directory: Directory,
    programs: list[Program],
    cleanup: Program | None,
    within: tuple[str, ...] = (),
) -> int:
    """Start the supervisor, detached from the terminal; return its process id.

    From then on `find` finds it, and `stop` stops it. `within` are the words which run a command
    somewhere else, in another network namespace for example.

    Raises:
        StartError: it ended at once.
    """
    plan = {
        "processes": [_spec(directory, p) for p in programs],
        "cleanup": _spec(directory, cleanup) if cleanup else None,
    }
    directory.state.unlink(missing_ok=True)
    descriptor = os.open(directory.processes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(plan, file)
    log = directory.logs / "supervisor.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*within, sys.executable, "-I", "-S", supervisor.__file__, str(directory.root)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            cwd="/",
        )  # fmt: skip
    wait_until(lambda: directory.state.exists() or process.poll() is not None, START_TIMEOUT, 0.005)
    if not directory.state.exists():
        raise StartError(
            f"the supervisor does not start: {tail(log, 1) or 'it says nothing'}. Its log is {log}."
        )
    return process.pid


def clean_up(
    directory: Directory,
    helpers: list[Program],
    cleanup: Program,
    within: tuple[str, ...] = (),
) -> None:
    """Run the clean-up of a cluster whose supervisor was killed, with what it needs to run.

    Raises:
        StartError, StopTimeoutError: as from `start` and `stop`.
    """
    if helpers:
        start(directory, helpers, cleanup, within)
        stop(directory)
        return
    with (directory.logs / f"{cleanup.name}.log").open("ab") as log:
        subprocess.run(
            [*within, *cleanup.argv],
            env={**os.environ, **cleanup.env},
            stdout=log,
            stderr=log,
            check=False,
        )
    directory.state.unlink(missing_ok=True)


def _spec(directory: Directory, program: Program) -> dict[str, object]:
    log = directory.logs / f"{program.name}.log"
    return {
        "name": program.name, "argv": list(program.argv), "env": program.env, "log": str(log),
    }  # fmt: skip


def find(directory: Directory) -> tuple[int, list[Running]] | None:
    """Return the supervisor's process id and its programs, or None when none runs."""
    try:
        state = json.loads(directory.state.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not _is_supervisor(state["pid"], directory):
        return None
    children = [
        Running(c["name"], c["pid"], c["started"], c["restarts"], c["lastExit"], Path(c["log"]))
        for c in state["children"]
    ]
    return state["pid"], children


def _is_supervisor(pid: int, directory: Directory) -> bool:
    """Whether the process is the supervisor of this directory, and not a later user of its id."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(directory.root).encode() in words and any(b"supervisor.py" in w for w in words)


def stop(directory: Directory, timeout: float = 120.0) -> bool:
    """Stop the supervisor and everything below it; False when none was running.

    Raises:
        StopTimeoutError: it is still there after `timeout` seconds.
    """
    found = find(directory)
    if found is None:
        return False
    pid = found[0]
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:  # it ended just now
        return True
    try:
        os.kill(pid, signal.SIGTERM)
        if not _wait_readable(descriptor, timeout):
            raise StopTimeoutError(
                f"the supervisor (process {pid}) did not stop within {timeout:.0f} s: look into "
                f"{directory.logs} and try again."
            )
    finally:
        os.close(descriptor)
    return True


def _wait_readable(descriptor: int, timeout: float) -> bool:
    import select

    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(int(timeout * 1000)))


def wait_until(condition: object, timeout: float, interval: float = 0.02) -> bool:
    """Call `condition` until it is true or the time is over: for starting, not for running."""
    deadline = time.monotonic() + timeout  # noqa: TID251 - a command line, not a component
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:  # noqa: TID251
            return False
        time.sleep(interval)
    return True


def tail(path: Path, lines: int = 5) -> str:
    """Return the last lines of a log."""
    try:
        text = path.read_bytes()[-8192:].decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
