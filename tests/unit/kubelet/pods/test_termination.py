"""The last words of containers."""

import pytest

from kybern.kubelet.pods import termination
from kybern.kubelet.runtime import labels
from kybern.kubelet.runtime.messages.container import ContainerStatus

STAMP = "2026-01-02T03:04:05.123456789Z"


@pytest.fixture
def ended(tmp_path):
    """Return what a container that ended said: in its file, in its log."""

    def message(written="", log=(), code=1, policy=termination.FALLBACK):
        path = termination.message_path(tmp_path, "c", 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written)
        lines = "".join(f"{STAMP} stdout {line}\n" for line in log)
        (tmp_path / "0.log").write_text(lines)
        notes = {labels.TERMINATION_PATH: "/dev/termination-log", labels.TERMINATION_POLICY: policy}
        status = ContainerStatus(
            labels={labels.CONTAINER_NAME: "c"}, annotations=notes, exit_code=code,
            log_path=str(tmp_path / "0.log"),
        )  # fmt: skip
        return termination.termination_message(status, tmp_path, 0)

    return message


def test_the_file_comes_first(ended):
    assert ended("written", ["F logged"]) == "written"
    assert len(ended("x" * 5000)) == termination.MESSAGE_MAX


def test_the_log_of_a_failure_where_one_wants_it(ended):
    assert ended(log=["F one", "F two"]) == "one\ntwo\n"
    assert ended(log=["F one"], code=0) == ""
    assert ended(log=["F one"], policy="File") == ""
    assert ended(log=["F "]) == "\n"


def test_pieces_of_a_line_are_one(ended):
    assert ended(log=["P DO", "P NE"]) == "DONE"
    assert ended(log=["F a b  c", "P d e"]) == "a b  c\nd e"


def test_only_the_end_of_a_long_log(ended):
    text = ended(log=[f"F line {number}" for number in range(200)])
    assert text.splitlines()[0] == "line 120"
    assert text.endswith("line 199\n")
    assert len(ended(log=["F " + "x" * 3000])) == termination.LOG_MAX
