"""Flags, exit codes, and what is said when something is wrong."""

import subprocess
import sys

import pytest

from kybern.cli import main as module
from kybern.cli.errors import Failed


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-verb",),
        ("up", "--no-such-flag"),
        ("up", "--port", "many"),
        ("down", "extra"),
        ("image", "load"),
        ("image", "unload"),
    ],
)
def test_wrong_usage_is_2(kybern, words):
    done = kybern(*words)
    assert done.code == 2
    assert done.err


def test_without_words_there_is_help(kybern):
    done = kybern()
    assert "Usage: kybern" in done.out + done.err
    for verb in ("up", "down", "status", "kubeconfig", "image"):
        assert verb in done.out + done.err


@pytest.mark.parametrize("verb", ["up", "down", "status", "kubeconfig", "image"])
def test_every_verb_explains_itself(kybern, verb):
    for flag in ("--help", "-h"):
        done = kybern(verb, flag)
        assert done.code == 0
        assert f"Usage: kybern {verb}" in done.out


def test_the_version_names_kubernetes_too(kybern):
    done = kybern("--version")
    assert done.code == 0
    assert done.out.startswith("kybern ")
    assert "v1.36" in done.out


def test_a_failure_is_one_sentence_and_1(kybern, monkeypatch, tmp_path):
    def fail(*_):
        raise Failed("this does not work: do that.")

    monkeypatch.setattr("kybern.cli.verbs.kubeconfig.run", fail)
    done = kybern("kubeconfig", "--data-dir", tmp_path)
    assert (done.code, done.out, done.err) == (1, "", "kybern: this does not work: do that.\n")


def test_an_interruption_is_130(kybern, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("kybern.cli.verbs.down.run", interrupted)
    done = kybern("down", "--data-dir", tmp_path)
    assert done.code in (1, 130)
    assert "Traceback" not in done.err


def test_another_users_cluster_is_explained(kybern, monkeypatch, tmp_path):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied", "/data/run/state.json")

    monkeypatch.setattr("kybern.cli.verbs.status.run", forbidden)
    done = kybern("status", "--data-dir", tmp_path)
    assert done.code == 1
    assert "/data/run/state.json: Permission denied" in done.err
    assert "as root" in done.err


def test_a_full_disk_is_a_sentence(kybern, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device", "/data/x")

    monkeypatch.setattr("kybern.cli.verbs.status.run", full)
    done = kybern("status", "--data-dir", tmp_path)
    assert (done.code, done.err) == (1, "kybern: /data/x: No space left on device.\n")


def test_the_directory_comes_from_flag_environment_or_default(monkeypatch, tmp_path):
    monkeypatch.delenv("KYBERN_DATA_DIR", raising=False)
    monkeypatch.setattr(module.directory, "default", lambda: tmp_path / "default")
    assert module._directory(None).root == tmp_path / "default"
    monkeypatch.setenv("KYBERN_DATA_DIR", str(tmp_path / "environment"))
    assert module._directory(None).root == tmp_path / "environment"
    assert module._directory(tmp_path / "flag").root == tmp_path / "flag"
    monkeypatch.chdir(tmp_path)
    assert module._directory("relative").root == tmp_path / "relative"


def test_the_command_line_loads_no_component():
    code = (
        "import sys, kybern.cmd.main, kybern.cli.main\n"
        "heavy = {'numpy', 'grpc', 'uvloop', 'cryptography', 'rich', 'yaml', 'kybern.api',\n"
        "         'kybern.apiserver', 'kybern.scheduler', 'kybern.kubelet', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
