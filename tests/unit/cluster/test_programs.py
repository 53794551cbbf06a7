"""Which programs a cluster has."""

import sys
from pathlib import Path

from kybern.cluster import programs
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings

DIRECTORY = Directory(Path("/data"))


def names(**changes):
    found, cleanup = programs.of(DIRECTORY, Settings(data_dir="/data", **changes))
    return [program.name for program in found], cleanup and cleanup.name


def test_what_starts_first_stops_last():
    assert names() == (["containerd", "control-plane", "node"], "cleanup")


def test_another_runtime_needs_no_containerd():
    assert names(runtime_endpoint="unix:///run/crio.sock") == (["control-plane", "node"], "cleanup")


def test_a_control_plane_alone_has_nothing_to_clean_up():
    assert names(control_plane_only=True) == (["control-plane"], None)


def test_each_is_a_module_with_the_directory():
    found, _ = programs.of(DIRECTORY, Settings(data_dir="/data"))
    for program in found:
        python, flag, module, root = program.argv
        assert (python, flag, root) == (sys.executable, "-m", "/data")
        __import__(module)


def test_the_clean_up_alone_needs_the_runtime_only():
    helpers, cleanup = programs.to_clean_up(DIRECTORY, Settings(data_dir="/data"))
    assert [helper.name for helper in helpers] == ["containerd"]
    assert cleanup.name == "cleanup"
    endpoint = Settings(data_dir="/data", runtime_endpoint="unix:///x")
    assert programs.to_clean_up(DIRECTORY, endpoint)[0] == []
