"""The haproxy of this node: its sockets, its process, and what it is told.

In:   a Plan.
Out:  a running haproxy that does it; ProxyError when it cannot be.
By:   sync.py.

The listening sockets are ours and haproxy inherits them, so nothing is refused while it reads its
configuration anew (a new worker takes over, the old one ends its requests) or even starts anew.
Changes of endpoints go through its runtime API and start nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import resource
import signal
from typing import TYPE_CHECKING

from kybern.cluster import prerequisites
from kybern.ingress import configuration, leftovers, slots
from kybern.ingress.configuration import CONFIGURATION, SOCKET, STRANGERS, Place
from kybern.ingress.ports import Ports
from kybern.lib import logs, pki

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kybern.ingress.config import IngressConfig
    from kybern.ingress.plan import Plan
    from kybern.ingress.slots import Slots
    from kybern.lib.clock import Clock
    from kybern.lib.tasks import Tasks

log = logs.get("ingress.haproxy")

USER = "haproxy"  # of the distribution's package
PATIENCE = 20.0  # seconds for haproxy to start, to read its files anew, or to end
LOOK = 0.01  # seconds between two looks whether it has
CONNECTIONS = 20_000  # clients at a time, where the limits allow
OTHERS = 100  # file descriptors haproxy has for itself, halved
LINE = 8192  # bytes of commands at a time; haproxy takes twice as many
PR_SET_PDEATHSIG = 1


class ProxyError(Exception):
    """haproxy does not do what it was told; the message says what it said."""


class Haproxy:
    """One haproxy, started with the first plan."""

    def __init__(
        self, config: IngressConfig, clock: Clock, tasks: Tasks, ended: Callable[[], None]
    ) -> None:
        """Make a proxy that is not started.

        Args:
            config: where to listen, and what to run.
            clock: time.
            tasks: where to read what haproxy says.
            ended: called when the process ended by itself.
        """
        self.ports = Ports({"http": config.http_port, "https": config.https_port})
        self.reloads = 0
        self._config = config
        self._clock = clock
        self._tasks = tasks
        self._ended = ended
        self._process: asyncio.subprocess.Process | None = None
        self._inherited: tuple[int, ...] = ()
        self._reading: asyncio.Task[None] | None = None
        self._generation = 0
        self._plan: Plan | None = None
        self._slots: dict[str, Slots] = {}

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.returncode is None

    async def apply(self, plan: Plan) -> None:
        """Make haproxy do this.

        Raises:
            ProxyError: it does not; whatever it did before it goes on doing.
        """
        old = self._plan
        same = self._knows_sockets and old is not None and old.shape == plan.shape
        if not same or (old != plan and not await self._move(plan)):
            await self._configure(plan)
        self._plan = plan

    async def stop(self) -> None:
        """End haproxy at once, and listen no more."""
        self.ports.close()
        await self._end()
        self._plan = None

    @property
    def _knows_sockets(self) -> bool:
        """Whether there is a process, and it was started when all sockets were open."""
        return self.running and self._inherited == self.ports.descriptors

    # --- configuration -----------------------------------------------------------------------

    async def _configure(self, plan: Plan) -> None:
        new = slots.fresh(plan.backends)
        self._generation += 1
        await self._write(configuration.files(plan, new, self._place(), self._generation))
        await self._check()
        if self._process is not None and self._knows_sockets:
            self.reloads += 1
            self._process.send_signal(signal.SIGUSR2)
        else:
            await self._end()  # a port was free at last: only a new process can inherit it
            await self._start()
        await self._wait_for(self._generation)
        self._slots = new

    def _place(self) -> Place:
        http, https = (self.ports.names(name) for name in ("http", "https"))
        return Place(http, https, _user(), _connections())

    async def _write(self, files: Mapping[str, bytes]) -> None:
        directory = self._config.directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "empty").mkdir(exist_ok=True)
        strangers = directory / STRANGERS
        if not strangers.exists():
            _save(strangers, await asyncio.to_thread(_self_signed, self._clock.now()))
        for name, data in files.items():
            _save(directory / name, data)

    async def _check(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._argv(), "-c", pass_fds=self.ports.descriptors,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        if process.returncode:
            raise ProxyError(output.decode(errors="replace").strip())

    # --- the process -------------------------------------------------------------------------

    def _argv(self) -> list[str]:
        program = prerequisites.find(self._config.program)
        if program is None:
            raise ProxyError("haproxy is not installed")
        return [program, "-C", str(self._config.directory), "-f", CONFIGURATION]

    @property
    def _pid_file(self) -> Path:
        return self._config.directory / "haproxy.pid"

    async def _start(self) -> None:
        await asyncio.to_thread(leftovers.end, self._config.directory)
        libc, parent = ctypes.CDLL(None), os.getpid()

        def with_us() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died before the kernel was told
                os._exit(1)

        self._process = await asyncio.create_subprocess_exec(
            *self._argv(), "-W", pass_fds=self.ports.descriptors, preexec_fn=with_us,
            start_new_session=True, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._inherited = self.ports.descriptors
        self._pid_file.write_text(f"{self._process.pid}\n")
        self._reading = self._tasks.spawn(self._read(self._process), name="haproxy")
        log.info("started", pid=self._process.pid, **self.ports.numbers)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await _end(process)
            if self._reading is not None:
                await self._reading
            self._pid_file.unlink(missing_ok=True)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Put what haproxy says into our log, until it ends."""
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode(errors="replace").strip()
            if text.startswith("[ALERT]"):
                log.warning("haproxy", says=text)
            elif text:
                log.debug("haproxy", says=text)
        code = await process.wait()
        if process is self._process:
            log.warning("haproxy ended", code=code)
            self._plan = None
            self._ended()

    async def _wait_for(self, generation: int) -> None:
        """Wait until a worker with this configuration serves."""
        deadline = self._clock.monotonic() + PATIENCE
        wanted = f"description: {generation}\n"
        while True:
            with contextlib.suppress(OSError):  # between two workers
                if wanted in await self._ask("show info"):
                    return
            if not self.running or self._clock.monotonic() > deadline:
                raise ProxyError("haproxy did not start; what it said is above")
            await self._clock.sleep(LOOK)

    # --- the runtime API -----------------------------------------------------------------------

    async def _move(self, plan: Plan) -> bool:
        """Tell haproxy the endpoints of now; False when it must read its files anew."""
        new: dict[str, Slots] = {}
        words: list[str] = []
        for name, backend in plan.backends.items():
            after = slots.moved(self._slots[name], backend.targets)
            if after is None:
                return False
            new[name] = after
            words += slots.commands(name, self._slots[name], after)
        try:
            for line in _lines(words):
                answer = await self._ask(line)
                if "No such" in answer or "nvalid" in answer or "Unknown command" in answer:
                    raise ProxyError(answer.strip())
        except (OSError, ProxyError) as error:
            log.warning("haproxy refused a change of endpoints", why=str(error))
            return False
        self._slots = new
        return True

    async def _ask(self, command: str) -> str:
        path = str(self._config.directory / SOCKET)
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(command.encode() + b"\n")
            return (await reader.read(-1)).decode(errors="replace")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _save(path: Path, data: bytes) -> None:
    """Write a file that only we may read; it need not outlive a crash of the machine."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)


def _user() -> str:
    """Return whom haproxy becomes once it has read its files."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(USER).pw_name if os.geteuid() == 0 else ""
    return ""


def _connections() -> int:
    """Return how many clients this process' limits leave room for."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(CONNECTIONS, limit // 2 - OTHERS) if limit != resource.RLIM_INFINITY else CONNECTIONS


def _self_signed(now: float) -> bytes:
    subject = pki.Subject("Kybern Ingress", dns_names=("ingress.invalid",))
    pair = pki.issue(pki.make_ca("Kybern Ingress", now=now), subject, now=now, server=True)
    return pair.certificate + pair.key


def _lines(commands: list[str]) -> list[str]:
    """Put commands together into as few lines as haproxy takes."""
    lines: list[str] = []
    for command in commands:
        if lines and len(lines[-1]) + len(command) < LINE:
            lines[-1] += f"; {command}"
        else:
            lines.append(command)
    return lines
