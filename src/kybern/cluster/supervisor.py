"""Keep a cluster's processes running.

In:   a data directory whose `run/processes.json` lists programs: name, argv, log, ready file.
Out:  the running programs; `run/state.json` with process ids, start times and restarts.
By:   `processes.start`. SIGTERM stops everything in reverse order.

Uses the standard library only and no asyncio: it runs for as long as the cluster does and should
cost nothing (`python -I -S` on this file: 9 MB). When it dies its children get SIGTERM from the
kernel; containers are children of their shims and stay.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1
FIRST_DELAY, LAST_DELAY = 0.1, 10.0  # seconds between a death and the next start
HEALTHY = 30.0  # seconds after which a death starts the delays anew
GRACE = 20.0  # seconds between SIGTERM and SIGKILL
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
LOG_LIMIT = 32 << 20  # bytes; a longer log is moved to `.1` when its program starts


class Child:
    """One program: running with a pid, or waiting for its next start."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.pid = 0
        self.started = 0.0
        self.began = 0.0
        self.restarts = 0
        self.delay = FIRST_DELAY
        self.next_start = 0.0
        self.last_exit = ""

    def start(self) -> None:
        """Start the program; when that fails, try again later."""
        self.started, self.began = time.time(), time.monotonic()
        try:
            self.fork()
        except OSError as error:  # no space for the log, no process to be had
            sys.stderr.write(f"cannot start {self.spec['name']}: {error}\n")
            self.ended(str(error))

    def fork(self) -> None:
        """Fork and execute the program."""
        rotate(self.spec["log"])
        log = os.open(self.spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        parent = os.getpid()
        # A signal that reaches the child while it still has our handlers would be lost to it.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                become(self.spec, log, parent)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.close(log)

    def died(self, status: int) -> None:
        """Note that it ended with this status of wait(2)."""
        code = os.waitstatus_to_exitcode(status)
        self.ended(f"signal {-code}" if code < 0 else f"exit code {code}")

    def ended(self, how: str) -> None:
        """Note how it ended and when to start it again."""
        self.pid = 0
        self.last_exit = how
        if time.monotonic() - self.began > HEALTHY:
            self.delay = FIRST_DELAY
        self.next_start = time.monotonic() + self.delay
        self.delay = min(self.delay * 2, LAST_DELAY)
        self.restarts += 1

    def state(self) -> dict[str, Any]:
        """Return what `kybern status` shows."""
        return {
            "name": self.spec["name"], "pid": self.pid, "started": self.started,
            "restarts": self.restarts, "lastExit": self.last_exit, "log": self.spec["log"],
        }  # fmt: skip


def become(spec: dict[str, Any], log: int, parent: int) -> None:
    """Turn a forked child into the program; never returns."""
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was told
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.execvpe(spec["argv"][0], spec["argv"], {**os.environ, **spec.get("env", {})})
    except OSError as error:
        os.write(2, f"cannot run {spec['argv'][0]}: {error}\n".encode())
    finally:
        os._exit(127)


def rotate(path: str) -> None:
    """Keep one old log."""
    try:
        if os.stat(path).st_size > LOG_LIMIT:
            os.replace(path, path + ".1")
    except FileNotFoundError:
        return


class Supervisor:
    """The loop: wait for a signal or for the next start that is due."""

    def __init__(self, directory: str) -> None:
        self.run = os.path.join(directory, "run")
        with open(os.path.join(self.run, "processes.json"), encoding="utf-8") as file:
            plan = json.load(file)
        self.children = [Child(spec) for spec in plan["processes"]]
        self.cleanup = plan.get("cleanup")
        self.wake, notify = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(notify)
        self.stopping = False
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)

    def main(self) -> None:
        """Run until told to stop, then stop everything."""
        for child in self.children:
            child.start()
        self.save()
        while not self.stopping:
            self.step()
        for child in reversed(self.children):
            if child is self.children[0] and self.cleanup:
                self.clean()
            self.stop(child)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.run, "state.json"))

    def step(self) -> None:
        """Sleep until something happens; start what is due."""
        due = [c.next_start for c in self.children if not c.pid]
        timeout = max(0.0, min(due) - time.monotonic()) if due else None
        select.select([self.wake], [], [], timeout)
        self.read_signals()
        changed = self.reap()
        for child in self.children:
            if not child.pid and child.next_start <= time.monotonic() and not self.stopping:
                child.start()
                changed = True
        if changed:
            self.save()

    def read_signals(self) -> None:
        """Take the numbers of the signals that came."""
        try:
            numbers = os.read(self.wake, 512)
        except BlockingIOError:
            return
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.stopping = True

    def reap(self) -> bool:
        """Collect the dead; say whether there were any of ours."""
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return changed
            if pid == 0:
                return changed
            for child in self.children:
                if child.pid == pid:
                    child.died(status)
                    changed = True

    def stop(self, child: Child) -> None:
        """End one program: ask, wait, insist."""
        if child.pid:
            os.kill(child.pid, signal.SIGTERM)
            self.wait(child, GRACE)
        if child.pid:
            os.kill(child.pid, signal.SIGKILL)
            self.wait(child, GRACE)
        self.save()

    def clean(self) -> None:
        """Run the clean-up program while containerd, the first child, is still there."""
        child = Child(self.cleanup)
        self.children.append(child)
        child.start()
        self.wait(child, 60.0)
        if child.pid:
            os.kill(child.pid, signal.SIGKILL)
        self.children.remove(child)

    def wait(self, child: Child, seconds: float) -> None:
        """Wait until the child has ended, for so long at most."""
        deadline = time.monotonic() + seconds
        while child.pid and (left := deadline - time.monotonic()) > 0:
            select.select([self.wake], [], [], left)
            self.read_signals()
            self.reap()

    def save(self) -> None:
        """Write the state, all of it or nothing; a full disk does not end the cluster."""
        state = {"pid": os.getpid(), "children": [c.state() for c in self.children]}
        path = os.path.join(self.run, "state.json")
        try:
            with open(path + ".part", "w", encoding="utf-8") as file:
                json.dump(state, file)
            os.replace(path + ".part", path)
        except OSError as error:
            sys.stderr.write(f"cannot write {path}: {error}\n")


if __name__ == "__main__":
    Supervisor(sys.argv[1]).main()
