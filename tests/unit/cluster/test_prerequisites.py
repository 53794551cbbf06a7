"""What this machine lacks, in one sentence."""

import os
import socket

import pytest

from kybern.cluster import prerequisites
from kybern.cluster.prerequisites import CNI_PLUGINS, missing


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with everything on it; tests take things away."""
    programs = {"nft", "ip", "containerd", "runc"}
    plugins = tmp_path / "cni"
    plugins.mkdir()
    for name in CNI_PLUGINS:
        (plugins / name).touch()
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 0)
    monkeypatch.setattr(prerequisites, "CNI_DIRECTORIES", (tmp_path / "none", plugins))
    monkeypatch.setattr(
        prerequisites.shutil, "which",
        lambda name, path=None: f"/usr/bin/{name}" if name in programs else None,
    )  # fmt: skip

    class Machine:
        def lose(self, *names):
            programs.difference_update(names)

        def lose_plugin(self, name):
            (plugins / name).unlink()

    return Machine()


@pytest.mark.usefixtures("machine")
def test_nothing_is_missing():
    assert missing(node=True, runtime="") == []


def test_a_control_plane_needs_nothing(machine, monkeypatch):
    machine.lose("nft", "ip", "containerd", "runc")
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 1000)
    assert missing(node=False, runtime="/x.sock") == []


@pytest.mark.usefixtures("machine")
def test_a_node_needs_root(monkeypatch):
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 1000)
    (sentence,) = missing(node=True, runtime="")
    assert "needs root" in sentence
    assert "sudo" in sentence
    assert "--control-plane-only" in sentence


def test_everything_missing_is_told_at_once_with_the_command(machine):
    machine.lose("nft", "containerd")
    machine.lose_plugin("bridge")
    (sentence,) = missing(node=True, runtime="")
    assert "lacks nftables, containerd and containernetworking-plugins" in sentence
    assert "apt-get install nftables containerd containernetworking-plugins" in sentence


def test_one_thing_missing(machine):
    machine.lose("runc")
    (sentence,) = missing(node=True, runtime="")
    assert sentence.startswith("this machine lacks runc: install with `apt-get install runc`")


def test_another_runtime_spares_ours(machine, tmp_path, monkeypatch):
    machine.lose("containerd", "runc")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as runtime:
        runtime.bind("x.sock")
        runtime.listen()
        assert missing(node=True, runtime="unix://x.sock") == []
    (sentence,) = missing(node=True, runtime="x.sock")
    assert sentence.startswith("no container runtime listens at x.sock")


def test_programs_are_found_where_path_does_not_look(monkeypatch, tmp_path):
    program = tmp_path / "nft"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(prerequisites, "SYSTEM_PATH", str(tmp_path))
    assert prerequisites.find("nft") == str(program)
    assert prerequisites.find("no-such-program") is None
    assert os.environ["PATH"] == "/nowhere"
