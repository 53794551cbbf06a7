"""The files of volumes, and how they are written."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.kubelet.making import pod

from kybern.api import codec
from kybern.api.core.v1 import ConfigMap, ConfigMapVolumeSource, KeyToPath, ProjectedVolumeSource
from kybern.api.core.v1 import Secret as SecretObject
from kybern.kubelet.pods.environment import ConfigProblem, Reference
from kybern.kubelet.pods.field_values import Facts
from kybern.kubelet.volumes import atomic, empty_dir, host_path, mounts, sub_path
from kybern.kubelet.volumes.config_map import config_map_files
from kybern.kubelet.volumes.content import Entry, VolumeProblem
from kybern.kubelet.volumes.downward_api import downward_files
from kybern.kubelet.volumes.plan import (
    is_read_only,
    mount_plans,
    references,
    volume_kind,
    volume_plans,
)
from kybern.kubelet.volumes.projected import Found, projected_files
from kybern.kubelet.volumes.secret import secret_files

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = ConfigMap(data={"a": "1", "b": "2"}, binaryData={"c": base64.b64encode(b"\0").decode()})


def test_config_maps_become_files() -> None:
    source = ConfigMapVolumeSource(name="s")
    assert config_map_files(source, SETTINGS) == {
        "a": Entry(b"1", 0o644), "b": Entry(b"2", 0o644), "c": Entry(b"\0", 0o644),
    }  # fmt: skip
    items = [KeyToPath(key="a", path="x/y"), KeyToPath(key="b", path="z", mode=0o400)]
    source = ConfigMapVolumeSource(name="s", items=items)
    assert config_map_files(source, SETTINGS, 0o600) == {
        "x/y": Entry(b"1", 0o600), "z": Entry(b"2", 0o400),
    }  # fmt: skip


def test_missing_sources_are_said_unless_optional() -> None:
    with pytest.raises(VolumeProblem, match='configmap "s" not found'):
        config_map_files(ConfigMapVolumeSource(name="s"), None)
    assert config_map_files(ConfigMapVolumeSource(name="s", optional=True), None) == {}
    wanted = [KeyToPath(key="nope", path="x")]
    with pytest.raises(VolumeProblem, match="references non-existent config key: nope"):
        config_map_files(ConfigMapVolumeSource(name="s", items=wanted), SETTINGS)
    with pytest.raises(VolumeProblem, match='secret "k" not found'):
        secret_files("k", None, None)
    secret = SecretObject(data={"p": base64.b64encode(b"\xff").decode()})
    assert secret_files("k", None, secret, 0o400) == {"p": Entry(b"\xff", 0o400)}
    with pytest.raises(VolumeProblem, match="references non-existent secret key: nope"):
        secret_files("k", wanted, secret)


def test_a_pod_reads_about_itself() -> None:
    volume = {
        "name": "v",
        "downwardAPI": {
            "items": [
                {"path": "n", "fieldRef": {"fieldPath": "metadata.name"}, "mode": 256},
                {
                    "path": "cpu",
                    "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"},
                },
            ]
        },
    }
    the_pod = pod(volumes=[volume])
    assert the_pod.spec.volumes is not None
    source = the_pod.spec.volumes[0].downwardAPI
    assert source is not None
    files = downward_files(the_pod, source.items, Facts(allocatable={"cpu": "2"}))
    assert files == {"n": Entry(b"web", 0o400), "cpu": Entry(b"2", 0o644)}


def test_projected_sources_share_a_directory() -> None:
    tree = {
        "defaultMode": 0o640,
        "sources": [
            {"configMap": {"name": "s", "items": [{"key": "a", "path": "a"}]}},
            {"secret": {"name": "none", "optional": True}},
            {"serviceAccountToken": {"path": "t", "audience": "x", "expirationSeconds": 700}},
        ],
    }
    volume = codec.from_tree(tree, ProjectedVolumeSource)
    found = Found({"s": SETTINGS}, {"none": None}, {("x", 700): "tok"})
    assert projected_files(pod(), volume, found) == {
        "a": Entry(b"1", 0o640), "t": Entry(b"tok", 0o640),
    }  # fmt: skip
    alone = pod(securityContext={"runAsUser": 1000})
    assert projected_files(alone, volume, found)["t"] == Entry(b"tok", 0o600, 1000)
    mixed = pod(
        [{"name": "a", "securityContext": {"runAsUser": 1}}, {"name": "b"}],
        securityContext={"fsGroup": 5},
    )
    assert projected_files(mixed, volume, found)["t"] == Entry(b"tok", 0o600, None)


def write(directory: Path, version: str, **files: str) -> bool:
    payload = {name.replace("__", "/"): Entry(text.encode(), 0o644) for name, text in files.items()}
    return atomic.write(directory, payload, version)


def test_writing_makes_links_to_a_version(tmp_path: Path) -> None:
    assert write(tmp_path, "v1", a="1", sub__b="2")
    assert os.readlink(tmp_path / "..data") == "..v1"
    assert os.readlink(tmp_path / "a") == "..data/a"
    assert os.readlink(tmp_path / "sub") == "..data/sub"
    assert (tmp_path / "sub" / "b").read_text() == "2"


def test_writing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, "v1", a="1")
    assert not write(tmp_path, "v2", a="1")
    assert os.readlink(tmp_path / "..data") == "..v1"


def test_a_new_version_replaces_the_old_at_once(tmp_path: Path) -> None:
    write(tmp_path, "v1", a="1", gone="x")
    reader = (tmp_path / "a").open()
    assert write(tmp_path, "v2", a="2", new="y")
    assert reader.read() == "1"  # whoever has the old file open keeps it
    reader.close()
    assert (tmp_path / "a").read_text() == "2"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["..data", "..v2", "a", "new"]


def test_two_versions_of_one_moment_are_kept_apart(tmp_path: Path) -> None:
    write(tmp_path, "v1", a="1")
    assert write(tmp_path, "v1", a="2")
    assert (tmp_path / "a").read_text() == "2"


def test_modes_and_groups(tmp_path: Path) -> None:
    payload = {"a": Entry(b"x", 0o400), "d/b": Entry(b"x", 0o600)}
    atomic.write(tmp_path, payload, "v1", os.getgid())
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o440
    assert (tmp_path / "d" / "b").stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "..v1").stat().st_mode & 0o7777 == 0o2755


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "..data", ""])
def test_no_file_leads_out_of_its_volume(tmp_path: Path, path: str) -> None:
    with pytest.raises(VolumeProblem):
        atomic.write(tmp_path, {path: Entry(b"", 0o644)}, "v1")


def test_big_files_are_written_whole(tmp_path: Path) -> None:
    data = os.urandom(1 << 20)
    atomic.write(tmp_path, {"big": Entry(data, 0o644)}, "v1")
    assert (tmp_path / "big").read_bytes() == data


def test_empty_directories_are_open_to_all(tmp_path: Path) -> None:
    the_pod = pod(volumes=[{"name": "v", "emptyDir": {}}])
    assert the_pod.spec.volumes is not None
    source = the_pod.spec.volumes[0].emptyDir
    assert source is not None
    empty_dir.make(tmp_path / "v", source, 0)
    (tmp_path / "v" / "kept").touch()
    empty_dir.make(tmp_path / "v", source, 0)
    assert (tmp_path / "v" / "kept").exists()
    assert (tmp_path / "v").stat().st_mode & 0o7777 == 0o777


def test_host_paths_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    file, directory = tmp_path / "file", tmp_path / "dir"
    host_path.check(str(file), "FileOrCreate")
    host_path.check(str(directory), "DirectoryOrCreate")
    host_path.check(str(file), "File")
    host_path.check(str(directory), "Directory")
    host_path.check("/nowhere", "")
    host_path.check("/dev/null", "CharDevice")
    for path, kind, name in (
        (file, "Directory", "a directory"),
        (directory, "File", "a file"),
        (file, "Socket", "a socket file"),
        (file, "BlockDevice", "a block device"),
        (tmp_path / "none", "Directory", "a directory"),
    ):
        with pytest.raises(VolumeProblem) as problem:
            host_path.check(str(path), kind)
        assert str(problem.value) == f"hostPath type check failed: {path} is not {name}"


def test_where_volumes_are(tmp_path: Path) -> None:
    volumes: list[dict[str, Any]] = [
        {"name": "e"},
        {"name": "c", "configMap": {"name": "s"}},
        {"name": "h", "hostPath": {"path": "/srv"}},
        {"name": "p", "projected": {"sources": [{"secret": {"name": "k"}}]}},
        {"name": "n", "nfs": {"server": "x", "path": "/"}},
    ]
    the_pod = pod(volumes=volumes)
    plans = volume_plans(the_pod, tmp_path)
    assert [(p.name, p.kind, p.path) for p in plans] == [
        ("e", "emptyDir", f"{tmp_path}/volumes/kubernetes.io~empty-dir/e"),
        ("c", "configMap", f"{tmp_path}/volumes/kubernetes.io~configmap/c"),
        ("h", "hostPath", "/srv"),
        ("p", "projected", f"{tmp_path}/volumes/kubernetes.io~projected/p"),
        ("n", "nfs", f"{tmp_path}/volumes/kubernetes.io~nfs/n"),
    ]
    found = [references(v) for v in the_pod.spec.volumes or ()]
    assert found == [set(), {Reference("ConfigMap", "s")}, set(), {Reference("Secret", "k")}, set()]
    assert volume_kind((the_pod.spec.volumes or [])[4]) == "nfs"


def test_nobody_writes_to_what_shows_objects() -> None:
    claim = {"claimName": "c"}
    volumes: list[dict[str, Any]] = [
        {"name": "e"},
        {"name": "c", "configMap": {"name": "s"}},
        {"name": "s", "secret": {"secretName": "s"}},
        {"name": "d", "downwardAPI": {"items": []}},
        {"name": "p", "projected": {"sources": []}},
        {"name": "w", "persistentVolumeClaim": claim},
        {"name": "r", "persistentVolumeClaim": {**claim, "readOnly": True}},
        {"name": "n", "nfs": {"server": "x", "path": "/", "readOnly": True}},
    ]
    made = pod(volumes=volumes).spec.volumes or []
    assert [volume.name for volume in made if is_read_only(volume)] == list("csdprn")


def test_where_containers_see_volumes() -> None:
    mounts = [
        {"name": "v", "mountPath": "/data", "readOnly": True},
        {"name": "v", "mountPath": "rel", "subPathExpr": "$(NAME)/x"},
        {"name": "v", "mountPath": "/p", "mountPropagation": "Bidirectional"},
    ]
    container = pod([{"name": "m", "volumeMounts": mounts}]).spec.containers[0]
    plans = mount_plans(container, {"v": "/host/v"}, {"NAME": "web"})
    assert [(p.container_path, p.sub_path, p.read_only, p.propagation) for p in plans] == [
        ("/data", "", True, 0), ("/rel", "web/x", False, 0), ("/p", "", False, 2),
    ]  # fmt: skip
    assert all(p.read_only for p in mount_plans(container, {"v": "/v"}, {"NAME": "web"}, {"v"}))
    with pytest.raises(ConfigProblem, match='missing value for "NAME" in subPathExpr'):
        mount_plans(container, {"v": "/host/v"}, {})


@pytest.mark.parametrize("path", ["/etc", "../up", "a/../../b"])
def test_sub_paths_stay_inside(path: str) -> None:
    mounts = [{"name": "v", "mountPath": "/m", "subPath": path}]
    container = pod([{"name": "m", "volumeMounts": mounts}]).spec.containers[0]
    with pytest.raises(ConfigProblem):
        mount_plans(container, {"v": "/v"}, {})


def test_links_in_a_volume_do_not_lead_out_of_it(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    volume.mkdir()
    (volume / "evil").symlink_to("/etc")
    with pytest.raises(VolumeProblem, match="leads out of the volume"):
        sub_path.bind(str(volume), "evil/x", tmp_path / "place")


def test_a_link_put_there_between_the_look_and_the_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, place = tmp_path / "v", tmp_path / "place"
    (volume / "part").mkdir(parents=True)
    is_there = os.path.lexists

    def swap(path: str) -> bool:  # what a container can do at this very moment
        (volume / "part").rename(volume / "old")
        (volume / "part").symlink_to("/etc")
        return is_there(path)

    monkeypatch.setattr(os.path, "lexists", swap)
    with pytest.raises(VolumeProblem, match="symbolic links"):
        sub_path.bind(str(volume), "part", place)
    assert not place.exists()


def test_making_a_part_changes_no_mode_of_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = tmp_path / "v"
    (volume / "private").mkdir(parents=True, mode=0o700)
    volume.chmod(0o777)
    monkeypatch.setattr(mounts, "mount", lambda *_: None)
    sub_path.bind(str(volume), "private/new", tmp_path / "place")
    assert (volume / "private").stat().st_mode & 0o777 == 0o700
    assert (volume / "private" / "new").stat().st_mode & 0o777 == 0o777
