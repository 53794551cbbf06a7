"""A real supervisor with small shell programs."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from kybern.cluster import supervisor

SLEEP = "exec sleep 60"


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return answer


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Supervised:
    """A supervisor of programs given as shell scripts."""

    def __init__(self, root):
        self.root = root
        (root / "run").mkdir()
        self.process = None

    def spec(self, name, script, env=None):
        return {"name": name, "argv": ["/bin/sh", "-c", script], "env": env or {},
                "log": str(self.root / f"{name}.log")}  # fmt: skip

    def start(self, programs, cleanup=None):
        plan = {
            "processes": [self.spec(name, script) for name, script in programs.items()],
            "cleanup": self.spec("cleanup", cleanup) if cleanup else None,
        }
        (self.root / "run/processes.json").write_text(json.dumps(plan))
        with (self.root / "supervisor.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, str(self.root)],
                stdout=log, stderr=log,
            )  # fmt: skip
        until(lambda: (self.root / "run/state.json").exists())

    def state(self, name):
        state = json.loads((self.root / "run/state.json").read_text())
        return next(child for child in state["children"] if child["name"] == name)

    def pid(self, name):
        return self.state(name)["pid"]

    def log(self, name):
        return (self.root / f"{name}.log").read_text()

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def supervised(tmp_path):
    made = Supervised(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.stop()


def test_it_starts_programs_and_says_which(supervised):
    supervised.start({"one": "echo hello; " + SLEEP, "two": SLEEP})
    one, two = supervised.state("one"), supervised.state("two")
    assert alive(one["pid"])
    assert alive(two["pid"])
    assert (one["restarts"], one["lastExit"]) == (0, "")
    assert abs(one["started"] - time.time()) < 10
    until(lambda: supervised.log("one") == "hello\n")


def test_programs_get_their_environment_no_input_and_a_session_of_their_own(supervised, tmp_path):
    script = f'echo "$COLOUR $(cat | wc -c)" > {tmp_path}/said; {SLEEP}'
    plan_spec = supervised.spec
    supervised.spec = lambda name, script, env=None: plan_spec(name, script, {"COLOUR": "green"})
    supervised.start({"one": script})
    until(lambda: (tmp_path / "said").exists() and (tmp_path / "said").read_text())
    assert (tmp_path / "said").read_text().split() == ["green", "0"]
    assert os.getsid(supervised.pid("one")) == supervised.pid("one")


def test_a_program_that_dies_is_started_again(supervised):
    supervised.start({"one": SLEEP, "two": SLEEP})
    first, other = supervised.pid("one"), supervised.pid("two")
    os.kill(first, signal.SIGKILL)
    until(lambda: supervised.pid("one") not in (0, first))
    state = supervised.state("one")
    assert (state["restarts"], state["lastExit"]) == (1, "signal 9")
    assert supervised.pid("two") == other


def test_one_that_keeps_dying_waits_longer_each_time(supervised, tmp_path):
    supervised.start({"one": f"date +%s%N >> {tmp_path}/starts; exit 3"})
    until(lambda: supervised.state("one")["restarts"] >= 4)
    starts = [int(line) / 1e9 for line in (tmp_path / "starts").read_text().split()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)][:3]
    assert gaps == sorted(gaps)
    assert 0.1 <= gaps[0] < 0.4 <= gaps[2]
    assert supervised.state("one")["lastExit"] == "exit code 3"


def test_one_that_cannot_be_executed_does_not_disturb_the_others(supervised):
    spec = supervised.spec

    def broken(name, script, env=None):
        made = spec(name, script, env)
        return {**made, "argv": ["/no/such/program"]} if name == "broken" else made

    supervised.spec = broken
    supervised.start({"one": SLEEP, "broken": ""})
    until(lambda: supervised.state("broken")["restarts"] >= 2)
    assert supervised.state("broken")["lastExit"] == "exit code 127"
    assert "cannot run /no/such/program" in supervised.log("broken")
    assert alive(supervised.pid("one"))


def test_one_whose_log_cannot_be_written_is_tried_again(supervised, tmp_path):
    spec = supervised.spec

    def homeless(name, script, env=None):
        made = spec(name, script, env)
        return {**made, "log": str(tmp_path / "later/x.log")} if name == "homeless" else made

    supervised.spec = homeless
    supervised.start({"one": SLEEP, "homeless": SLEEP})
    until(lambda: supervised.state("homeless")["restarts"] >= 1)
    assert supervised.pid("homeless") == 0
    (tmp_path / "later").mkdir()
    until(lambda: supervised.pid("homeless"))
    assert alive(supervised.pid("one"))


def test_it_lives_on_when_its_state_cannot_be_written(supervised, tmp_path):
    supervised.start({"one": SLEEP})
    pid = supervised.pid("one")
    (tmp_path / "run/state.json.part").mkdir()  # as good as a full disk, also for root
    os.kill(pid, signal.SIGKILL)
    until(lambda: "cannot write" in (tmp_path / "supervisor.log").read_text())
    (tmp_path / "run/state.json.part").rmdir()
    assert supervised.process.poll() is None
    os.kill(supervised.process.pid, signal.SIGCHLD)
    assert supervised.stop() == 0


def test_stopping_goes_backwards_with_the_clean_up_before_the_first_ends(supervised, tmp_path):
    out = tmp_path / "order"

    def program(name):
        return f"trap 'echo {name} >> {out}; exit 0' TERM; echo > {tmp_path}/{name}.up; " + (
            "while :; do sleep 0.05; done"
        )

    supervised.start({n: program(n) for n in ("first", "second", "third")}, f"echo clean >> {out}")
    until(lambda: all((tmp_path / f"{n}.up").exists() for n in ("first", "second", "third")))
    assert supervised.stop() == 0
    assert out.read_text().split() == ["third", "second", "clean", "first"]
    assert not (tmp_path / "run/state.json").exists()


def test_one_that_is_told_to_stop_while_it_starts_does_stop(supervised):
    began = time.monotonic()
    for _ in range(10):
        supervised.start({f"p{i}": SLEEP for i in range(5)})
        assert supervised.stop() == 0
    assert time.monotonic() - began < supervisor.GRACE


def test_stopping_leaves_nobody(supervised):
    supervised.start({"one": SLEEP, "two": "exit 1"})
    pid = supervised.pid("one")
    assert supervised.stop() == 0
    assert not alive(pid)


def test_its_programs_end_with_it_even_when_it_is_killed(supervised):
    supervised.start({"one": SLEEP, "two": SLEEP})
    pids = [supervised.pid("one"), supervised.pid("two")]
    supervised.process.kill()
    supervised.process.wait(10)
    until(lambda: not any(alive(pid) for pid in pids))


def test_what_a_program_left_running_is_not_touched(supervised, tmp_path):
    """Containers are such: their shims have left the session of whoever started them."""
    supervised.start({"one": f"setsid sleep 60 & echo $! > {tmp_path}/pid; {SLEEP}"})
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    pid = int((tmp_path / "pid").read_text())
    try:
        assert supervised.stop() == 0
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_one_that_does_not_want_to_end_is_killed(supervised, monkeypatch, tmp_path):
    script = f"import sys; sys.path.insert(0, {os.path.dirname(supervisor.__file__)!r})\n" + (
        "import supervisor; supervisor.GRACE = 0.3\nsupervisor.Supervisor(sys.argv[1]).main()"
    )
    (tmp_path / "impatient.py").write_text(script)
    monkeypatch.setattr(supervisor, "__file__", str(tmp_path / "impatient.py"))
    supervised.start({"deaf": "trap '' TERM; echo up; while :; do sleep 0.1; done"})
    until(lambda: "up" in supervised.log("deaf"))
    pid = supervised.pid("deaf")
    assert supervised.stop() == 0
    assert not alive(pid)


def test_a_long_log_is_put_aside_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "LOG_LIMIT", 10)
    log = tmp_path / "x.log"
    supervisor.rotate(str(log))  # there is none
    log.write_text("short")
    supervisor.rotate(str(log))
    assert log.read_text() == "short"
    log.write_text("much longer than that")
    supervisor.rotate(str(log))
    assert not log.exists()
    assert (tmp_path / "x.log.1").read_text() == "much longer than that"


def test_it_is_small(supervised):
    supervised.start({"one": SLEEP})
    with open(f"/proc/{supervised.process.pid}/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert resident < 20e6
