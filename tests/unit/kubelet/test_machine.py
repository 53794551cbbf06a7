"""What is done to the machine: cgroups, images, the sandbox program, logs put aside."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from tests.unit.kubelet.making import pod

from kybern.cmd import containerd
from kybern.kubelet import images
from kybern.kubelet.cgroups import Cgroups
from kybern.kubelet.config import KubeletConfig
from kybern.kubelet.housekeeping import _compress_older
from kybern.kubelet.pause import pause_program


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("cpu", "memory", "pids"):
        (tmp_path / name).mkdir()
    return tmp_path


SIGCHLD = 1 << (signal.SIGCHLD - 1)


def limited(**more: Any) -> Any:
    resources = {"requests": {"cpu": "500m"}, "limits": {"cpu": "1", "memory": "64Mi"}}
    return pod([{"name": "main", "resources": resources}], **more)


def test_pods_have_their_place_by_class(tree: Path) -> None:
    groups = Cgroups("/kubepods", 1, mount=tree)
    assert groups.parent(pod()) == "/kubepods/besteffort/podu-1"
    assert groups.parent(limited()) == "/kubepods/burstable/podu-1"
    assert groups.parent(limited(status={"qosClass": "Guaranteed"})) == "/kubepods/podu-1"
    slices = Cgroups("/kubepods", 2, systemd=True, mount=tree)
    assert slices.parent(limited()) == "kubepods-burstable-podu_1.slice"


def test_limits_on_cgroup_v1(tree: Path) -> None:
    groups = Cgroups("/kubepods", 1, mount=tree)
    groups.prepare()
    groups.make(limited())
    here = "kubepods/burstable/podu-1"
    assert (tree / "cpu" / here / "cpu.shares").read_text() == "512"
    assert (tree / "cpu" / here / "cpu.cfs_quota_us").read_text() == "100000"
    assert (tree / "memory" / here / "memory.limit_in_bytes").read_text() == str(64 << 20)
    assert (tree / "cpu" / "kubepods/besteffort/cpu.shares").read_text() == "2"
    assert groups.left_behind() == {"u-1"}


def test_limits_on_cgroup_v2(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids rdma")
    (tmp_path / "cgroup.subtree_control").write_text("memory")
    groups = Cgroups("/kubepods", 2, mount=tmp_path)
    groups.prepare()
    delegated = (tmp_path / "cgroup.subtree_control").read_text().split()
    assert {"+cpuset", "+cpu", "+io", "+pids"} <= set(delegated)
    assert "+rdma" not in delegated
    groups.make(limited())
    here = tmp_path / "kubepods/burstable/podu-1"
    assert (here / "cpu.weight").read_text() == "20"
    assert (here / "cpu.max").read_text() == "100000 100000"
    assert (here / "memory.max").read_text() == str(64 << 20)
    groups.make(pod())
    best = tmp_path / "kubepods/besteffort/podu-1"
    assert (best / "memory.max").read_text() == "max"


def test_cgroups_of_a_pod_are_removed(tree: Path) -> None:
    groups = Cgroups("/kubepods", 1, mount=tree)
    for top in ("cpu", "pids"):
        (tree / top / "kubepods/besteffort/podu-1/c1").mkdir(parents=True)
    groups.remove("u-1")
    assert groups.left_behind() == set()
    groups.remove_all()
    assert not (tree / "cpu" / "kubepods").exists()
    groups.remove("u-1")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="runs the program for this processor")
def test_the_sandbox_program_waits_and_keeps_no_zombies(tmp_path: Path) -> None:
    path = tmp_path / "pause"
    path.write_bytes(pause_program("x86_64"))
    path.chmod(0o755)
    process = subprocess.Popen([path])
    try:
        for _ in range(500):
            text = Path(f"/proc/{process.pid}/status").read_text()
            ignored = int(text.split("SigIgn:\t")[1].split()[0], 16)
            assert process.poll() is None
            if ignored & SIGCHLD:
                break
            time.sleep(0.01)
        assert ignored & SIGCHLD  # others may be ignored because we ignore them
    finally:
        process.kill()
        process.wait()


def test_the_sandbox_program_for_the_other_processor() -> None:
    program = pause_program("aarch64")
    assert struct.unpack_from("<H", program, 18) == (183,)
    (entry,) = struct.unpack_from("<Q", program, 24)
    code = program[entry - 0x400000 :]
    words = struct.unpack("<14I", code[:56])
    assert words[0] == 0xD2800000 | 134 << 5 | 8  # movz x8, #rt_sigaction
    adr = words[2]
    offset = (adr >> 29 & 3) | (adr >> 5 & 0x7FFFF) << 2
    assert code[8 + offset : 16 + offset] == struct.pack("<Q", 1)  # SIG_IGN
    assert words[13] == 0x14000000 | (-7 & 0x3FFFFFF)
    with pytest.raises(ValueError, match="riscv64"):
        pause_program("riscv64")


def test_archives_are_what_docker_and_oci_say() -> None:
    files = {"bin/x": images.File(b"#!", 0o755), "bin/y": images.File(link="x")}
    recipe = images.ImageRecipe("a.test/b:1", files, entrypoint=("/bin/x",), user="5")
    data = images.archive(recipe)
    assert data == images.archive(recipe)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        entries = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    for name, content in entries.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(content).hexdigest() == name.rpartition("/")[2]
    [docker] = json.loads(entries["manifest.json"])
    assert docker["RepoTags"] == ["a.test/b:1"]
    config = json.loads(entries[docker["Config"]])
    assert config["config"]["Entrypoint"] == ["/bin/x"]
    assert config["config"]["User"] == "5"
    [manifest] = json.loads(entries["index.json"])["manifests"]
    assert manifest["annotations"]["io.containerd.image.name"] == "a.test/b:1"
    layer = json.loads(entries["blobs/sha256/" + manifest["digest"][7:]])["layers"][0]
    with tarfile.open(fileobj=io.BytesIO(entries["blobs/sha256/" + layer["digest"][7:]])) as tar:
        assert [(m.name, m.mode, m.linkname) for m in tar.getmembers()] == [
            ("bin", 0o755, ""), ("bin/x", 0o755, ""), ("bin/y", 0o777, "x"),
        ]  # fmt: skip


def test_an_archive_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(images.ImageError, match="does not exist"):
        asyncio.run(images.load(tmp_path / "none.tar", tmp_path / "s", "/usr/bin/ctr"))


def test_old_logs_are_compressed_and_the_oldest_go(tmp_path: Path) -> None:
    for age in range(6):
        path = tmp_path / f"0.log.{100 - age}"
        path.write_text(f"{age}")
        os.utime(path, (1000 - age, 1000 - age))
    _compress_older(tmp_path / "0.log", 4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.log.100", "0.log.98.gz", "0.log.99.gz"]


def test_containerd_is_configured_for_itself_alone(tmp_path: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    programs = {"containerd": "/usr/bin/containerd", "runc": "/usr/sbin/runc", "ctr": ""}
    machine = containerd.Machine(True, 1, False, False, True, programs, "/usr/lib/cni")
    made = containerd.configure(tmp_path, machine)
    config = tomllib.loads(containerd.config_toml(made))
    assert config["version"] == 2
    for path in (config["root"], config["state"], config["grpc"]["address"]):
        assert path.startswith(str(tmp_path))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["restrict_oom_score_adj"] is True
    assert cri["containerd"]["snapshotter"] == "overlayfs"
    options = cri["containerd"]["runtimes"]["runc"]["options"]
    assert options == {"BinaryName": "/usr/sbin/runc", "SystemdCgroup": False}
    assert cri["cni"]["conf_dir"].startswith(str(tmp_path))


def test_what_is_missing_is_said_in_one_sentence_each() -> None:
    machine = containerd.Machine(False, 2, True, True, False, {}, "")
    problems = machine.problems()
    assert len(problems) == 4
    assert "sudo" in problems[0]
    assert "apt-get install containerd" in problems[1]
    assert "containernetworking-plugins" in problems[3]


def test_a_long_directory_gets_a_short_socket(tmp_path: Path) -> None:
    short = containerd.socket_of(tmp_path / "x")
    assert short == tmp_path / "x" / "containerd" / "containerd.sock" or len(str(tmp_path)) > 60
    long = containerd.socket_of(tmp_path / ("y" * 120))
    assert str(long).startswith("/run/kybern/")
    assert long != containerd.socket_of(tmp_path / ("z" * 120))


def test_the_kubelets_configuration_is_checked(tmp_path: Path) -> None:
    good = KubeletConfig("one", tmp_path, "unix:///x")
    assert good.check() == []
    bad = KubeletConfig(
        "", tmp_path / "..", "", cgroup_driver="x", cgroup_root="rel", node_ip="nine",
        pod_cidr="10.0.0.0/99", tls_cert=tmp_path, log_max_files=1,
    )  # fmt: skip
    assert len(bad.check()) == 7
    assert KubeletConfig("a", tmp_path / "b", "").pods_cgroup != good.pods_cgroup
