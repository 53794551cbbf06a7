"""Progress: plain lines in a log, a spinner on a terminal."""

import os
import pty
import subprocess
import sys

import pytest

from kybern.cli.output.progress import say, step

TALK = (
    "from kybern.cli.output.progress import say, step\n"
    "with step('Working', 'Worked'):\n    pass\n"
    "say('end')\n"
    "try:\n    with step('Failing'):\n        raise ValueError\nexcept ValueError:\n    pass\n"
)


def test_plain_lines_with_the_time(capsys):
    with step("Working", "Worked"):
        pass
    with step("Resting"):
        pass
    say("end")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["Worked (0.0 s)", "Resting (0.0 s)", "end"]


def test_a_step_that_fails_does_not_claim_to_be_done(capsys):
    with pytest.raises(ValueError, match="x"), step("Working", "Worked"):
        raise ValueError("x")
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_are_marks():
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", TALK], stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        assert process.wait(20) == 0
    os.close(ours)
    text = seen.decode()
    assert "✓" in text
    assert "Worked" in text
    assert "✗" in text
    assert "Failing" in text
