"""`kybern up --foreground`: the logs, until Ctrl-C."""

import os
import signal

import pytest

from kybern.cli.verbs import foreground


@pytest.fixture(autouse=True)
def handlers():
    """Give the signals back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def script(monkeypatch):
    """Run one step of a script each time the processes are asked for."""
    steps, stopped = [], []

    def find(directory):
        if not steps:
            return None
        steps.pop(0)()
        return 1, []

    monkeypatch.setattr(foreground.processes, "find", find)
    monkeypatch.setattr(foreground.processes, "stop", stopped.append)
    monkeypatch.setattr(foreground, "INTERVAL", 0.001)
    return steps, stopped


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def test_what_is_logged_from_now_on_is_shown(directory, script, capsys):
    steps, stopped = script
    log = directory.logs / "node.log"
    append(log, "old news\n")
    steps += [
        lambda: None,
        lambda: append(log, "one\ntwo\n"),
        lambda: append(directory.logs / "control-plane.log", ""),
        lambda: append(log, "three\n"),
    ]
    foreground.follow(directory)
    said = capsys.readouterr()
    assert said.out == "node: one\nnode: two\nnode: three\n"
    assert "The supervisor is gone." in said.err
    assert stopped == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_cluster(directory, script, capsys, number):
    steps, stopped = script
    steps += [lambda: None, lambda: os.kill(os.getpid(), number), lambda: None]
    foreground.follow(directory)
    assert stopped == [directory]
    assert "Stopping" in capsys.readouterr().err
