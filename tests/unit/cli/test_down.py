"""`kybern down`: nothing that is not ours is touched."""

import pytest

from kybern.cli.verbs import down
from kybern.cluster import processes
from kybern.cluster import settings as settings_file
from kybern.cluster.settings import Settings


@pytest.fixture
def asked(monkeypatch):
    """Take the place of whoever stops processes."""
    calls = []

    def stop(directory):
        calls.append("stop")
        return True

    monkeypatch.setattr(down.processes, "stop", stop)
    monkeypatch.setattr(
        down.processes, "clean_up",
        lambda directory, helpers, cleanup, within: calls.append(([p.name for p in helpers], cleanup.name)),
    )  # fmt: skip
    monkeypatch.setattr(down.slots, "release", lambda root: calls.append("release"))
    return calls


def test_a_running_cluster_is_stopped_and_its_data_stays(kybern, asked, running):
    done = kybern("down", "--data-dir", running.root)
    assert done.code == 0
    assert "Stopped the cluster" in done.err
    assert asked == ["stop"]
    assert running.settings.exists()


def test_nothing_to_stop_is_no_failure(kybern, asked, directory, tmp_path):
    for root in (directory.root, tmp_path / "nowhere"):
        done = kybern("down", "--data-dir", root)
        assert done.code == 0
        assert f"No cluster runs in {root}" in done.err
    assert asked == []


def test_purge_removes_the_data_too(kybern, asked, running):
    done = kybern("down", "--purge", "--data-dir", running.root)
    assert done.code == 0
    assert asked == ["stop", "release"]
    assert not running.root.exists()


def test_purge_of_a_cluster_that_is_stopped_already(kybern, asked, directory):
    assert kybern("down", "--purge", "--data-dir", directory.root).code == 0
    assert asked == ["release"]
    assert not directory.root.exists()
    done = kybern("down", "--purge", "--data-dir", directory.root)
    assert (done.code, asked) == (0, ["release"])
    assert "no data" in done.err


def test_a_directory_that_is_not_ours_is_not_removed(kybern, asked, tmp_path):
    (tmp_path / "thesis.txt").touch()
    done = kybern("down", "--purge", "--data-dir", tmp_path)
    assert done.code == 1
    assert "is not a data directory of Kybern: nothing was removed" in done.err
    assert (tmp_path / "thesis.txt").exists()
    assert asked == []


def test_a_mount_that_stays_keeps_the_data(kybern, asked, directory, monkeypatch):
    monkeypatch.setattr(down, "unmount_below", lambda root: None)
    monkeypatch.setattr(down, "below", lambda root: [root / "busy"])
    done = kybern("down", "--purge", "--data-dir", directory.root)
    assert done.code == 1
    assert "busy is still mounted, so nothing was removed" in done.err
    assert directory.settings.exists()
    assert asked == []


def test_one_that_does_not_stop_is_one_sentence(kybern, running, monkeypatch):
    def fail(directory):
        raise processes.StopTimeoutError("it did not stop: look into the logs.")

    monkeypatch.setattr(down.processes, "stop", fail)
    done = kybern("down", "--purge", "--data-dir", running.root)
    assert done.code == 1
    assert done.err.endswith("kybern: it did not stop: look into the logs.\n")
    assert running.settings.exists()


@pytest.fixture
def killed(directory):
    """A cluster with a node whose supervisor was killed."""
    settings_file.save(Settings(data_dir=str(directory.root)), directory.settings)
    directory.state.write_text('{"pid": 4194305, "children": []}')
    return directory


def test_what_a_killed_cluster_left_is_cleaned_up(kybern, asked, killed):
    done = kybern("down", "--data-dir", killed.root)
    assert done.code == 0
    assert asked == [(["containerd"], "cleanup")]


def test_a_killed_control_plane_left_nothing(kybern, asked, directory):
    directory.state.write_text('{"pid": 4194305, "children": []}')
    assert kybern("down", "--data-dir", directory.root).code == 0
    assert asked == []


def test_damaged_settings_do_not_keep_one_from_purging(kybern, asked, killed):
    killed.settings.write_text("{")
    done = kybern("down", "--data-dir", killed.root)
    assert done.code == 1
    assert "is damaged" in done.err
    assert kybern("down", "--purge", "--data-dir", killed.root).code == 0
    assert not killed.root.exists()
    assert asked == ["release"]
