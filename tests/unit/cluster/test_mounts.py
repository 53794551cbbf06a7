"""What is mounted below a directory."""

import os
import subprocess
from pathlib import Path

import pytest

from kybern.cluster.mounts import below, unmount_below

TABLE = r"""
22 1 0:20 / / rw,relatime - overlay overlay rw
30 22 0:21 / /data rw - tmpfs tmpfs rw
31 30 0:22 / /data/a rw - tmpfs tmpfs rw
32 31 0:23 / /data/a/deep rw shared:7 - tmpfs tmpfs rw
33 22 0:24 / /database rw - tmpfs tmpfs rw
34 30 0:25 / /data/with\040space\134back rw - tmpfs tmpfs rw
35 31 0:26 / /data/a rw - tmpfs tmpfs rw
36 30 0:27 / /data/größe rw - tmpfs tmpfs rw
""".lstrip()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mountinfo"
    path.write_text(TABLE, encoding="utf-8")
    return str(path)


def test_the_deepest_come_first(table):
    assert below(Path("/data/a"), table) == [
        Path("/data/a/deep"), Path("/data/a"), Path("/data/a"),
    ]  # fmt: skip


def test_a_name_that_only_begins_alike_is_not_below(table):
    assert Path("/database") not in below(Path("/data"), table)
    assert below(Path("/data/nothing"), table) == []


def test_escapes_and_other_alphabets_are_understood(table):
    found = below(Path("/data"), table)
    assert Path("/data/with space\\back") in found
    assert Path("/data/größe") in found
    assert found[-1] == Path("/data")


@pytest.mark.e2e
def test_everything_is_unmounted(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    for name in ("one", "one/two", "mit leerzeichen ü", "one"):
        (tmp_path / name).mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "none", str(tmp_path / name)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("this machine does not let us mount")
    assert len(below(tmp_path)) == 4
    unmount_below(tmp_path)
    assert below(tmp_path) == []
