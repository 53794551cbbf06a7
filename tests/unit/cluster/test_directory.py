"""The layout of a data directory."""

import stat
from pathlib import Path

from kybern.cluster import directory
from kybern.cluster.directory import Directory


def test_everything_is_below_the_root():
    made = Directory(Path("/data"))
    names = [name for name, value in vars(Directory).items() if isinstance(value, property)]
    assert len(names) > 8
    for name in names:
        assert Path("/data") in getattr(made, name).parents


def test_secrets_are_the_owners_only(tmp_path):
    made = Directory(tmp_path / "data")
    made.make()
    made.make()  # a second time changes nothing
    for path in (made.pki, made.run, made.kubeconfigs, made.store.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert made.logs.is_dir()


def test_a_loose_directory_is_tightened(tmp_path):
    made = Directory(tmp_path)
    made.pki.mkdir(mode=0o755)
    made.make()
    assert stat.S_IMODE(made.pki.stat().st_mode) == 0o700


def test_root_has_its_own_place_and_others_a_place_at_home(monkeypatch):
    monkeypatch.setattr(directory.os, "geteuid", lambda: 0)
    assert directory.default() == Path("/var/lib/kybern")
    monkeypatch.setattr(directory.os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert directory.default() == Path("/home/ada/.local/state/kybern")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ada/state")
    assert directory.default() == Path("/home/ada/state/kybern")
