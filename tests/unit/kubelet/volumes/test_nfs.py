"""NFS volumes: what is asked of mount(8), and what is said when it fails."""

import os
import stat
from pathlib import Path

import pytest

from kybern.api.core.v1 import NFSVolumeSource
from kybern.kubelet.volumes import nfs, plan
from kybern.kubelet.volumes.content import VolumeProblem

SOURCE = NFSVolumeSource(server="files.example.com", path="/exports/data")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Play mount(8) by a script that writes down its arguments."""
    bin_dir, said = tmp_path / "bin", tmp_path / "said"
    bin_dir.mkdir()

    def play(script):
        path = bin_dir / "mount"
        path.write_text(f'#!/bin/sh\necho "$@" >> {said}\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return said

    monkeypatch.setenv("PATH", f"{bin_dir}:{os.environ['PATH']}")
    monkeypatch.setattr(nfs, "HELPERS", (str(bin_dir / "mount"),))
    return play


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (SOURCE, [], "-t nfs files.example.com:/exports/data"),
        (SOURCE, ["nfsvers=4.1", "hard"], "-t nfs -o nfsvers=4.1,hard files.example.com:/exports/data"),
        (NFSVolumeSource(server="fd00::1", path="/", readOnly=True), [], "-t nfs -o ro [fd00::1]:/"),
    ],
)  # fmt: skip
def test_what_mount_is_asked(program, tmp_path, source, options, words):
    said, place = program(""), tmp_path / "pod" / "volumes" / plan.NFS / "data"
    nfs.mount(source, options, str(place))
    assert said.read_text() == f"{words} {place}\n"
    assert place.is_dir()


def test_what_is_mounted_is_not_mounted_again(program, monkeypatch, tmp_path):
    said = program("")
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    nfs.mount(SOURCE, [], str(tmp_path))
    assert not said.exists()


def test_a_mount_that_fails_says_why_and_leaves_nothing(program, tmp_path):
    program("echo 'mount.nfs: Connection refused' >&2; exit 32")
    place = tmp_path / "data"
    with pytest.raises(VolumeProblem) as caught:
        nfs.mount(SOURCE, ["soft"], str(place))
    assert str(caught.value) == (
        "mount failed: exit status 32\nMounting command: mount\n"
        f"Mounting arguments: -t nfs -o soft files.example.com:/exports/data {place}\n"
        "Output: mount.nfs: Connection refused"
    )
    assert not place.exists()


def test_a_node_without_nfs_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(nfs, "HELPERS", (str(tmp_path / "mount.nfs"),))
    with pytest.raises(VolumeProblem, match="install the package nfs-common"):
        nfs.mount(SOURCE, [], str(tmp_path / "data"))
    assert not Path(tmp_path / "data").exists()
