"""Starting, asking and stopping a supervisor."""

import json
import os
import signal
import sys
import time

import pytest

from kybern.cluster import processes
from kybern.cluster.directory import Directory
from kybern.cluster.processes import Program, StartError, StopTimeoutError

# the supervisor outlives the command that starts it, which Python warns about
pytestmark = pytest.mark.filterwarnings("ignore:subprocess:ResourceWarning")


def shell(name, script):
    return Program(name, ("/bin/sh", "-c", script), {})


@pytest.fixture
def directory(tmp_path):
    made = Directory(tmp_path)
    made.make()
    yield made
    processes.stop(made, timeout=10)


def test_started_found_and_stopped(directory):
    pid = processes.start(directory, [shell("one", "exec sleep 60")], None)
    found, (one,) = processes.find(directory)
    assert found == pid
    assert (one.name, one.restarts, one.last_exit) == ("one", 0, "")
    assert one.log == directory.logs / "one.log"
    os.kill(one.pid, 0)
    assert processes.stop(directory)
    assert processes.find(directory) is None
    assert not processes.stop(directory)
    with pytest.raises(ProcessLookupError):
        os.kill(one.pid, 0)


def test_it_belongs_to_no_terminal_and_to_no_directory_of_the_user(directory):
    pid = processes.start(directory, [shell("one", "exec sleep 60")], None)
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_what_it_runs_is_nobody_elses_business(directory):
    secret = Program("one", ("/bin/sh", "-c", "exec sleep 60"), {"TOKEN": "secret"})
    processes.start(directory, [secret], None)
    assert directory.processes.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "null]"])
def test_a_damaged_state_means_that_nobody_is_found(directory, text):
    directory.state.write_text(text)
    assert processes.find(directory) is None


def test_a_later_user_of_the_process_id_is_not_taken_for_it(directory):
    directory.state.write_text(json.dumps({"pid": os.getpid(), "children": []}))
    assert processes.find(directory) is None
    assert not processes.stop(directory)
    directory.state.write_text(json.dumps({"pid": 2**22 + 1, "children": []}))
    assert processes.find(directory) is None


def test_the_supervisor_of_another_directory_is_not_taken_for_it(directory, tmp_path):
    other = Directory(tmp_path / "other")
    other.make()
    pid = processes.start(directory, [shell("one", "exec sleep 60")], None)
    other.state.write_text(json.dumps({"pid": pid, "children": []}))
    assert processes.find(other) is None


def test_one_that_does_not_start_says_why(directory, monkeypatch):
    broken = directory.root / "supervisor.py"
    broken.write_text("raise SystemExit('it cannot be')")
    monkeypatch.setattr(processes.supervisor, "__file__", str(broken))
    with pytest.raises(StartError, match=r"does not start: it cannot be\. Its log is .*log"):
        processes.start(directory, [shell("one", "exit 0")], None)


def test_one_that_does_not_stop_in_time(directory):
    slow = "trap 'sleep 1; exit' TERM; echo up; while :; do sleep 0.05; done"
    processes.start(directory, [shell("slow", slow)], None)
    log = directory.logs / "slow.log"
    assert processes.wait_until(lambda: log.exists() and "up" in log.read_text(), 5)
    with pytest.raises(StopTimeoutError, match=r"did not stop within 0 s: look into .*logs"):
        processes.stop(directory, timeout=0.1)


def test_the_clean_up_of_a_killed_cluster(directory):
    out = directory.root / "out"
    helper = shell(
        "helper", f"trap 'echo helper >> {out}; exit' TERM; while :; do sleep 0.05; done"
    )
    cleanup = shell("cleanup", f"echo cleaned >> {out}")
    supervisor = processes.start(directory, [shell("one", "exec sleep 60")], None)
    os.kill(supervisor, signal.SIGKILL)
    os.waitpid(supervisor, 0)
    assert directory.state.exists()
    processes.clean_up(directory, [helper], cleanup)
    assert out.read_text().split()[0] == "cleaned"
    assert not directory.state.exists()


def test_the_clean_up_without_helpers(directory):
    directory.state.write_text("{}")
    argv = (sys.executable, "-c", "import os; print('by', os.environ['WHO'])")
    processes.clean_up(directory, [], Program("cleanup", argv, {"WHO": "hand"}))
    assert (directory.logs / "cleanup.log").read_text() == "by hand\n"
    assert not directory.state.exists()


def test_the_end_of_a_log(tmp_path):
    log = tmp_path / "x.log"
    assert processes.tail(log) == ""
    log.write_bytes(b"".join(b"line %d\n" % i for i in range(5000)) + b"\xff end\n")
    assert processes.tail(log, 2) == "line 4999\n\ufffd end"


def test_waiting_ends_with_the_time():
    began = time.monotonic()
    assert not processes.wait_until(lambda: False, 0.05, 0.01)
    assert time.monotonic() - began < 1
    assert processes.wait_until(lambda: True, 0)
