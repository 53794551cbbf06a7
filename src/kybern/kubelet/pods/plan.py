"""What to do about a pod: from what should be and what is, to a list of steps.

In:   the Pod, the PodView, which containers' probes say what, waits between restarts, the time.
Out:  a Plan: containers to stop, start and remove; who waits and why; when to look again.
By:   worker.py. Pure; "when is a container restarted" is answered here and in restarts.py.

The order within a pod is upstream's: sandbox, then init containers one after the other (a sidecar
counts as done once it has started up), then the others. Ephemeral containers start at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.kubelet.pods import specs
from kybern.kubelet.pods.allotment import Allotment, needs_restart
from kybern.kubelet.pods.names import described
from kybern.kubelet.pods.restarts import Waited, remaining, spoken
from kybern.kubelet.pods.specs import NEVER, Role, Wanted
from kybern.kubelet.pods.view import ContainerView, PodView, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import Pod, ResourceRequirements

CRASH_LOOP = "CrashLoopBackOff"


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the probes have found: names of containers.

    Attributes:
        dead: liveness or startup failed; the reason to give, by container.
        started: startup passed, or there is nothing to pass.
    """

    dead: Mapping[str, str] = field(default_factory=dict)
    started: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a container; `message` is told to the user, `probe` is whose fault it was."""

    id: str
    name: str
    message: str
    probe: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container for the `restarts`-th time after its first."""

    wanted: Wanted
    restarts: int
    after: ContainerView | None = None  # the try before


@dataclass(frozen=True, slots=True)
class Resize:
    """Give a running container another size; `before` is what it runs with."""

    id: str
    wanted: Wanted
    before: ResourceRequirements


@dataclass(frozen=True, slots=True)
class Waiting:
    """A container which is not started yet, and why."""

    name: str
    reason: str
    message: str
    until: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The next steps for a pod, in the order of the fields.

    Attributes:
        finished: every container has ended and none will start again; nothing else is to do.
        drop_sandbox: the present sandbox is of no use: end what runs in it, and it.
        new_sandbox: make a sandbox, as try number `attempt`.
        attempt: how many sandboxes there were before.
        stop: containers to end.
        remove: ended containers nobody needs any more.
        resize: containers to give another size while they run.
        resize_pod: what the pod was given is to be put in force, once the containers are stopped.
        start: containers to start, one after the other.
        waiting: containers which would start, were it not too soon.
        look_again: when to plan again though nothing happens; 0 for never.
    """

    finished: bool = False
    drop_sandbox: bool = False
    new_sandbox: bool = False
    attempt: int = 0
    stop: tuple[Stop, ...] = ()
    remove: tuple[str, ...] = ()
    resize: tuple[Resize, ...] = ()
    resize_pod: bool = False
    start: tuple[Start, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    look_again: float = 0.0


@dataclass(frozen=True, slots=True)
class Situation:
    """All a plan is made from.

    Attributes:
        pod: what should be.
        view: what is.
        verdicts: what the probes say.
        waits: how long containers wait before they start again, by name.
        held: containers which could not be started a moment ago, until it is worth another try.
        replacing: containers ended to be started again whatever the restart policy says.
        now: the time.
        allotment: what the pod was given, and what of that is not in force yet.
    """

    pod: Pod
    view: PodView
    verdicts: Verdicts = field(default_factory=Verdicts)
    waits: Mapping[str, Waited] = field(default_factory=dict)
    held: Mapping[str, Waiting] = field(default_factory=dict)
    replacing: frozenset[str] = frozenset()
    now: float = 0.0
    allotment: Allotment = field(default_factory=Allotment)

    def restarts(self, wanted: Wanted, last: ContainerView) -> bool:
        """Say whether a container which ended is started again."""
        if wanted.name in self.replacing:
            return True
        return specs.restarts_after(self.pod, wanted, last.exit_code)


def plan(now: Situation) -> Plan:
    """Return what to do next about a pod which should run."""
    sandbox = now.view.sandbox
    usable = sandbox is not None and sandbox.ready and _network_as_wanted(now)
    if is_finished(now):
        return Plan(finished=True)
    if not usable:
        return _with_new_sandbox(now)
    steps = _Steps(now)
    if steps.initialise():
        steps.regular()
    steps.ephemeral()
    return steps.done()


def is_finished(now: Situation) -> bool:
    """Say whether every container has ended for good, or an init container has failed for good."""
    pod, view = now.pod, now.view
    for wanted in specs.init_containers(pod):
        last = view.latest(wanted.name)
        if wanted.role is not Role.INIT or last is None or last.state is not State.EXITED:
            continue
        if last.exit_code != 0 and not now.restarts(wanted, last):
            return not any(c.state is State.RUNNING for c in _of(pod, view, Role.REGULAR))
    for wanted in specs.regular_containers(pod):
        last = view.latest(wanted.name)
        if last is None or last.state is not State.EXITED or now.restarts(wanted, last):
            return False
    return True


def _of(pod: Pod, view: PodView, role: Role) -> list[ContainerView]:
    wanted = [w.name for w in specs.all_containers(pod) if w.role is role]
    return [c for name in wanted if (c := view.latest(name)) is not None]


def _network_as_wanted(now: Situation) -> bool:
    sandbox = now.view.sandbox
    if sandbox is None or sandbox.host_network != bool(now.pod.spec.hostNetwork):
        return False
    return sandbox.host_network or bool(sandbox.ips)


def _with_new_sandbox(now: Situation) -> Plan:
    """Plan for a pod without a sandbox it can use: everything in it starts from the beginning."""
    pod, view = now.pod, now.view
    old = view.sandbox
    attempt = old.attempt + 1 if old else 0
    if old is not None and pod.spec.restartPolicy == NEVER and view.containers:
        # Its containers have run, and may not run again: end the pod with what they said.
        return Plan(finished=not view.running(), drop_sandbox=bool(view.running()))
    first = _first(now)
    waiting = tuple(w for wanted in first if (w := _backing_off(now, wanted)) is not None)
    waits = {w.name for w in waiting}
    return Plan(
        drop_sandbox=old is not None,
        new_sandbox=bool(first),
        attempt=attempt,
        finished=not first,
        start=tuple(_start(view, wanted) for wanted in first if wanted.name not in waits),
        waiting=waiting,
        look_again=_soonest(waiting),
    )


def _first(now: Situation) -> list[Wanted]:
    """Return the containers a new sandbox begins with."""
    starting = specs.init_containers(now.pod)
    if starting:
        return [starting[0]]
    chosen = []
    for wanted in specs.regular_containers(now.pod):
        last = now.view.latest(wanted.name)
        if last is None or last.state is not State.EXITED or now.restarts(wanted, last):
            chosen.append(wanted)
    return chosen


def _start(view: PodView, wanted: Wanted) -> Start:
    last = view.latest(wanted.name)
    return Start(wanted, last.restarts + 1 if last else 0, last)


def _backing_off(now: Situation, wanted: Wanted) -> Waiting | None:
    """Return the wait of a container which ended a moment ago, in whichever sandbox."""
    last, entry = now.view.latest(wanted.name), now.waits.get(wanted.name)
    if last is None or last.state is not State.EXITED or entry is None:
        return None
    left = remaining(entry, last.finished_at, now.now)
    if left <= 0:
        return None
    message = (
        f"back-off {spoken(entry.delay)} restarting failed container={wanted.name} "
        f"pod={described(now.pod)}"
    )
    return Waiting(wanted.name, CRASH_LOOP, message, now.now + left)


def _soonest(waiting: Iterable[Waiting]) -> float:
    return min((w.until for w in waiting), default=0.0)


class _Steps:
    """Collects the steps for a pod whose sandbox is in order."""

    def __init__(self, now: Situation) -> None:
        self.now = now
        self.stop: list[Stop] = []
        self.remove: list[str] = []
        self.resize: list[Resize] = []
        self.start: list[Start] = []
        self.waiting: list[Waiting] = []

    def initialise(self) -> bool:
        """Take the next step of initialisation; True once the regular containers may run."""
        pod, view = self.now.pod, self.now.view
        starting = specs.init_containers(pod)
        begun = any(c.sandbox_id == self._sandbox for c in _of(pod, view, Role.REGULAR))
        for wanted in starting:
            last = self._here(wanted)
            if wanted.role is Role.SIDECAR:
                if not self._sidecar(wanted, last) and not begun:
                    return False
            elif not begun and not self._init(wanted, last):
                return False
        return True

    def regular(self) -> None:
        """Keep the regular containers running."""
        for wanted in specs.regular_containers(self.now.pod):
            last = self._here(wanted)
            if last is None:
                self._start(wanted)
            elif last.state is State.RUNNING:
                self._check_alive(wanted, last)
            elif last.state is State.EXITED:
                if self.now.restarts(wanted, last):
                    self._start(wanted)
            else:
                self._start_over(wanted, last)

    def ephemeral(self) -> None:
        """Start the ephemeral containers which have not been; they are never started again."""
        for wanted in specs.ephemeral_containers(self.now.pod):
            if self.now.view.latest(wanted.name) is None:
                self._start(wanted)

    def done(self) -> Plan:
        """Return the plan."""
        self._prune()
        return Plan(
            stop=tuple(self.stop),
            remove=tuple(self.remove),
            resize=tuple(self.resize),
            resize_pod=self.now.allotment.unfinished,
            start=tuple(self.start),
            waiting=tuple(self.waiting),
            look_again=_soonest(self.waiting),
        )

    @property
    def _sandbox(self) -> str:
        return self.now.view.sandbox.id if self.now.view.sandbox else ""

    def _here(self, wanted: Wanted) -> ContainerView | None:
        """Return the newest try; one from an earlier sandbox counts as ended."""
        last = self.now.view.latest(wanted.name)
        if last is not None and last.sandbox_id != self._sandbox:
            ended_for_good = last.state is State.EXITED and not self.now.restarts(wanted, last)
            if wanted.role in (Role.INIT, Role.SIDECAR) or not ended_for_good:
                return None
        return last

    def _init(self, wanted: Wanted, last: ContainerView | None) -> bool:
        if last is None:
            self._start(wanted)
        elif last.state is State.EXITED and last.exit_code == 0:
            return True
        elif last.state is State.EXITED:
            if self.now.restarts(wanted, last):
                self._start(wanted)
        elif last.state is not State.RUNNING:
            self._start_over(wanted, last)
        return False

    def _sidecar(self, wanted: Wanted, last: ContainerView | None) -> bool:
        if last is None:
            self._start(wanted)
        elif last.state is State.RUNNING:
            self._check_alive(wanted, last)
            return wanted.name in self.now.verdicts.started
        elif last.state is State.EXITED:
            self._start(wanted)
        else:
            self._start_over(wanted, last)
        return False

    def _check_alive(self, wanted: Wanted, running: ContainerView) -> None:
        """Stop a running container whose spec or probes say so; its end will start it again."""
        name = wanted.name
        if running.hash and running.hash != specs.container_hash(wanted.spec):
            why, probe = f"Container {name} definition changed", ""
        elif name in self.now.verdicts.dead:
            probe = self.now.verdicts.dead[name]
            why = f"Container {name} failed {probe} probe"
        else:
            self._check_size(wanted, running)
            return
        if not probe or wanted.role is Role.SIDECAR or self.now.pod.spec.restartPolicy != NEVER:
            why += ", will be restarted"
        self.stop.append(Stop(running.id, name, why, probe))

    def _check_size(self, wanted: Wanted, running: ContainerView) -> None:
        before = self.now.allotment.running.get(wanted.name)
        if before is None:
            return
        if needs_restart(wanted.spec, before):
            why = f"Container {wanted.name} resize requires restart"
            self.stop.append(Stop(running.id, wanted.name, why))
        else:
            self.resize.append(Resize(running.id, wanted, before))

    def _start(self, wanted: Wanted) -> None:
        held = self.now.held.get(wanted.name)
        if held is not None and held.until > self.now.now:
            self.waiting.append(held)
        elif (waiting := _backing_off(self.now, wanted)) is not None:
            self.waiting.append(waiting)
        else:
            self.start.append(_start(self.now.view, wanted))

    def _start_over(self, wanted: Wanted, last: ContainerView) -> None:
        """Replace a container which was created and not started, or which is lost."""
        self.stop.append(Stop(last.id, wanted.name, ""))
        self._start(wanted)

    def _prune(self) -> None:
        """Keep of each container the newest try and the one before, whose log may be asked for."""
        keep = 2
        seen: dict[str, int] = {}
        starting = {start.wanted.name for start in self.start}
        for container in self.now.view.containers:
            seen[container.name] = seen.get(container.name, 0) + 1
            limit = keep - (container.name in starting)
            if container.state is State.EXITED and seen[container.name] > limit:
                self.remove.append(container.id)
